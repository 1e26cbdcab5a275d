"""What the gateway's own database role may do, and that its writes only go forwards."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tenure.adapters.sql import incidents, serving, tables, versions
from tenure.adapters.sql.database import Database
from tenure.errors import ConfigInvalid, StateConflict
from tenure.installation import Installation
from tenure.lifecycle.serving import TrafficPlan
from tenure.usecases.serving.api_keys import create_key, key_id, list_keys, revoke_key
from tenure.usecases.serving.gateway import GatewayInstallation, PlanSource

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PLAN = TrafficPlan("m", 3, 1, 1, None, 0, "s", None, None, NOW, None)


@pytest.fixture
def database(platform: Installation) -> Iterator[Database]:
    """The same database as `tenure_gateway`, with one model in it."""
    with platform.database.begin() as c:
        versions.register_model(c, name="m", owner="ada", risk_tier="limited", purpose="a test")
    url = platform.settings.database_url.replace("postgres@", "tenure_gateway@")
    made = Database(url)
    yield made
    made.dispose()


def test_what_is_read_says_when_by_the_clock_of_the_database(database: Database) -> None:
    with database.begin() as c:
        before = c.execute(text("SELECT clock_timestamp()")).scalar_one()
        read_at = serving.catalog(c).read_at
        after = c.execute(text("SELECT clock_timestamp()")).scalar_one()
    assert read_at is not None
    assert before <= read_at <= after


def test_role_can_do_its_work(database: Database) -> None:
    with database.begin() as c:
        assert c.execute(text("SELECT current_user")).scalar_one() == "tenure_gateway"
        assert serving.catalog(c).models == ["m"]
        assert serving.version_rows(c, [1]) == {}
        serving.acknowledge(c, gateway="gw", plan=PLAN, seen_at=NOW)
        for _ in range(2):
            incidents.open_incident(
                c,
                dedupe_key="artifact:m@1",
                kind="artifact_refused",
                subject="m@1",
                summary="x",
                at=NOW,
            )
        assert c.execute(select(tables.incident.c.seen)).scalar_one() == 2


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE model SET owner = 'mallory'",
        "INSERT INTO gateway_key (key_digest, name, scopes) VALUES ('a', 'b', '[]')",
        "INSERT INTO traffic_plan DEFAULT VALUES",
        "UPDATE model_version SET state = 'champion'",
        "SELECT * FROM approval",
        "DELETE FROM gateway_ack",
        "UPDATE model SET watermark = now()",
        "SELECT * FROM model FOR UPDATE",
        "SELECT * FROM model_version FOR SHARE",
        "LOCK TABLE ledger_head IN SHARE ROW EXCLUSIVE MODE",
        "LOCK TABLE ledger_event IN ROW SHARE MODE",
        "LOCK TABLE traffic_plan IN SHARE ROW EXCLUSIVE MODE",
        "UPDATE incident SET kind = 'monitoring'",
        "UPDATE incident SET opened_by = 'tenure_gateway'",
        "UPDATE incident SET dedupe_key = 'x'",
        "INSERT INTO incident (dedupe_key, kind, subject, severity, summary, opened_by) "
        "VALUES ('a', 'b', 'c', 'sev2', 'd', 'postgres')",
        "UPDATE incident SET owner = 'mallory', acknowledged_at = now()",
        "UPDATE incident SET untold = false",
        "SELECT * FROM incident_event",
        "INSERT INTO incident_event (incident_id, kind) VALUES (1, 'closed')",
        "SELECT * FROM incident_member",
        "SELECT * FROM remediation",
        "INSERT INTO remediation (incident_id, action, owner, due, written_by) "
        "VALUES (1, 'a', 'b', now(), 'c')",
        "UPDATE incident SET remediated_at = now()",
        "INSERT INTO outbox (op_key, topic) VALUES ('a', 'alert')",
        "DELETE FROM incident",
    ],
)
def test_role_can_do_nothing_else(database: Database, statement: str) -> None:
    with pytest.raises(DBAPIError, match="permission denied"), database.begin() as c:
        c.execute(text(statement))


@pytest.mark.parametrize(
    "change",
    [
        "state = 'closed', closed_at = now()",
        "summary = 'nothing to see'",
        "severity = 'sev3'",
        "facts = '{}'",
        "seen = 1",
    ],
)
def test_role_changes_no_incident_that_it_did_not_open(
    platform: Installation, database: Database, change: str
) -> None:
    """What monitoring says of the version that a gateway serves is not the gateway's."""
    with platform.database.begin() as c:
        incidents.open_incident(
            c, dedupe_key="monitoring:m", kind="monitoring", subject="m@1", summary="x", at=NOW
        )
    refused = "was opened by postgres, not by tenure_gateway"
    with pytest.raises(StateConflict, match=refused), database.begin() as c:
        c.execute(text(f"UPDATE incident SET {change}"))
    with pytest.raises(StateConflict, match="was opened by postgres"), database.begin() as c:
        incidents.open_incident(
            c, dedupe_key="monitoring:m", kind="monitoring", subject="m@1", summary="y", at=NOW
        )
    with database.begin() as c:
        incidents.open_incident(
            c, dedupe_key="own", kind="artifact_refused", subject="m@1", summary="x", at=NOW
        )
        c.execute(text(f"UPDATE incident SET {change} WHERE dedupe_key = 'own'"))
    with platform.database.begin() as c:  # others may: an operator closes what a gateway opened
        c.execute(text("UPDATE incident SET state = 'closed', closed_at = now()"))
        assert c.execute(text("SELECT summary FROM incident ORDER BY id")).scalars().first() == "x"


def test_role_restores_a_grave_incident_and_closes_none(database: Database) -> None:
    with database.begin() as c:
        for _ in range(2):  # it came back
            incidents.open_incident(
                c, dedupe_key="own", kind="model_crashed", subject="m@1", summary="x", at=NOW
            )
            assert incidents.close_incident(c, dedupe_key="own", at=NOW)
            assert c.execute(select(tables.incident.c.state)).scalars().all() == ["restored"]
    with pytest.raises(StateConflict, match="sev1_is_remediated"), database.begin() as c:
        c.execute(text("UPDATE incident SET state = 'closed', closed_at = now()"))


@pytest.mark.parametrize(
    ("model", "ahead", "set_"),
    [
        pytest.param("served", timedelta(0), True, id="a model that is served"),
        pytest.param("served", timedelta(hours=23), True, id="by a clock that is ahead"),
        pytest.param("served", timedelta(days=2), False, id="far ahead"),
        pytest.param("m", timedelta(0), False, id="a model that is not served"),
    ],
)
def test_role_moves_watermarks_of_served_models(
    platform: Installation, database: Database, model: str, ahead: timedelta, set_: bool
) -> None:
    with platform.database.begin() as c:
        versions.register_model(c, name="served", owner="a", risk_tier="limited", purpose="t")
        versions.create_draft(c, model_name="served", trained_by="ada", training_key="k")
        c.execute(text("SET LOCAL session_replication_role = replica"))
        c.execute(
            text(
                "INSERT INTO traffic_plan (model, generation, fence, champion_id, share_bp, salt, "
                "champion_until, reason, actor) VALUES ('served', 1, 1, 1, 0, 's', now(), 'r', 'a')"
            )
        )
    reached = datetime.now(tz=UTC) + ahead

    def move() -> None:
        with database.begin() as c:
            serving.advance_watermark(c, model, reached)
            serving.advance_watermark(c, model, reached - timedelta(days=1))

    if set_:
        move()
    else:
        with pytest.raises(StateConflict, match="may not set the watermark"):
            move()
    with platform.database.begin() as c:
        query = text("SELECT watermark FROM model WHERE name = :m")
        assert c.execute(query, {"m": model}).scalar_one() == (reached if set_ else None)


KINDS = {"artifact_refused", "variant_refused", "other_libraries", "model_crashed"}
STAY = {"other_libraries", "model_crashed"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_said_of_a_version_ends_with_its_service(platform: Installation, kind: str) -> None:
    for number in (1, 2):
        PlanSource(platform, "gw").report_failure("m", number, kind, "why")
    with platform.database.begin() as c:
        incidents.close_incidents_of(c, version="m@1", at=NOW)
        rows = c.execute(select(tables.incident.c.subject, tables.incident.c.state))
        over = "restored" if kind == "model_crashed" else "closed"
        assert {tuple(row) for row in rows} == {("m@1", over), ("m@2", "open")}


@pytest.mark.parametrize(
    ("state", "note", "left"),
    [
        pytest.param("superseded", "", set(), id="on trial"),
        pytest.param("superseded", "flipped byte.", {"variant_refused"}, id="on trial, native"),
        pytest.param("champion", "", {"variant_refused", *STAY}, id="champion"),
        pytest.param("canary", "x", {"variant_refused", *STAY}, id="canary, native"),
    ],
)
def test_what_is_over_when_a_version_loads(
    platform: Installation, database: Database, state: str, note: str, left: set[str]
) -> None:
    """Under the gateway's own role. Another version's incidents are not touched."""
    with platform.database.begin() as c:
        versions.create_draft(c, model_name="m", trained_by="ada", training_key="k")
        c.execute(text("SET LOCAL session_replication_role = replica"))
        named = ("artifact_digest", "signature", "evaluation_report", "bias_report")
        evidence = ", ".join(f"{name} = 'x'" for name in named)
        c.execute(text(f"UPDATE model_version SET state = :state, {evidence}"), {"state": state})
    source = PlanSource(_as(platform, database), "gw-a")
    for version in (1, 2):
        for kind in KINDS:
            source.report_failure("m", version, kind, "why")
    source.report_load("m", 1, began=datetime.now(tz=UTC), note=note)
    assert still_open(platform) == {("m@1", kind) for kind in left} | {("m@2", k) for k in KINDS}


@pytest.mark.parametrize("count", [1, 2])
def test_what_another_gateway_says_in_the_same_trial_stays(
    platform: Installation, count: int
) -> None:
    """Also where it only said once more what is open since long."""
    here, there = PlanSource(platform, "gw-a"), PlanSource(platform, "gw-b")
    if count == 2:
        there.report_failure("m", 1, "artifact_refused", "no room")
    began = datetime.now(tz=UTC)
    there.report_failure("m", 1, "artifact_refused", "no room")
    here.report_load("m", 1, began=began, note="")
    assert still_open(platform) == {("m@1", "artifact_refused")}
    here.report_load("m", 1, began=datetime.now(tz=UTC), note="")
    assert still_open(platform) == set()


def test_an_incident_of_an_older_gateway_says_not_when_it_was_seen(platform: Installation) -> None:
    with platform.database.begin() as c:
        incidents.open_incident(
            c,
            dedupe_key="artifact_refused:m@1",
            kind="artifact_refused",
            subject="m@1",
            summary="x",
            at=NOW,
        )
    source = PlanSource(platform, "gw")
    source.report_load("m", 1, began=NOW, note="")
    assert len(still_open(platform)) == 1
    source.report_load("m", 1, began=NOW + timedelta(seconds=1), note="")
    assert still_open(platform) == set()


def _as(platform: Installation, database: Database) -> Installation:
    """The installation as that role sees it."""
    made = Installation(platform.settings)
    made.__dict__["database"] = database
    return made


def still_open(platform: Installation) -> set[tuple[str, str]]:
    with platform.database.begin() as c:
        chosen = select(tables.incident.c.subject, tables.incident.c.kind)
        rows = c.execute(chosen.where(tables.incident.c.state == "open"))
        return {(row.subject, row.kind) for row in rows}


def test_watermark_only_moves_forwards(platform: Installation, database: Database) -> None:
    seen = []
    for step in (1, 0, 2):
        with platform.database.begin() as c:
            serving.advance_watermark(c, "m", NOW + timedelta(hours=step))
            seen.append(c.execute(select(tables.model.c.watermark)).scalar_one())
    assert seen == [NOW + timedelta(hours=h) for h in (1, 1, 2)]


def test_older_acknowledgement_never_replaces_a_newer_one(database: Database) -> None:
    for generation in (3, 2):
        with database.begin() as c:
            plan = replace(PLAN, generation=generation)
            serving.acknowledge(c, gateway="gw", plan=plan, seen_at=NOW)
    with database.begin() as c:
        assert c.execute(select(tables.gateway_ack.c.generation)).scalars().all() == [3]


def test_keys_are_stored_as_digests_and_end(platform: Installation, database: Database) -> None:
    secret = create_key(platform, "app", ["score"], actor="olga")
    second = create_key(platform, "app", ["score", "outcome"], actor="olga")
    assert secret != second
    with database.begin() as c:
        stored = c.execute(select(tables.gateway_key)).all()
        assert secret not in str(stored)
        assert {key.name for key in serving.catalog(c).keys} == {"app"}
    assert revoke_key(platform, "app", actor="olga") == 2
    assert revoke_key(platform, "app", actor="olga") == 0
    with database.begin() as c:
        assert serving.catalog(c).keys == []
    with platform.database.begin() as c:
        events = c.execute(select(tables.ledger_event.c.subject, tables.ledger_event.c.actor))
        assert events.all() == [("key:app", "olga")] * 3


def test_one_of_two_keys_is_revoked_by_its_id(platform: Installation) -> None:
    old, new = (create_key(platform, "app", ["score"]) for _ in range(2))
    assert revoke_key(platform, "app", key_id=key_id(old)) == 1
    assert revoke_key(platform, "app", key_id="%") == 0
    with platform.database.begin() as c:
        (left,) = serving.catalog(c).keys
    assert left.digest.startswith(key_id(new))
    assert [bool(row.revoked_at) for row in list_keys(platform)] == [True, False]


def test_key_of_one_model_with_a_rate(platform: Installation, database: Database) -> None:
    create_key(platform, "app", ["score"], models=["m"], rows_per_second=5)
    with database.begin() as c:
        (key,) = serving.catalog(c).keys
    assert (key.models, key.rows_per_second) == (["m"], 5)
    with pytest.raises(ConfigInvalid, match=r"limited to \['ghost'\]; registered are \['m'\]"):
        create_key(platform, "app", ["score"], models=["ghost"])


def test_gateway_notes_the_last_use_and_nothing_else_of_a_key(
    platform: Installation, database: Database
) -> None:
    create_key(platform, "app", ["score"])
    with database.begin() as c:
        digests = [key.digest for key in serving.catalog(c).keys]
    seen = []
    for step in (1, 0, 2):
        with database.begin() as c:
            serving.note_use(c, digests, at=NOW + timedelta(hours=step))
        seen.append(list_keys(platform)[0].last_used_at)
    assert seen == [NOW + timedelta(hours=h) for h in (1, 1, 2)]
    with pytest.raises(DBAPIError, match="permission denied"), database.begin() as c:
        c.execute(text("UPDATE gateway_key SET revoked_at = NULL"))


@pytest.mark.parametrize(
    ("name", "scopes"), [("../app", ["score"]), ("app", []), ("app", ["everything"])]
)
def test_bad_keys(platform: Installation, name: str, scopes: Any) -> None:
    with pytest.raises(ConfigInvalid, match="scopes of score, outcome, feedback, metrics, admin"):
        create_key(platform, name, scopes)


def test_hint_wakes_before_the_poll(platform: Installation, database: Database) -> None:
    import threading
    import time

    source = GatewayInstallation(platform, "gw").source
    source.wait(0.01)

    def notify() -> None:
        time.sleep(0.3)
        with platform.database.begin() as c:
            c.execute(text("SELECT pg_notify('tenure_plan', 'm')"))

    thread = threading.Thread(target=notify)
    thread.start()
    began = time.monotonic()
    source.wait(10)
    assert time.monotonic() - began < 5
    thread.join()
    source.close()


def test_wait_without_a_database_just_waits() -> None:
    import time

    hints = serving.PlanHints(Database("postgresql+psycopg://postgres@/x?host=/nowhere"))
    began = time.monotonic()
    hints.wait(0.1)
    assert 0.1 <= time.monotonic() - began < 6
