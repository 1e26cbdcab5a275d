"""A snapshot through the champion: exact rows, once each, whatever dies in between."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from version_rows import WITHOUT_THRESHOLD

from tenure import installation
from tenure.adapters.sklearn_trainer import score
from tenure.adapters.skops_artifacts import load_verified
from tenure.adapters.sql import versions
from tenure.adapters.training_rows import read_shard
from tenure.errors import ArtifactRefused, DataRejected, NotPermitted, StateConflict
from tenure.layout import report_key
from tenure.lifecycle.promotion.approval import Choice
from tenure.usecases.decisions import reviews
from tenure.usecases.decisions.batch_scoring import finish, plan, score_shard
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.promotion import approval, traffic
from tenure.usecases.promotion.authorization import renew
from tenure.vocabulary import RunRef, State

pytestmark = pytest.mark.service

MODEL = "loan_ok"


def run(run_id: str = "b1", task: str = "score") -> RunRef:
    return RunRef(f"{MODEL}__batch_score", run_id, task, user="olga")


@pytest.fixture
def serving(world: Any) -> Any:
    """A champion, trained on two batches of 200 rows."""
    world.publish(1)
    world.publish(2)
    world.request()
    world.life()
    version = world.versions()[0]
    asked = approval.ask(world.platform, version)
    assert asked is not None
    approval.answer(
        world.platform,
        (version.id, asked.artifact, asked.evidence),
        user="grace",
        choice=Choice.APPROVE,
        run=world.run(task="review"),
    )
    traffic.promote_first(world.platform, version.id, actor="test")
    return world


def log(world: Any) -> list[dict[str, Any]]:
    """Every decision that counts, by event time."""
    keys = live_keys(world.platform.store, "decisions/")
    tables = [pq.read_table(io.BytesIO(world.platform.store.get(key))) for key in keys]
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
    return sorted(rows, key=lambda row: (row["event_time"], row["decision_id"]))


def test_every_row_of_the_snapshot_is_decided_once(serving: Any) -> None:
    platform = serving.platform
    numbers = plan(platform, MODEL, run(), snapshot="2013-02", shard_rows=64)
    assert numbers == [0, 1, 2, 3]
    answers = [score_shard(platform, MODEL, run(), n) for n in numbers]
    assert [a.rows for a in answers] == [64, 64, 64, 8]
    done = finish(platform, MODEL, run("b1", "finish"))
    rows = log(serving)
    assert (done.rows, len(rows), len({r["decision_id"] for r in rows})) == (200, 200, 200)
    assert {r["arm_assigned"] for r in rows} == {"batch"}
    assert {(r["version"], r["generation"], r["share_bp"]) for r in rows} == {(1, 1, 0)}
    assert all(r["decision_id"][14] == "7" for r in rows)


def test_the_scores_are_those_of_the_artifact(serving: Any) -> None:
    platform = serving.platform
    digest = serving.publish(3, 50)
    for number in plan(platform, MODEL, run(), shard_rows=20):
        score_shard(platform, MODEL, run(), number)
    path = platform.store.fetch(f"snapshots/loans/{digest}/data.parquet", digest)
    rows = read_shard(
        path,
        0,
        50,
        numeric=["income"],
        categorical=["branch"],
        subject="branch",
        time="at",
        keys=[],
    )
    key = platform.settings.signing_key.with_suffix(".pub")
    expected = score(load_verified(platform.store, serving.row(), key), rows.features)
    assert [r["score"] for r in log(serving)] == pytest.approx(expected.tolist(), abs=1e-12)


def test_who_asked_gets_a_table_with_the_key_of_each_row(serving: Any) -> None:
    platform = serving.platform
    plan(platform, MODEL, run(), shard_rows=1000)
    answer = score_shard(platform, MODEL, run(), 0)
    table = pq.read_table(io.BytesIO(platform.store.get(answer.scores)))
    ours = ["decision_id", "score", "decision", "confidence", "refused"]
    assert table.column_names == ["branch", *ours]
    assert table["refused"].null_count == 400 // 2
    assert sorted(table["decision_id"].to_pylist()) == sorted(
        r["decision_id"] for r in log(serving)
    )


REJECTING = (
    "serving: {on_null: reject, on_unseen_category: reject, on_out_of_range: reject, "
    "review_below_confidence: 1.0, review_hours: 1}\n"
)
ODD = {
    "income": [0.0, None, 0.0, 99.0, float("inf"), None, 0.1],
    "branch": ["n", "s", "?", "n", "s", None, "s"],
}
WHY = [
    None,
    "income: null",
    "branch: unseen_category",
    "income: out_of_range",
    "income: not_a_number",
    "income: null",
    None,
]


def serve_by(world: Any, policy: str) -> None:
    path = world.platform.settings.configs / "models" / f"{MODEL}.yaml"
    path.write_text(path.read_text() + policy)


def scores(world: Any, answer: dict[str, object]) -> Any:
    return pq.read_table(io.BytesIO(world.platform.store.get(answer.scores)))


def test_a_row_that_a_gateway_would_refuse_is_not_decided_and_says_why(serving: Any) -> None:
    platform = serving.platform
    serve_by(serving, REJECTING)
    serving.publish(3, len(WHY), **ODD)
    answers = [score_shard(platform, MODEL, run(), n) for n in plan(platform, MODEL, run())]
    (table,) = [scores(serving, one) for one in answers]
    assert table["refused"].to_pylist() == WHY
    assert [one is None for one in table["score"].to_pylist()] == [why is not None for why in WHY]
    decided = [one for one in table["decision_id"].to_pylist() if one is not None]
    assert [row["decision_id"] for row in log(serving)] == decided
    done = finish(platform, MODEL, run("b1", "finish"))
    assert (done.rows, done.refused) == (len(WHY), 5)
    report = json.loads(platform.store.get(report_key(done.report)))
    assert report["facts"]["refused"] == {
        "income: null": 2,
        "branch: unseen_category": 1,
        "income: out_of_range": 1,
        "income: not_a_number": 1,
    }
    assert report["summary"].endswith(
        " 5 of the rows were refused and have no decision: income: null 2, branch: unseen_category "
        "1, income: out_of_range 1, income: not_a_number 1."
    )


def test_a_shard_of_which_nothing_can_be_decided_still_counts(serving: Any) -> None:
    platform = serving.platform
    serve_by(serving, REJECTING)
    serving.publish(3, 4, income=[None, None, 0.0, 0.0], branch=["n"] * 4)
    numbers = plan(platform, MODEL, run(), shard_rows=2)
    tables = [scores(serving, score_shard(platform, MODEL, run(), n)) for n in numbers]
    assert [t["refused"].null_count for t in tables] == [0, 2]
    assert finish(platform, MODEL, run("b1", "finish")).rows == 4
    assert len(log(serving)) == 2


def test_what_the_model_is_not_sure_of_waits_for_a_person_once(serving: Any) -> None:
    platform = serving.platform
    digest = serving.publish(3, 50)
    plan(platform, MODEL, run(), snapshot=digest, shard_rows=50)
    serve_by(serving, "serving: {review_below_confidence: 0.7, review_hours: 2}\n")
    score_shard(platform, MODEL, run(), 0)
    with platform.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM scoring_shard")
    score_shard(platform, MODEL, run(), 0)  # as after a kill
    unsure = {r["decision_id"]: r for r in log(serving) if r["confidence"] < 0.7}
    waiting = reviews.listed(platform, models=[MODEL])
    assert 0 < len(unsure) < 50
    assert {row.decision_id for row in waiting} == set(unsure)
    for row in waiting:
        logged = unsure[row.decision_id]
        same = ("version", "subject", "score", "decision", "confidence", "fallback_level")
        assert {name: getattr(row, name) for name in same} == {name: logged[name] for name in same}
        assert (row.reason, row.received_at) == ("low confidence", logged["received_at"])
        assert row.expires_at == row.received_at + timedelta(hours=2)


def test_an_ended_authorization_scores_no_batch(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not planned, and no further shard of what was; what is done stands. Renewed, it goes on."""
    platform = serving.platform
    plan(platform, MODEL, run(), snapshot="2013-02", shard_rows=100)
    done = score_shard(platform, MODEL, run(), 0)
    later = datetime.now(tz=UTC) + timedelta(days=31)
    monkeypatch.setattr(installation.SystemClock, "now", lambda _clock: later)
    words = "loan_ok@1 scores no batch: authorization ended: "
    with pytest.raises(NotPermitted, match=words):
        plan(platform, MODEL, run("b2"))
    with pytest.raises(NotPermitted, match=words):
        score_shard(platform, MODEL, run(), 1)
    assert score_shard(platform, MODEL, run(), 0) == done
    assert len(log(serving)) == 100
    renew(platform, MODEL, user="grace")
    score_shard(platform, MODEL, run(), 1)
    assert len(log(serving)) == 200


def test_a_plan_is_made_once_for_a_run(serving: Any) -> None:
    platform = serving.platform
    plan(platform, MODEL, run(), snapshot="2013-01", shard_rows=64)
    serving.publish(3, 10)
    assert plan(platform, MODEL, run(), shard_rows=1) == [0, 1, 2, 3]
    assert plan(platform, MODEL, run("b2"), shard_rows=100) == [0]


CHILD = """
import json, sys
from tenure.settings import Settings
from tenure.vocabulary import RunRef
from tenure.installation import Installation
from tenure.usecases.decisions.batch_scoring import score_shard
platform = Installation(Settings.from_environment())
score_shard(platform, sys.argv[1], RunRef(*json.loads(sys.argv[2])), 0)
"""


@pytest.mark.parametrize(
    "place", ["batch.stored", pytest.param("batch.recorded", marks=pytest.mark.exhaustive)]
)
def test_a_killed_shard_is_finished_by_its_retry(serving: Any, place: str) -> None:
    platform, settings = serving.platform, serving.platform.settings
    plan(platform, MODEL, run(), snapshot="2013-01", shard_rows=120)
    order = [run().dag_id, run().run_id, "score"]
    env = os.environ | {
        "TENURE_HOME": str(settings.home),
        "TENURE_INCLUDE": str(settings.include),
        "TENURE_DATABASE_URL": settings.database_url,
        "TENURE_STORE_URL": settings.store_url,
        "TENURE_ENV": "test",
        "TENURE_FAIL": f"{place}:kill",
    }
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, MODEL, json.dumps(order)], env=env, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    for number in (0, 1):
        score_shard(platform, MODEL, run(), number)
    assert finish(platform, MODEL, run()).rows == 200
    assert len(log(serving)) == len({r["decision_id"] for r in log(serving)}) == 200


def test_only_missing_shards_are_left_to_do(serving: Any) -> None:
    platform = serving.platform
    plan(platform, MODEL, run(), shard_rows=50)
    for number in (0, 2):
        score_shard(platform, MODEL, run(), number)
    with pytest.raises(StateConflict, match=r"2 of 4 shards are not scored: 1, 3\."):
        finish(platform, MODEL, run())


def test_a_shard_that_is_done_is_not_scored_again(serving: Any) -> None:
    plan(serving.platform, MODEL, run(), shard_rows=150)
    first = score_shard(serving.platform, MODEL, run(), 0)
    _flip_the_artifact(serving)  # whoever scores now is refused
    assert score_shard(serving.platform, MODEL, run(), 0) == first
    with pytest.raises(ArtifactRefused):
        score_shard(serving.platform, MODEL, run(), 1)


def _flip_the_artifact(world: Any) -> None:
    store = world.platform.store
    key = f"artifacts/{world.row().artifact_digest}.skops"
    data = bytearray(store.get(key))
    data[len(data) // 2] ^= 1
    store.put(key, bytes(data))


def _flip_the_snapshot(world: Any) -> None:
    store = world.platform.store
    for key in store.list("snapshots/loans/"):
        store.put(key, store.get(key)[:-1] + b"?")


def test_a_version_without_a_threshold_is_refused_as_a_gateway_refuses_it(serving: Any) -> None:
    plan(serving.platform, MODEL, run())
    stated = {k: v for k, v in serving.row().facts_json.items() if k != "threshold"}
    with serving.platform.database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        versions.set_columns(connection, serving.versions()[0].id, facts=stated)
    with pytest.raises(ArtifactRefused) as refused:
        score_shard(serving.platform, MODEL, run(), 0)
    assert refused.value.what == WITHOUT_THRESHOLD.format(f"{MODEL}@1")
    assert log(serving) == []


@pytest.mark.parametrize("spoil", [_flip_the_artifact, _flip_the_snapshot])
def test_other_bytes_are_refused(serving: Any, spoil: Callable[[Any], None]) -> None:
    plan(serving.platform, MODEL, run())
    spoil(serving)
    with pytest.raises(ArtifactRefused):
        score_shard(serving.platform, MODEL, run(), 0)
    assert not live_keys(serving.platform.store, "decisions/")


def test_a_retired_version_scores_no_further_shard(serving: Any) -> None:
    platform = serving.platform
    plan(platform, MODEL, run())
    with platform.database.begin() as connection:
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.exec_driver_sql(f"UPDATE model_version SET state = '{State.RETIRING}'")
    with pytest.raises(StateConflict, match="loan_ok@1 is retiring and never answers again"):
        score_shard(platform, MODEL, run(), 0)


def test_without_a_champion_nothing_is_planned(world: Any) -> None:
    world.publish(1)
    with pytest.raises(StateConflict, match="loan_ok has no champion"):
        plan(world.platform, MODEL, run())


def test_an_unknown_snapshot_is_named(serving: Any) -> None:
    with pytest.raises(DataRejected, match="loans has no snapshot '2014-01'; 2 are published"):
        plan(serving.platform, MODEL, run(), snapshot="2014-01")


def test_a_shard_without_a_plan_says_so(serving: Any) -> None:
    with pytest.raises(StateConflict, match="Run b9 has planned no batch scoring of loan_ok"):
        score_shard(serving.platform, MODEL, run("b9"), 0)
