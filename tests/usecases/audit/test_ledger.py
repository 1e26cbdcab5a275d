"""A healthy installation breaks no invariant; one mutation each shows that every query can."""

import io
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ledger_forgery import as_owner, forget, rechain
from sqlalchemy import Connection, insert, text
from version_rows import facts
from witnesses import WitnessThread, configured

from tenure.adapters.segment_files import segment_list
from tenure.adapters.sql import approvals, chain, monitoring, plans, versions
from tenure.adapters.sql.tables import (
    dataset,
    snapshot,
    training_snapshot,
    validation,
)
from tenure.errors import LedgerBroken
from tenure.installation import Installation
from tenure.layout import artifact_key, selection_key
from tenure.lifecycle.audit.ledger import row_digest
from tenure.lifecycle.audit.witness import LedgerPolicy
from tenure.lifecycle.data.quality import Reason
from tenure.lifecycle.decisions.segment_record import IN_FLIGHT
from tenure.lifecycle.promotion.approval import ApprovalAnswer, Choice
from tenure.lifecycle.retirement.decommission import StepAction
from tenure.ports import ObjectStore
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.audit.checkpoints import make_checkpoint
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.audit.ledger_tree import log_key
from tenure.usecases.operations.reconcile import ChainLength, _ledger
from tenure.usecases.promotion import authority
from tenure.usecases.retirement.decommissioning import decommissioning
from tenure.usecases.serving.log_files import RecordedFiles
from tenure.vocabulary import RunRef, State, VersionRef, digest_bytes

pytestmark = pytest.mark.service

MODEL = "flight_late"
_numbers = itertools.count(1)
NOW = datetime.now(tz=UTC)
DIGEST = "d" * 64
DECISIONS = f"decisions/model={MODEL}/date=2026-11-22/hour=12/g-1.parquet"
SNAPSHOT = f"snapshots/flights/{DIGEST}/data.parquet"
QUARANTINE = "quarantine/flights/2013-01/a.parquet"
SUBJECT = "0123456789abcdef" * 2
WINDOW, SEGMENT = "e" * 64, "date=2026-11-22/hour=12/g-1"


def parquet(store: ObjectStore, key: str, columns: dict[str, list[Any]]) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    store.put(key, buffer.getvalue())


def shipped(platform: Installation, *rows: tuple[int, int, str | None]) -> None:
    """The same as a gateway does it: recorded, then stored."""
    decisions(platform.store, *rows)
    data = platform.store.get(DECISIONS)
    RecordedFiles(platform, "g").put(DECISIONS, data)


def decisions(store: ObjectStore, *rows: tuple[int, int, str | None]) -> None:
    """Rows of (generation, version id, subject)."""
    columns = {
        "model": [MODEL] * len(rows),
        "generation": [row[0] for row in rows],
        "version_id": [row[1] for row in rows],
        "subject": [row[2] for row in rows],
        "event_time": [NOW] * len(rows),
    }
    parquet(store, DECISIONS, columns)


class Life:
    """Makes versions by the rules."""

    def __init__(self, platform: Installation) -> None:
        self.platform = platform

    def move(self, c: Connection, ref: VersionRef, state: State, **columns: Any) -> VersionRef:
        key = f"{ref.id} {state}"
        self.platform.ledger.move(
            c, ref, state, actor="t", body={"a": 0.1}, op_key=key, columns=columns
        )
        return versions.get_by_id(c, ref.id)

    def facts(self) -> dict[str, Any]:
        """Complete evidence, with a holdout that is there to be archived."""
        key, content = "reference/m/1.parquet", b"holdout"
        self.platform.store.put(key, content)
        return facts(holdout_key=key, holdout_digest=digest_bytes(content))

    def validated(self, number: int) -> VersionRef:
        digest = self.platform.store.put(artifact_key(f"{number:064}"), b"model")
        with self.platform.database.begin() as c:
            ref = versions.create_draft(
                c, model_name=MODEL, trained_by="ada", training_key=f"{number:064}"
            )
            trained = {"artifact_digest": f"{number:064}", "signature": "s", "facts": self.facts()}
            ref = self.move(c, ref, State.TRAINED, **trained)
            assert digest
            return self.move(c, ref, State.VALIDATED, evaluation_report="e", bias_report="b")

    def approved(self, number: int) -> VersionRef:
        ref = self.validated(number)
        with self.platform.database.begin() as c:
            by = authority.in_force(self.platform, c, seen_by="t")
            until = NOW + timedelta(days=1)
            given = ApprovalAnswer("grace", Choice.APPROVE, ref.artifact_digest or "", "e", until)
            row = approvals.ApprovalRow.of(ref, given, "")
            said = {"row": row.digest, "platform": by.digest}
            self.platform.ledger.note(
                c, subject=row.subject, actor="grace", body=said, op_key=row.digest
            )
            approvals.record(c, row)
            return self.move(c, ref, State.APPROVED)

    def plan(self, c: Connection, champion: VersionRef, canary: VersionRef | None) -> None:
        seen = plans.newest(c, MODEL)
        plans.publish(
            c,
            self.platform.ledger,
            model=MODEL,
            seen=seen,
            fence=1,
            champion_id=champion.id,
            canary_id=canary.id if canary else None,
            share_bp=500 if canary else 0,
            salt="s",
            lease_seconds=600 if canary else None,
            champion_until=NOW + timedelta(days=1),
            canary_until=NOW + timedelta(days=1) if canary else None,
            now=NOW,
            reason="t",
            actor="t",
        )


@pytest.fixture(scope="module")
def example(postgres_server: Any, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A champion (1), a canary (2), a retired version (3), one batch, four decisions, a window."""
    home = tmp_path_factory.mktemp("example")
    _copy(postgres_server, "example", "template_tenure")
    platform = Installation(
        Settings(
            home=home,
            include=REPOSITORY / "include",
            database_url=postgres_server.url("example"),
            store_url=(home / "store").as_uri(),
            mlflow_url="http://127.0.0.1:9",
            gateway_url="http://127.0.0.1:9",
            airflow_url="http://127.0.0.1:9",
        )
    )
    _live(platform)
    platform.database.dispose()
    return platform.settings


@pytest.fixture
def healthy(postgres_server: Any, example: Settings, tmp_path: Path) -> Iterator[Installation]:
    """A copy of the example for one test to break."""
    name = f"copy_of_example_{next(_numbers)}"
    _copy(postgres_server, name, "example")
    shutil.copytree(example.home / "store", tmp_path / "store")
    settings = replace(
        example,
        home=tmp_path,
        database_url=postgres_server.url(name),
        store_url=(tmp_path / "store").as_uri(),
    )
    platform = Installation(settings)
    yield platform
    platform.database.dispose()


def _copy(server: Any, name: str, template: str) -> None:
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")


def _live(platform: Installation) -> None:
    life = Life(platform)
    with platform.database.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="t")
    first = life.approved(1)
    with platform.database.begin() as c:
        first = life.move(c, first, State.CHAMPION)
        life.plan(c, first, None)
    second = life.approved(2)
    with platform.database.begin() as c:
        second = life.move(c, second, State.CANARY)
        life.plan(c, first, second)
    _retire(platform, life)
    _publish(platform, first)
    shipped(
        platform,
        (1, first.id, SUBJECT),
        (2, first.id, SUBJECT),
        (2, second.id, SUBJECT),
        (2, first.id, SUBJECT),
    )
    _judge(platform, first)


def _judge(platform: Installation, version: VersionRef) -> None:
    """A window of the champion's decisions."""
    platform.store.put(selection_key(MODEL, WINDOW), segment_list([SEGMENT]))
    with platform.database.begin() as c:
        monitoring.add(
            c,
            model_name=MODEL,
            version_id=version.id,
            window=(NOW - timedelta(days=1), NOW),
            kind="drift",
            verdict="passed",
            decisions=3,
            selection=WINDOW,
            facts={},
            report_digest="r" * 64,
            at=NOW,
        )


def _retire(platform: Installation, life: Life) -> None:
    third = life.validated(3)
    data = b"third model"
    platform.store.put(artifact_key(third.artifact_digest or ""), data)
    with platform.database.begin() as c:
        life.move(c, third, State.REJECTED)
        c.execute(text("SET LOCAL session_replication_role = replica"))
        digest = digest_bytes(data)
        platform.store.put(artifact_key(digest), data)
        report = platform.store.put("reports/x.json", b"{}")
        platform.store.put(f"reports/{report[:2]}/{report}.json", b"{}")
        c.execute(
            text(
                "UPDATE model_version SET artifact_digest = :a, evaluation_report = :r, "
                "bias_report = :r WHERE version = 3"
            ),
            {"a": digest, "r": report},
        )
    run = RunRef("d", "r", "t", user="olga")
    retire = decommissioning(platform, MODEL, _NoMirror())
    retire.request(3, reason="old", successor="", run=run)
    retire.confirm(3, agrees=True, person="grace")
    for action in (StepAction.NOTIFY, StepAction.ARCHIVE, StepAction.DELETE, StepAction.RECORD):
        assert not retire.do(action, 3, run).waiting


class _NoMirror:
    def tombstone(self, model: str, version: int, *, run_id: str | None, reason: str) -> list[str]:
        return []


def _publish(platform: Installation, first: VersionRef) -> None:
    parquet(platform.store, SNAPSHOT, {"flight_id": ["a", "b", "c"], "temp": [1.0, 2.0, None]})
    reasons = [
        [asdict(Reason("between", "temp", ("temp",), "0 to 9"))],
        [asdict(Reason("key", "flight_id", ("flight_id",), "once"))],
    ]
    parquet(
        platform.store,
        QUARANTINE,
        {"flight_id": ["d", "a"], "temp": [99.0, 1.0], "_row": [4, 5], "_reasons": reasons},
    )
    with platform.database.begin() as c:
        c.execute(
            insert(dataset).values(name="flights", owner="ada", steward="sam", sensitivity="public")
        )
        number = c.execute(
            insert(snapshot)
            .values(
                dataset="flights",
                batch="2013-01",
                digest=DIGEST,
                rows=3,
                manifest_digest="m",
                suite_digest="s",
            )
            .returning(snapshot.c.id)
        ).scalar_one()
        c.execute(
            insert(validation).values(
                dataset="flights",
                batch="2013-01",
                source_key="k",
                source_digest="a",
                suite_digest="s",
                config_digest="c",
                verdict="passed",
                rows_in=5,
                rows_ok=3,
                rows_quarantined=2,
                quarantine_key=QUARANTINE,
                snapshot_id=number,
                report_digest="r",
            )
        )
        c.execute(insert(training_snapshot).values(model_version_id=first.id, snapshot_id=number))


def sql(*statements: str) -> Callable[[Installation], None]:
    def mutate(platform: Installation) -> None:
        with platform.database.begin() as c:
            c.execute(text("SET LOCAL session_replication_role = replica"))
            for statement in statements:
                c.execute(text(statement))

    return mutate


def file(change: Callable[[ObjectStore], None]) -> Callable[[Installation], None]:
    return lambda platform: change(platform.store)


def quarantined_row_in_snapshot(store: ObjectStore) -> None:
    parquet(store, SNAPSHOT, {"flight_id": ["a", "b", "d"], "temp": [1.0, 2.0, 99.0]})


OUTCOMES = f"outcomes/model={MODEL}/date=2026-11-22/hour=12/g-1.parquet"
AN_APPROVAL = """
    INSERT INTO approval (model_version_id, action, approver, trained_by, answer, artifact_digest,
                          evidence_digest, expires_at)
    SELECT model_version_id, action, 'mallory', trained_by, answer, artifact_digest,
           evidence_digest, expires_at FROM approval WHERE model_version_id = 2
"""
A_PLAN = """
    INSERT INTO traffic_plan
        (model, generation, fence, champion_id, share_bp, salt, champion_until, reason, actor)
    SELECT model, 3, fence, champion_id, 0, salt, champion_until, reason, actor FROM traffic_plan
    WHERE generation = 2
"""
BY_ANOTHER_REVISION = """
    UPDATE ledger_event SET body = body || '{"platform": "0"}' WHERE subject = 'approval:1'
"""
A_DRAFT_THAT_SERVES = """
    INSERT INTO model_version (model, version, state, trained_by, training_key)
    VALUES ('flight_late', 9, 'rejected', 'eve', 'k')
"""


def extra(name: str) -> str:
    return DECISIONS.replace("g-1", name)


def hidden_by_a_manifest(store: ObjectStore) -> None:
    """A compaction that nobody made says that another file stands for the decisions."""
    name = DECISIONS.rpartition("/")[2]
    manifest = {"made_at": NOW.isoformat(), "replaces": [name, "g-0.parquet"], "rows": 1}
    store.put(extra("compacted-0").replace("parquet", "json"), json.dumps(manifest).encode())
    store.put(extra("compacted-0"), store.get(DECISIONS))
    store.put(extra("g-0"), b"whatever: it is replaced")


def judged_twice(platform: Installation) -> None:
    """A second window says that it judged what the first one did."""
    platform.store.put(selection_key(MODEL, "f" * 64), segment_list([SEGMENT]))
    columns = "model, model_version_id, window_start, window_end, kind, verdict, decisions"
    sql(
        f"INSERT INTO monitoring_result ({columns}, selection, report_digest) "
        f"SELECT {columns}, '{'f' * 64}', report_digest FROM monitoring_result"
    )(platform)


MUTATIONS: list[tuple[str, Callable[[Installation], None]]] = [
    (
        "I1",
        sql(
            "DROP INDEX uq_one_champion",
            "UPDATE model_version SET state = 'champion' WHERE version = 2",
        ),
    ),
    ("I2", sql("UPDATE model_version SET state = 'superseded' WHERE version = 1")),
    ("I2", sql("UPDATE model_version SET state = 'approved' WHERE version = 2")),
    ("I3", sql("UPDATE model_version SET generation = generation + 1 WHERE version = 1")),
    ("I3", sql("DELETE FROM ledger_event WHERE subject = 'mv:1' AND generation = 1")),
    ("I4", sql("UPDATE ledger_event SET prev_hash = repeat('f', 64) WHERE seq = 3")),
    ("I4", sql("DELETE FROM ledger_event WHERE seq = (SELECT max(seq) FROM ledger_event)")),
    ("I5", sql("DELETE FROM approval WHERE model_version_id = 1")),
    ("I5", sql("UPDATE approval SET artifact_digest = 'x' WHERE model_version_id = 2")),
    ("I5", sql("UPDATE model SET risk_tier = 'high'")),
    ("I6", sql("UPDATE model_version SET state = 'superseded' WHERE version = 2")),
    ("I7", file(lambda store: decisions(store, (1, 2, SUBJECT)))),
    ("I7", file(lambda store: decisions(store, (9, 1, SUBJECT)))),
    ("I7", file(lambda store: store.put(DECISIONS, b"no Parquet"))),
    ("I7", file(lambda store: parquet(store, extra("g-2"), {"model": [{"a": 1}]}))),
    ("I7", file(lambda store: parquet(store, DECISIONS, {"other": [1]}))),
    (
        "I8",
        sql(
            "ALTER TABLE archive_item DROP CONSTRAINT ck_archive_item_verify_first",
            "UPDATE archive_item SET verified_at = NULL WHERE delete_after",
        ),
    ),
    (
        "I8",
        sql("UPDATE archive_item SET deleted_at = verified_at - interval '1s' WHERE delete_after"),
    ),
    ("I8", sql("UPDATE archive_item SET deleted_at = now() WHERE NOT delete_after")),
    ("I8", sql("UPDATE decommission SET archive_digest = NULL")),
    ("I9", sql("DELETE FROM validation")),
    ("I9", file(quarantined_row_in_snapshot)),
    (
        "I10",
        sql(
            "ALTER TABLE validation DROP CONSTRAINT ck_validation_rows_conserved",
            "UPDATE validation SET rows_in = rows_in + 1",
        ),
    ),
    ("I10", sql("UPDATE snapshot SET rows = 4")),
    ("I10", file(lambda store: parquet(store, SNAPSHOT, {"flight_id": ["a"]}))),
    ("I10", file(lambda store: store.delete(QUARANTINE))),
    ("I10", file(lambda store: store.put(SNAPSHOT, b"no Parquet"))),
    (
        "I11",
        sql(
            "DROP INDEX uq_one_open_retrain",
            "INSERT INTO retrain_request (model, reason_code, reason, requested_by, state) "
            "SELECT 'flight_late', 'c', 'r', 'u', s FROM unnest(ARRAY['open', 'running']) s",
        ),
    ),
    ("I12", sql("UPDATE model_version SET state = 'retiring' WHERE version = 1")),
    ("I12", sql("UPDATE decommission SET model_version_id = 1")),
    ("I12", sql("UPDATE ledger_event SET src = 'champion' WHERE dst = 'retiring'")),
    (
        "I13",
        sql(
            "INSERT INTO gateway_ack SELECT 'g', model, generation, lease_until + interval '6s' "
            "FROM traffic_plan WHERE canary_id IS NOT NULL"
        ),
    ),
    (
        "I14",
        sql(
            "INSERT INTO outbox (op_key, topic, created_at) "
            "VALUES ('o', 't', now() - interval '25h')"
        ),
    ),
    (
        "I15",
        sql(
            "ALTER TABLE subject_key DROP CONSTRAINT ck_subject_key_shredded",
            "INSERT INTO subject_key (subject_pseudonym, wrapped_key, destroyed_at) "
            "VALUES ('s', 'k', now())",
        ),
    ),
    ("I15", file(lambda store: decisions(store, (1, 1, "Grace Hopper")))),
    ("I15", file(lambda store: decisions(store, (1, 1, None)))),
    (
        "I16",
        sql(
            "ALTER TABLE appeal DROP CONSTRAINT ck_appeal_second_person",
            "INSERT INTO appeal (decision_id, state, opened_by, decided_by) "
            "VALUES ('d', 'closed', 'eve', 'Eve')",
        ),
    ),
    ("I17", sql("DELETE FROM traffic_plan WHERE generation = 1")),
    ("I18", file(lambda store: store.delete(DECISIONS))),
    ("I18", file(lambda store: store.put(DECISIONS, store.get(DECISIONS)[:-9]))),
    ("I18", file(lambda store: decisions(store, (1, 1, SUBJECT), (2, 1, SUBJECT)))),
    ("I18", file(lambda store: store.put(extra("g-2"), store.get(DECISIONS)))),
    ("I18", file(lambda store: store.put(OUTCOMES, store.get(DECISIONS)))),
    ("I18", file(hidden_by_a_manifest)),
    ("I18", sql("DELETE FROM log_segment")),
    ("I18", sql("UPDATE log_segment SET digest = repeat('f', 64)")),
    ("I19", sql(AN_APPROVAL)),
    ("I19", sql("DELETE FROM approval WHERE model_version_id = 2")),
    ("I19", sql("UPDATE approval SET answer = 'reject' WHERE model_version_id = 2")),
    ("I19", sql("UPDATE approval SET expires_at = expires_at + interval '1 year'")),
    ("I19", sql("UPDATE approval SET note = 'under protest'")),
    ("I19", sql("UPDATE approval SET approver = 'Mallory'")),
    ("I19", sql(A_PLAN)),
    ("I19", sql("DELETE FROM traffic_plan WHERE generation = 2")),
    ("I19", sql("UPDATE traffic_plan SET share_bp = 9000 WHERE generation = 2")),
    ("I19", sql("UPDATE traffic_plan SET salt = 'chosen' WHERE generation = 2")),
    ("I19", sql("UPDATE traffic_plan SET lease_until = lease_until + interval '1 day'")),
    ("I20", sql("UPDATE ledger_event SET src = 'validated' WHERE dst = 'champion'")),
    ("I20", sql("UPDATE ledger_event SET dst = 'champion' WHERE dst = 'validated'")),
    ("I21", sql(BY_ANOTHER_REVISION)),
    ("I21", sql("UPDATE ledger_event SET actor = 'Mallory' WHERE subject = 'approval:1'")),
    ("I21", sql("DELETE FROM ledger_event WHERE subject = 'platform.yaml'")),
    ("I21", sql("UPDATE config_revision SET body = body || ' '")),
    ("I21", sql("DELETE FROM config_revision")),
    ("I22", sql("UPDATE monitoring_result SET decisions = decisions + 1")),
    ("I22", sql("UPDATE monitoring_result SET window_end = window_end - interval '1 hour'")),
    ("I22", judged_twice),
    ("I22", file(lambda store: store.delete(selection_key(MODEL, WINDOW)))),
    ("I22", file(lambda store: store.put(selection_key(MODEL, WINDOW), segment_list([])))),
    ("I22", file(lambda store: store.put(selection_key(MODEL, WINDOW), b"no Parquet"))),
    ("I22", file(lambda store: store.delete(DECISIONS))),
    ("I22", file(lambda store: decisions(store, (1, 1, SUBJECT)))),
    ("I22", file(lambda store: store.put(extra("g-1"), b"no Parquet"))),
    ("I3", sql("UPDATE ledger_event SET subject = 'mv:99' WHERE dst = 'canary'")),
    ("I6", sql(A_DRAFT_THAT_SERVES)),
]


class Later:
    """So late that everything that was recorded is stored."""

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + IN_FLIGHT


def violated(platform: Installation) -> set[str]:
    platform.__dict__["clock"] = Later()
    found = verify_ledger(platform, invariants=True)
    return {one.id for one in found.invariants if one.breaches}


def test_a_healthy_installation_breaks_nothing(healthy: Installation) -> None:
    found = verify_ledger(healthy, invariants=True)
    assert found.ok, found
    assert [one.id for one in found.invariants] == [f"I{n}" for n in range(1, 23)]
    assert all(one.meaning for one in found.invariants)
    assert found.events > 10


def test_a_file_that_could_not_be_read_has_no_rows_to_count(healthy: Installation) -> None:
    key = "quarantine/flights/2013-02/b-c.rejected"
    healthy.store.put(key, b"no Parquet")
    sql(
        "INSERT INTO validation (dataset, batch, source_key, source_digest, suite_digest, "
        "config_digest, verdict, rows_in, rows_ok, rows_quarantined, quarantine_key, "
        "report_digest) VALUES ('flights', '2013-02', 'k', 'b', 's', 'c', 'failed', 0, 0, 0, "
        f"'{key}', 'r')"
    )(healthy)
    assert violated(healthy) == set()


def test_every_invariant_has_a_mutation() -> None:
    assert {number for number, _ in MUTATIONS} == {f"I{n}" for n in range(1, 23)}


def mutations() -> Iterator[Any]:
    """The first of each invariant every day, all of them in `make test-all`."""
    seen: set[str] = set()
    for n, (number, mutate) in enumerate(MUTATIONS):
        marks = [pytest.mark.exhaustive] if number in seen else []
        seen.add(number)
        yield pytest.param(number, mutate, id=f"{number}-{n}", marks=marks)


@pytest.mark.parametrize(("number", "mutate"), [*mutations()])
def test_each_invariant_can_fail(
    healthy: Installation, number: str, mutate: Callable[[Installation], None]
) -> None:
    mutate(healthy)
    assert number in violated(healthy)


@pytest.mark.parametrize(
    ("name", "statement", "broken_at"),
    [
        ("flipped actor", "UPDATE ledger_event SET actor = 'eve' WHERE seq = 4", 4),
        ("flipped body", """UPDATE ledger_event SET body = '{"a": 0.2}' WHERE seq = 4""", 4),
        ("dropped event", "DELETE FROM ledger_event WHERE seq = 4", 5),
        ("moved in time", "UPDATE ledger_event SET at = at + interval '1 us' WHERE seq = 4", 4),
    ],
)
def test_tampering_is_found_where_it_is(
    healthy: Installation, name: str, statement: str, broken_at: int
) -> None:
    sql(statement)(healthy)
    found = verify_ledger(healthy)
    assert not found.ok, name
    assert found.broken
    assert found.broken.seq == broken_at


def test_a_dropped_tail_is_found_by_the_head_row(healthy: Installation) -> None:
    length = verify_ledger(healthy).events
    sql(f"DELETE FROM ledger_event WHERE seq = {length}")(healthy)
    found = verify_ledger(healthy)
    assert found.broken
    assert found.broken.seq == length
    assert "the head row says" in found.broken.why


@pytest.mark.parametrize("number", [1e22, 1.2345e25, 1e16, -0.0, 1e-7, 0.1, 5e-324, 2**70, -1e300])
def test_numbers_hash_as_the_database_gives_them_back(
    platform: Installation, number: float
) -> None:
    with platform.database.begin() as c:
        platform.ledger.note(c, subject="s", actor="a", body={"n": [number]}, op_key="k")
    assert verify_ledger(platform).ok


def anchored(platform: Installation) -> int:
    """What `maintain_platform` does every few minutes; returns the event that it ended at."""
    assert isinstance(_ledger(platform, RunRef("d", "r", "t")), ChainLength)
    return verify_ledger(platform).events


def rewritten(platform: Installation, since: int) -> None:
    """By somebody who owns the database and knows the code: every hash, link and the head fit."""
    as_owner(platform, f"UPDATE ledger_event SET actor = 'somebody else' WHERE seq >= {since}")
    rechain(platform)


def without_reports(platform: Installation) -> None:
    sql("DELETE FROM report WHERE stage = 'ledger'")(platform)


def without_objects(platform: Installation) -> None:
    for key in list(platform.store.list("anchors/")):
        platform.store.delete(key)


@pytest.mark.parametrize(
    ("name", "change", "since", "says"),
    [
        ("all of it", None, 1, "says that it had hash"),
        ("behind the first anchor", None, 12, None),
        ("its reports too", without_reports, 1, "its anchor in the object store says"),
        ("the store too", without_objects, 1, "its anchor"),
    ],
)
def test_a_chain_that_was_rewritten_with_right_hashes_is_found_by_its_anchors(
    healthy: Installation,
    name: str,
    change: Callable[[Installation], None] | None,
    since: int,
    says: str | None,
) -> None:
    first = anchored(healthy)
    with healthy.database.begin() as c:
        healthy.ledger.note(c, subject="s", actor="a", body={}, op_key="one more")
    second = anchored(healthy)
    assert verify_ledger(healthy).anchors == 2
    since = first + 1 if says is None else since
    rewritten(healthy, since)
    if change is not None:
        change(healthy)
    found = verify_ledger(healthy)
    assert found.broken, name
    assert found.broken.seq == (second if says is None else first)
    assert (says or "says that it had hash") in found.broken.why
    with pytest.raises(LedgerBroken):
        _ledger(healthy, RunRef("d", "r", "t"))


def test_without_a_witness_who_rewrites_the_database_and_empties_the_store_is_not_found(
    healthy: Installation,
) -> None:
    """As README says: whoever holds both leaves no trace here; a witness outside sees it."""
    anchored(healthy)
    rewritten(healthy, 1)
    without_reports(healthy)
    without_objects(healthy)
    assert verify_ledger(healthy).broken is None


@pytest.mark.parametrize("kept", [True, False])
def test_a_chain_that_was_cut_is_shorter_than_its_anchors(
    healthy: Installation, kept: bool
) -> None:
    last = anchored(healthy)
    sql(
        f"DELETE FROM ledger_event WHERE seq = {last}",
        "UPDATE ledger_head SET (seq, hash) = "
        f"(SELECT seq, hash FROM ledger_event WHERE seq = {last - 1})",
    )(healthy)
    if not kept:
        without_reports(healthy)
    found = verify_ledger(healthy)
    assert found.broken
    assert (found.broken.seq, "there is no such event" in found.broken.why) == (last, True)


def test_an_anchor_that_is_gone_from_the_store_is_said(healthy: Installation) -> None:
    last = anchored(healthy)
    without_objects(healthy)
    found = verify_ledger(healthy)
    assert found.broken
    assert found.broken.seq == last
    assert found.broken.why.endswith("is gone from the object store")


def test_killed_between_anchor_and_report_the_next_run_goes_on(
    healthy: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(healthy.reports, "save", die)
        with pytest.raises(KeyboardInterrupt):
            _ledger(healthy, RunRef("d", "r", "t"))
    assert verify_ledger(healthy).anchors == 1
    anchored(healthy)
    assert verify_ledger(healthy).ok
    assert len(list(healthy.store.list("anchors/"))) == 1


AS_ITS_ROW_NOW = """
    UPDATE ledger_event SET body = body || jsonb_build_object('row', '{digest}'::text)
    WHERE seq = {seq}
"""


def seq_of(platform: Installation, subject: str) -> int:
    """Number of the newest event about a subject."""
    with platform.database.begin() as c:
        return chain.events_of(c, subject)[-1].seq


def another_actor(platform: Installation) -> int:
    as_owner(platform, "UPDATE ledger_event SET actor = 'eve' WHERE seq = 4")
    return 4


def another_approver(platform: Installation) -> int:
    """The row and its event, so that they fit each other."""
    as_owner(platform, "UPDATE approval SET approver = 'heidi' WHERE model_version_id = 2")
    with platform.database.begin() as c:
        row = next(one for one in approvals.every(c) if one.model_version_id == 2)
    seq = seq_of(platform, row.subject)
    as_owner(
        platform,
        f"UPDATE ledger_event SET actor = 'heidi' WHERE seq = {seq}",
        AS_ITS_ROW_NOW.format(digest=row.digest, seq=seq),
    )
    return seq


def another_reason(platform: Installation) -> int:
    """A traffic plan had another reason, says its row, and its event too."""
    as_owner(platform, "UPDATE traffic_plan SET reason = 'as agreed' WHERE generation = 2")
    with platform.database.begin() as c:
        row = plans.newest(c, MODEL)
    assert row is not None
    seq = seq_of(platform, f"plan:{MODEL}")
    as_owner(
        platform,
        f"""UPDATE ledger_event SET body = body || '{{"reason": "as agreed"}}' WHERE seq = {seq}""",
        AS_ITS_ROW_NOW.format(digest=row_digest(asdict(row)), seq=seq),
    )
    return seq


def no_tail(platform: Installation) -> int:
    """The last two events, which are about nothing but themselves."""
    last = verify_ledger(platform).events
    as_owner(platform, f"DELETE FROM ledger_event WHERE seq >= {last - 1}")
    return last - 1


@pytest.fixture
def witnessed(healthy: Installation, tmp_path: Path) -> Iterator[tuple[Installation, str]]:
    """A healthy installation whose witness saw all of it, and the checkpoint that somebody kept."""
    witness = WitnessThread(tmp_path / "witness", log_key(healthy))
    configured(healthy, witness.policy)
    for name in ("the last but one", "the last"):
        with healthy.database.begin() as c:
            healthy.ledger.note(c, subject="s", actor="ada", body={}, op_key=name)
    _ledger(healthy, RunRef("d", "r", "t"))
    make_checkpoint(healthy, RunRef("d", "r", "t"))
    yield healthy, witness.witness.newest().body
    witness.stop()


@pytest.mark.parametrize(
    ("change", "empties"),
    [
        (another_actor, False),
        (another_approver, False),
        (another_reason, False),
        (no_tail, False),
        (another_actor, True),
    ],
)
def test_a_superuser_who_rewrites_all_of_it_is_found_by_the_witness(
    witnessed: tuple[Installation, str],
    change: Callable[[Installation], int],
    empties: bool,
) -> None:
    """The row and its event, the whole chain and every anchor; with the object store besides."""
    platform, kept = witnessed
    assert verify_ledger(platform).ok
    seq = change(platform)
    rechain(platform)
    forget(platform)
    without_objects(platform)
    if empties:
        for key in list(platform.store.list("ledger/")):
            platform.store.delete(key)
    alone = configured(Installation(platform.settings), LedgerPolicy())
    assert verify_ledger(alone).ok, "the database is at one with itself"
    alone.database.dispose()
    for found in (verify_ledger(platform), verify_ledger(platform, checkpoint=kept)):
        assert found.broken is not None
        assert not found.ok
        assert found.broken.seq == (1 if empties else seq)
        assert "witness.example/w1 cosigned on" in found.broken.why
    with pytest.raises(LedgerBroken):
        make_checkpoint(platform, RunRef("d", "r", "t"))


@pytest.mark.parametrize(
    ("name", "statement", "rule"),
    [
        ("an approval", "UPDATE approval SET note = 'fine' WHERE model_version_id = 2", "I19"),
        ("an approval without its event", AN_APPROVAL, "I19"),
        ("a plan's reason", "UPDATE traffic_plan SET reason = 'x' WHERE generation = 2", "I19"),
        ("a state", "UPDATE model_version SET state = 'superseded' WHERE version = 1", "I6"),
    ],
)
def test_rows_are_compared_with_their_events_each_time(
    healthy: Installation, name: str, statement: str, rule: str
) -> None:
    assert [one.id for one in verify_ledger(healthy).invariants] == ["I3", "I6", "I19"]
    as_owner(healthy, statement)
    found = verify_ledger(healthy)
    assert (found.broken, found.ok) == (None, False), name
    assert rule in {one.id for one in found.invariants if one.breaches}
    assert found.first_fault.startswith(rule)


def test_a_witness_that_does_not_answer_is_said_and_a_kept_checkpoint_counts(
    witnessed: tuple[Installation, str],
) -> None:
    platform, kept = witnessed
    policy = platform.config.ledger.witness
    assert policy is not None
    away = policy.model_copy(update={"url": "http://127.0.0.1:9"})
    configured(platform, platform.config.ledger.model_copy(update={"witness": away}))
    found = verify_ledger(platform)
    assert (found.ok, found.checkpoints) == (True, [])
    assert found.unwitnessed == "The witness http://127.0.0.1:9 gave no answer: ConnectError."
    found = verify_ledger(platform, checkpoint=kept)
    assert (found.ok, len(found.checkpoints)) == (True, 1)
    rewritten(platform, 5)
    assert not verify_ledger(platform, checkpoint=kept).ok


def test_a_witness_that_saw_nothing_vouches_for_nothing(
    platform: Installation, tmp_path: Path
) -> None:
    witness = WitnessThread(tmp_path / "witness", log_key(platform))
    try:
        found = verify_ledger(configured(platform, witness.policy))
    finally:
        witness.stop()
    assert found.unwitnessed == "The witness has seen nothing of this ledger yet."
    assert not found.checkpoints
