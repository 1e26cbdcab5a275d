"""The lifecycle database hangs, is cut off, is full, or goes away exactly at COMMIT."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tenure.adapters.sql import serving, versions
from tenure.adapters.sql.database import Database
from tenure.errors import ServiceUnreachable
from tenure.lifecycle.serving import TrafficPlan

pytestmark = pytest.mark.service
MODEL = "m"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PATIENCE = 0.4


def plan(generation: int) -> TrafficPlan:
    return TrafficPlan(MODEL, generation, 1, 1, None, 0, "salt", None, None, NOON, None)


@pytest.fixture
def database(fresh_database_url: str, wire: Any) -> Iterator[Database]:
    """As a gateway has it, over the wire."""
    direct = Database(fresh_database_url)
    with direct.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="t")
    direct.dispose()
    made = Database(wire.url(fresh_database_url), patience_seconds=PATIENCE)
    yield made
    made.dispose()


def watermark(database: Database) -> datetime | None:
    with database.begin() as c:
        return c.execute(text("SELECT watermark FROM model")).scalar_one()


@pytest.mark.fault
@pytest.mark.parametrize("warm", [True, False], ids=["open connection", "no connection yet"])
def test_a_database_that_hangs_is_given_up_and_found_again(
    database: Database, wire: Any, warm: bool
) -> None:
    if warm:
        assert watermark(database) is None
    wire.mode = "hold"
    with pytest.raises(ServiceUnreachable):
        watermark(database)
    wire.mode = "pass"
    assert watermark(database) is None


def test_it_hangs_in_the_middle_of_a_transaction(database: Database, wire: Any) -> None:
    def hang() -> None:
        with database.begin() as c:
            serving.advance_watermark(c, MODEL, NOON)
            wire.mode = "hold"

    with pytest.raises(ServiceUnreachable):
        hang()
    wire.mode = "pass"
    assert watermark(database) is None


@pytest.mark.fault
def test_hints_do_not_hang(database: Database, wire: Any) -> None:
    wire.mode = "hold"
    done = threading.Event()

    def listen() -> None:
        serving.PlanHints(database).wait(0.05)
        done.set()

    threading.Thread(target=listen, daemon=True).start()
    assert done.wait(30)


@pytest.mark.parametrize("how", ["lose_reply", "lose_request"])
def test_connection_lost_at_commit_of_a_watermark(database: Database, wire: Any, how: str) -> None:
    """F20: the writer does not know whether it happened; doing it again gives the same."""
    wire.at_commit = how
    with pytest.raises(ServiceUnreachable), database.begin() as c:
        serving.advance_watermark(c, MODEL, NOON)
    assert wire.lost == 1
    for moment in (NOON, NOON - timedelta(days=1)):
        with database.begin() as c:
            serving.advance_watermark(c, MODEL, moment)
    assert watermark(database) == NOON


@pytest.mark.parametrize("how", ["lose_reply", "lose_request"])
def test_connection_lost_at_commit_of_an_acknowledgement(
    database: Database, wire: Any, how: str
) -> None:
    def acknowledge(generation: int) -> None:
        with database.begin() as c:
            serving.acknowledge(c, gateway="gw", plan=plan(generation), seen_at=NOON)

    wire.at_commit = how
    with pytest.raises(ServiceUnreachable):
        acknowledge(2)
    acknowledge(2)
    acknowledge(1)
    with database.begin() as c:
        rows = c.execute(text("SELECT gateway_id, generation FROM gateway_ack")).all()
    assert rows == [("gw", 2)]


def test_deadlock_has_one_winner_and_the_other_may_try_again(database: Database) -> None:
    """F21: two watermarks in opposite order; the database ends one of the two."""
    with database.begin() as c:
        versions.register_model(c, name="n", owner="ada", risk_tier="limited", purpose="t")
    both = threading.Barrier(2)
    lost: list[str] = []
    patient = Database(database.engine.url.render_as_string(hide_password=False))

    def move(first: str, second: str, at: datetime) -> None:
        def once(wait: bool) -> None:
            with patient.begin() as c:
                serving.advance_watermark(c, first, at)
                if wait:
                    both.wait(10)
                serving.advance_watermark(c, second, at)

        try:
            once(wait=True)
        except ServiceUnreachable as error:
            lost.append(error.what)
            once(wait=False)

    later = NOON + timedelta(hours=1)
    threads = [
        threading.Thread(target=move, args=(MODEL, "n", NOON)),
        threading.Thread(target=move, args=("n", MODEL, later)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(lost) == 1
    assert "deadlock" in lost[0]
    with patient.begin() as c:
        assert c.execute(text("SELECT DISTINCT watermark FROM model")).scalars().all() == [later]
    patient.dispose()


def test_no_connection_left_is_said_and_passes(fresh_database_url: str) -> None:
    """F22."""
    database = Database(fresh_database_url, pool_size=1, pool_seconds=0.1)
    database.engine.pool._max_overflow = 0  # type: ignore[attr-defined]
    with database.begin():
        began = time.monotonic()
        with pytest.raises(ServiceUnreachable) as refused, database.begin():
            pass
        assert time.monotonic() - began < 5
    assert refused.value.what == (
        "Every connection of this process to the lifecycle database is busy."
    )
    with database.begin() as c:
        assert c.execute(text("SELECT 1")).scalar_one() == 1
    database.dispose()


MANY = tuple(range(65_536))


@pytest.mark.parametrize(
    ("statement", "parameters", "cause"),
    [
        pytest.param(
            f"SELECT ARRAY[{','.join(['%s'] * len(MANY))}]::int[]",
            MANY,
            "number of parameters",
            id="more parameters than libpq sends",
        ),
        pytest.param(
            "UPDATE model SET owner = "
            "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 1000) n)",
            (),
            "index row",
            id="more than fits into an index",
        ),
    ],
)
def test_a_statement_that_can_never_be_done_is_not_called_a_database_that_is_away(
    database: Database, statement: str, parameters: tuple[int, ...], cause: str
) -> None:
    """Who tries again what heals would try it for ever."""
    patient = Database(database.engine.url.render_as_string(hide_password=False))
    with patient.begin() as c:
        c.execute(text("ALTER TABLE model ALTER owner TYPE text"))
        c.execute(text("CREATE INDEX by_owner ON model (owner)"))
    with pytest.raises(OperationalError, match=cause), patient.begin() as c:
        c.exec_driver_sql(statement, parameters)
    with patient.begin() as c:
        assert c.execute(text("SELECT 1")).scalar_one() == 1
    patient.dispose()


HOLDS = {
    "a row": "SELECT 1 FROM model FOR UPDATE",
    "the ledger": "LOCK TABLE ledger_head IN SHARE ROW EXCLUSIVE MODE",
    "an advisory lock": "SELECT pg_advisory_xact_lock(1)",
    "a table": "LOCK TABLE model IN ACCESS EXCLUSIVE MODE",
}
WANTS = {
    "a row": "UPDATE model SET purpose = 'x'",
    "the ledger": "LOCK TABLE ledger_head IN SHARE ROW EXCLUSIVE MODE",
    "an advisory lock": "SELECT pg_advisory_xact_lock(1)",
    "a table": "SELECT 1 FROM model",
}


@pytest.mark.fault
@pytest.mark.parametrize("what", HOLDS)
def test_who_holds_a_lock_is_named(fresh_database_url: str, what: str) -> None:
    """The one who blocks, and not one who only waits as well, nor one who only reads."""
    holder = Database(fresh_database_url, application="a holder")
    reader = Database(fresh_database_url, application="a reader")
    waiter = Database(fresh_database_url, application="waits too", lock_seconds=60)
    mine = Database(fresh_database_url, lock_seconds=0.2)
    with holder.begin() as c:
        versions.register_model(c, name=MODEL, owner="ada", risk_tier="limited", purpose="t")

    def want(database: Database) -> None:
        with database.begin() as c:
            c.execute(text(WANTS[what]))

    with reader.begin() as idle, holder.begin() as c:
        idle.execute(text("SELECT 1 FROM report"))
        c.execute(text(HOLDS[what]))
        pid = c.execute(text("SELECT pg_backend_pid()")).scalar_one()
        other = threading.Thread(target=want, args=(waiter,))
        other.start()
        until_waits(mine, "waits too")
        with pytest.raises(ServiceUnreachable) as caught:
            want(mine)
    other.join(30)
    want(mine)
    assert caught.value.what.startswith(
        "Somebody else holds a lock in the lifecycle database, for which this waited 0.2 s: "
        f"pid {pid} (postgres, a holder, idle in transaction in a transaction of "
    )
    assert "waits too" not in caught.value.what
    assert "a reader" not in caught.value.what
    assert f"pg_terminate_backend({pid})" in caught.value.what
    for database in (holder, reader, waiter, mine):
        database.dispose()


def until_waits(database: Database, application: str) -> None:
    """Each look is a transaction of its own: within one, PostgreSQL answers what it did before."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE application_name = :name AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 30
    while True:
        with database.begin() as c:
            if c.execute(query, {"name": application}).scalar_one():
                return
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("patience", "lock", "expected"), [(None, 10.0, "10s"), (10.0, 10.0, "5s"), (10.0, 1.0, "1s")]
)
def test_it_waits_for_a_lock_for_so_long(
    fresh_database_url: str, patience: float | None, lock: float, expected: str
) -> None:
    database = Database(fresh_database_url, patience_seconds=patience, lock_seconds=lock)
    with database.begin() as c:
        assert c.execute(text("SHOW lock_timeout")).scalar_one() == expected
        name = c.execute(text("SHOW application_name")).scalar_one()
    assert name.startswith(f"tenure pid {os.getpid()} on ")
    database.dispose()
