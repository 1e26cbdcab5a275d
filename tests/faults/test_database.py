"""A real gateway whose database loses its answers, ends its transactions, or has no room for it."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import MODEL, Asking, settle, soon
from served import Process
from sqlalchemy import text

from tenure.installation import Installation

pytestmark = [pytest.mark.service, pytest.mark.fault]
ENDED = {0, -15}
NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)
SECOND_LOCK = 4711
CROSSED = f"""
CREATE FUNCTION second_lock() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock({SECOND_LOCK}); RETURN NULL; END $$;
CREATE TRIGGER second_lock AFTER UPDATE OF watermark ON model
FOR EACH ROW EXECUTE FUNCTION second_lock();
"""
"""Whoever moves a watermark holds its row already when it asks for a second lock."""
HELD_POOL = """
import os, pathlib, threading, time
from tenure.adapters.sql import database
begin = database.Database.__init__
def held(self, *args, **kwargs):
    begin(self, *args, **kwargs)
    threading.Thread(target=hold, args=(self.engine,), daemon=True).start()
def hold(engine):
    fault, mine = pathlib.Path(os.environ["FAULT"]), []
    while True:
        if fault.exists() and len(mine) < engine.pool.size() + engine.pool._max_overflow:
            mine.append(engine.raw_connection())
        elif mine and not fault.exists():
            mine.pop().close()
        else:
            time.sleep(0.05)
database.Database.__init__ = held
"""
"""Somebody in the gateway's process takes every connection of its pool and keeps it."""


@pytest.fixture
def told(asking: Asking) -> Callable[[datetime], None]:
    """Tells the gateway how far outcomes go: a write to its database, some time afterwards."""

    def tell(watermark: datetime) -> None:
        answer = httpx.post(
            f"{asking.url}/v2/models/{MODEL}/outcomes",
            json={"outcomes": [], "watermark": watermark.isoformat()},
            headers={"Authorization": asking.keys["outcome"]},
            timeout=15,
        )
        assert answer.status_code == 200, answer.text

    return tell


def watermark(platform: Installation) -> datetime | None:
    with platform.database.begin() as c:
        return c.execute(text("SELECT watermark FROM model")).scalar_one()  # type: ignore[no-any-return]


def acknowledged(platform: Installation) -> list[tuple[str, int]]:
    with platform.database.begin() as c:
        rows = c.execute(text("SELECT gateway_id, generation FROM gateway_ack"))
        return [(row.gateway_id, row.generation) for row in rows]


@contextmanager
def deadlocked(platform: Installation) -> Iterator[None]:
    """Waits, with the second lock, for the row of whoever waits for that with the row; wins."""
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with platform.database.begin() as mine:
        mine.execute(text("SET LOCAL deadlock_timeout = '60s'"))  # the other one finds it first
        mine.execute(text(f"SELECT pg_advisory_xact_lock({SECOND_LOCK})"))
        yield
        soon(lambda: mine.execute(text(waits)).scalar_one() == 1)
        mine.execute(text("UPDATE model SET purpose = 'crossed'"))


@pytest.mark.parametrize("how", ["lose_reply", "lose_request"])
def test_connection_lost_at_commit(  # noqa: PLR0917  (fixtures)
    platform: Installation,
    process: Process,
    asking: Asking,
    told: Callable[[datetime], None],
    wire: Any,
    wired: Callable[[Process], Process],
    how: str,
) -> None:
    """F20: of plans that are acknowledged and of watermarks; each stands once, none is lost."""
    champion = asking.life.champion(1)
    wired(process).start()
    with asking:
        for turn, what in enumerate([b"gateway_ack", b"tenure_advance_watermark"] * 3, 1):
            soon(lambda turn=turn: acknowledged(platform) == [("gw-a", turn)])
            wire.at_commit, wire.after = how, what
            asking.life.publish(champion)
            told(NOON + timedelta(hours=turn))
            soon(lambda turn=turn: wire.lost == turn)
            asking.wait(20)
        told(NOON)
        soon(lambda: acknowledged(platform) == [("gw-a", 7)])
        soon(lambda: watermark(platform) == NOON + timedelta(hours=6))
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    assert watermark(platform) == NOON + timedelta(hours=6)
    settle(platform, asking, unanswered=0)


def test_deadlock(
    platform: Installation, process: Process, asking: Asking, told: Callable[[datetime], None]
) -> None:
    """F21: the database ends the gateway's transaction; it tries again, and nobody notices."""
    asking.life.champion(1)
    with platform.database.begin() as c:
        c.execute(text(CROSSED))
    process.start()
    with asking:
        for turn in range(1, 3):
            with deadlocked(platform):
                told(NOON + timedelta(hours=turn))
            soon(lambda turn=turn: watermark(platform) == NOON + timedelta(hours=turn))
            asking.wait(20)
    assert (
        process.log.read_text().count(
            "cause=ServiceUnreachable: The lifecycle database does not answer: deadlock detected"
        )
        == 2
    )
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_every_connection_of_its_pool_is_held(
    platform: Installation, process: Process, asking: Asking, faulty: Callable[[str], Path]
) -> None:
    """F22: no request waits for the database; with connections again it follows the plan."""
    champion = asking.life.champion(1)
    fault = faulty(HELD_POOL)
    process.start()
    with asking:
        asking.wait(20)
        fault.touch()
        soon(lambda: "Every connection of this process" in process.log.read_text(), 60)
        asking.life.publish(champion)
        asking.wait(200)
        assert acknowledged(platform) == [("gw-a", 1)]
        fault.unlink()
        soon(lambda: acknowledged(platform) == [("gw-a", 2)], 60)
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)
