"""A person is erased from the decision log under both names that she has in it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tenure.adapters.decision_tables import decisions_to_parquet
from tenure.cli import app
from tenure.gateway.log.records import DecisionDelivery, DecisionRecord, Table, encode
from tenure.gateway.log.sealing import sealed_for_good, sealed_for_now
from tenure.lifecycle.decisions.decision_log import micros
from tenure.lifecycle.promotion.approval import Choice
from tenure.lifecycle.serving import pseudonym
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.decisions import erasure
from tenure.usecases.decisions.batch_scoring import plan, score_shard
from tenure.usecases.decisions.segments import compact, live_keys
from tenure.usecases.promotion import approval, traffic
from tenure.usecases.serving.gateway import GatewayInstallation
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

MODEL, ADA, BOB = "loan_ok", "ada@example.org", "bob@example.org"
DATASET = """
name: loans
description: made up
owner: ada
steward: sam
time_column: at
entity_column: who
suite: loans
contract:
  columns:
    at: {type: timestamp}
    who: {type: string, sensitivity: personal}
    income: {type: number, sensitivity: personal}
    branch: {type: string}
    sex: {type: string}
    ok: {type: boolean}
"""
SUITE = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
REASON = "request 4711 of 2026-05-01"


@pytest.fixture
def lent(world: Any) -> Any:
    """A model that reads personal data, as ingestion publishes it."""
    settings = world.platform.settings
    (settings.configs / "datasets" / "loans.yaml").write_text(DATASET)
    settings.suites.mkdir()
    suite = {"name": "loans", "expectations": [SUITE]}
    (settings.suites / "loans.json").write_text(json.dumps(suite))
    model = settings.configs / "models" / f"{MODEL}.yaml"
    body = model.read_text().replace("subject_column: branch", "subject_column: who")
    model.write_text(body + "personal: {income: decides on the loan by law}\n")
    return world


@pytest.fixture
def champion(lent: Any) -> Any:
    """It serves."""
    world = lent
    for month in (1, 2):
        land(world, f"2013-{month:02d}", datetime(2013, month, 1, tzinfo=UTC), 200)
    world.request()
    world.life()
    version = world.versions()[0]
    asked = approval.ask(world.platform, version)
    assert asked is not None
    seen = (version.id, asked.artifact, asked.evidence)
    answered = world.run(task="review")
    approval.answer(world.platform, seen, user="grace", choice=Choice.APPROVE, run=answered)
    traffic.promote_first(world.platform, version.id, actor="test")
    return world


def land(world: Any, batch: str, first: datetime, rows: int) -> None:
    """Loans of ada and bob in turn, ingested."""
    rng = np.random.default_rng(first.month)
    income, sex = rng.normal(size=rows), rng.choice(["f", "m"], rows)
    times = [first + timedelta(hours=i) for i in range(rows)]
    columns = {
        "at": pa.array(times).cast(pa.timestamp("us", "UTC")),
        "who": [(ADA, BOB)[i % 2] for i in range(rows)],
        "income": income,
        "branch": rng.choice(["n", "s"], rows),
        "sex": sex,
        "ok": income + rng.normal(size=rows) > 0,
    }
    path = world.platform.settings.home / "store" / "landing" / "loans" / f"{batch}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    key = f"landing/loans/{batch}.parquet"
    ingestion(world.platform, "loans").ingest(key, RunRef("d", "r", "t"))


def score(world: Any, run_id: str) -> None:
    run = RunRef(f"{MODEL}__batch_score", run_id, "score", user="olga")
    for number in plan(world.platform, MODEL, run, snapshot="2013-02", shard_rows=100):
        score_shard(world.platform, MODEL, run, number)


def ask(world: Any, number: int, who: str, *, sealed: bool = True) -> None:
    """A gateway decides about somebody and ships it."""
    gateway = GatewayInstallation(world.platform, "gw")
    vault, moment = gateway.vault, micros(datetime(2026, 5, 1, 12, number, tzinfo=UTC))
    record = DecisionRecord(
        model=MODEL,
        version=1,
        version_id=next((one.id for one in world.versions()), 1),
        request_id=f"r{number}",
        subject=pseudonym(gateway.subject_key, who),
        arm_assigned="champion",
        arm_answered="champion",
        generation=1,
        share_bp=0,
        received_at=moment,
        event_time=moment,
        fallback_level="model",
        reason="",
        latency_ms=1.0,
        decision_ids=[gateway.platform.ids.new()],
        scores=[0.5],
        decisions=[True],
        confidences=[0.5],
        numeric={"income": [0.25]},
        categorical={"branch": ["n"]},
    )

    def to_parquet(table: Table) -> bytes:
        names = {"numeric": table.numeric, "categorical": table.categorical}
        return decisions_to_parquet(table.columns, **names)

    deliver = DecisionDelivery(
        gateway.log_files, "gw", to_parquet, lambda records: sealed_for_good(vault, records)
    )
    deliver(f"s{number}", [encode(sealed_for_now(vault, record) if sealed else record)])


@pytest.fixture
def tenure(lent: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command, on this installation."""
    settings = lent.platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    monkeypatch.setattr("tenure.cli.arguments.login_name", lambda: "olga")

    def run(*arguments: str, say: str = "") -> Any:
        return CliRunner().invoke(app, ["decision", *arguments], input=say)

    return run


def erase(tenure: Callable[..., Any], *more: str, whom: str = ADA, reason: str = REASON) -> Any:
    asked = ("erase", MODEL, "--subject", "-", "--reason", reason, "--yes", *more)
    return tenure(*asked, say=f"{whom}\n")


def log(world: Any) -> list[dict[str, Any]]:
    store = world.platform.store
    return [
        row
        for key in live_keys(store, "decisions/")
        for row in pq.read_table(store.fetch(key)).to_pylist()
    ]


def test_both_names_of_a_person_and_nobody_elses(
    champion: Any, tenure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch and online, compacted and not: nothing of hers opens, all of his does."""
    platform = champion.platform
    score(champion, "b1")
    for number, who in enumerate((ADA, BOB, ADA)):
        ask(champion, number, who)
    monkeypatch.setattr("tenure.lifecycle.decisions.compaction.Folder.is_settled", lambda *_: True)
    assert compact(platform).files > 0
    ask(champion, 3, ADA)

    answer = erase(tenure, "--actor", "sam", "--json")
    assert answer.exit_code == 0, answer.output
    found = json.loads(answer.stdout)
    assert [(p["origin"], p["key_before"], p["decisions"]) for p in found["pseudonyms"]] == [
        ("gateways", "kept", [{"model": MODEL, "asked": "online", "decisions": 3}]),
        ("batches of loans", "kept", [{"model": MODEL, "asked": "batch", "decisions": 100}]),
    ]
    told = {name: found[name] for name in ("ok", "decisions", "sealed_rows", "still_open")}
    assert told == {"ok": True, "decisions": 103, "sealed_rows": 103, "still_open": 0}

    hers = {one["pseudonym"] for one in found["pseudonyms"]}
    for is_hers, verdict, kind in ((True, "inconclusive", "erased"), (False, "passed", None)):
        rows = [row for row in log(champion) if (row["subject"] in hers) is is_hers]
        ids = [row["decision_id"] for row in rows if is_hers or row["arm_assigned"] == "batch"]
        replayed = json.loads(tenure("replay", *ids, "--json").stdout)
        assert replayed["verdict"] == verdict
        if kind:
            assert replayed["found"] == {"erased": 103}
            why = {one["why"] for one in replayed["decisions"]}
            assert why == {"the key of its subject was destroyed"}
        shown = json.loads(tenure("show", ids[0], "--json").stdout)
        assert (shown["erased"], shown["features"]) == (is_hers, None)
        said = "features: erased" if is_hers else "features: sealed"
        assert said in tenure("show", ids[0]).stdout

    with platform.database.begin() as connection:
        events = connection.execute(
            text("SELECT subject, actor, body FROM ledger_event WHERE subject LIKE 'subject:%'")
        ).all()
        everything = str(connection.execute(text("SELECT * FROM ledger_event")).all())
    assert {e.subject for e in events} == {f"subject:{name}" for name in hers}
    names = ("on_behalf_of", "reason", "model")
    assert {(e.actor, *(e.body[name] for name in names)) for e in events} == {
        ("olga", "sam", REASON, MODEL)
    }
    assert ADA not in everything + answer.output
    assert verify_ledger(platform).ok

    # What comes later comes without features, and a second erasure finds nothing to do.
    score(champion, "b2")
    ask(champion, 4, ADA)
    again = json.loads(erase(tenure, "--actor", "sam", "--json").stdout)
    assert (again["done_before"], again["ok"], again["decisions"]) == (True, True, 204)


def test_who_may_and_whom_nobody_knows(lent: Any, tenure: Callable[..., Any]) -> None:
    ask(lent, 0, ADA)
    refused = erase(tenure, "--actor", "olga")
    assert refused.exception.what == ("olga may not erase a subject: that needs the role steward.")
    assert refused.stdout == ""  # not even how many decisions there are
    unknown = erase(tenure, "--actor", "sam", whom="eve@example.org")
    assert unknown.exception.what == (
        "Nothing in the decision log of loan_ok, and no key, belongs to this subject."
    )
    named = erase(tenure, "--actor", "sam", reason=f"{ADA} asked")
    assert (named.exit_code, "it names the subject" in named.stderr) == (2, True)
    model = tenure("erase", "loan_okay", "--subject", ADA, "--reason", REASON, "--yes")
    assert model.exit_code == 2
    assert "there is no model 'loan_okay'; there are: loan_ok" in model.stderr
    nobody = tenure("erase", MODEL, "--subject", "-", "--reason", REASON, say=ADA)
    assert (nobody.exit_code, "add --yes" in nobody.stderr) == (2, True)
    asked = ("erase", MODEL, "--subject", ADA, "--reason", REASON, "--actor", "sam")
    aborted = tenure(*asked, say="n\n")
    assert aborted.exit_code == 1
    assert aborted.stdout.startswith(
        "1 decisions about this subject (1 online, 0 batch), in 1 files:\n"
    )
    assert ADA not in aborted.stdout
    with lent.platform.database.begin() as connection:
        kept = connection.execute(text("SELECT wrapped_key FROM subject_key")).scalars().all()
    assert len(kept) == 1
    assert None not in kept


def test_a_pseudonym_is_enough_for_its_own_decisions(lent: Any, tenure: Callable[..., Any]) -> None:
    ask(lent, 0, ADA)
    (row,) = log(lent)
    asked = ("erase", MODEL, "--subject", row["subject"], "--reason", REASON, "--actor", "sam")
    answer = tenure(*asked, say="y\n")
    assert answer.exit_code == 0, answer.output
    assert f"{row['subject']} (as given; key: kept): 1 of loan_ok" in answer.stdout
    assert "1 of 1 sealed rows in 1 files open no more." in answer.stdout
    assert "A backup of the lifecycle database" in answer.stdout


def test_what_stands_in_clear_is_not_called_erased(lent: Any, tenure: Callable[..., Any]) -> None:
    """Logged before the dataset was personal."""
    ask(lent, 0, ADA, sealed=False)
    ask(lent, 1, ADA)
    answer = erase(tenure, "--actor", "sam")
    assert answer.exit_code == 1
    assert (
        "NOT ERASED: the features of 1 decisions stand in clear in the object store"
        in answer.stdout
    )


def test_a_key_that_is_not_here(
    champion: Any, tenure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it nobody finds her batches, or opens a key: that is not called erased."""
    score(champion, "b1")
    ask(champion, 0, ADA)

    def other(variable: str) -> Any:
        with monkeypatch.context() as patch:
            patch.setenv(variable, "ab" * 32)
            return erase(tenure, "--actor", "sam").exception

    assert other("TENURE_PSEUDONYM_KEY").what == (
        "The key of the pseudonyms made none of the pseudonyms of loans."
    )
    assert other("TENURE_MASTER_KEY").what == (
        "The master key is not the one that wrapped the keys of subjects."
    )
    assert erase(tenure, "--actor", "sam").exit_code == 0


def test_a_key_that_was_another_one_once(
    champion: Any, tenure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches from before and after: each key finds its own, and names the other."""
    score(champion, "b1")
    old = (champion.platform.settings.home / "keys" / "pseudonym.key").read_text()
    monkeypatch.setenv("TENURE_PSEUDONYM_KEY", "ab" * 32)
    land(champion, "2013-02", datetime(2013, 2, 1, tzinfo=UTC), 200)
    score(champion, "b2")
    found = {}
    for key in ("ab" * 32, old):
        monkeypatch.setenv("TENURE_PSEUDONYM_KEY", key)
        answer = erase(tenure, "--actor", "sam", "--json")
        found[key] = json.loads(answer.stdout)
        assert found[key]["decisions"] == 100
        (other,) = found[key]["other_pseudonym_keys"]
        assert f"by other keys as well ({other})" in erase(tenure, "--actor", "sam").stdout
    assert len({str(one["other_pseudonym_keys"]) for one in found.values()}) == 2


@pytest.mark.parametrize("compacted", [False, True])
def test_the_proof_does_not_believe_the_deletion(
    lent: Any, tenure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, compacted: bool
) -> None:
    """Keys that stay are found out, by the bytes of files that are gone by now as well."""
    ask(lent, 0, ADA)
    store = lent.platform.store

    def keys_stay(*_: Any, **__: Any) -> None:
        for key in list(live_keys(store, "decisions/")) if compacted else ():
            store.delete(key)

    monkeypatch.setattr(erasure, "destroy_keys", keys_stay)
    answer = erase(tenure, "--actor", "sam", "--json")
    found = json.loads(answer.stdout)
    told = (answer.exit_code, found["ok"], found["still_open"], found["sealed_rows"])
    assert told == (1, False, 1, 1)
