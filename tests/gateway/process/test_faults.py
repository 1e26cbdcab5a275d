"""A real gateway without disk, without database, stopped for too long; each ends with the same sum.

Every answered decision is in the log, once; what else is there was being asked when it went wrong;
no invariant has a row; one champion.
"""

import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from asking import CLIENTS, Asking, settle, soon
from sqlalchemy import text

from tenure.installation import Installation
from tenure.vocabulary import State

pytestmark = [pytest.mark.service, pytest.mark.fault]
MODEL = "flight_late"


@pytest.fixture
def asking(life: Any, process: Any, keys: dict[str, str]) -> Asking:
    return Asking(process.url, life, keys)


def room(process: Any, size: int) -> None:
    """The largest file that the gateway may write from now on (bytes)."""
    hard = resource.RLIM_INFINITY
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_full_disk(platform: Installation, life: Any, process: Any, asking: Asking) -> None:
    """F23: refused with 503 while there is no room, answered again when there is."""
    life.champion()
    process.start()
    with asking:
        asking.wait(20)
        room(process, 0)
        soon(lambda: asking.refused[503] >= 20)
        assert process.get("/v2/health/ready") == 503
        assert process.get("/v2/health/live") == 200
        room(process, resource.RLIM_INFINITY)
        asking.wait(20)
    assert process.stop() in {0, -15}
    assert set(asking.refused) == {503}
    settle(platform, asking)


@pytest.fixture
def wired(platform: Installation, wire: Any, process: Any) -> Iterator[tuple[Any, Any]]:
    """The process, and the wire between it and its database."""
    process.env["TENURE_DATABASE_URL"] = wire.url(platform.settings.database_url)
    yield process, wire
    wire.mode = "pass"


@pytest.mark.parametrize("how", ["hold", "cut"])
def test_partition_from_the_database(
    platform: Installation,
    life: Any,
    wired: tuple[Any, Any],
    asking: Asking,
    how: str,
) -> None:
    """F29: by the last plan until the lease ends, then champion; what waited is shipped once."""
    process, wire = wired
    first = life.champion(1)
    second = life.approved(2)
    process.start()
    life.publish(first, second, share_bp=5_000, lease_seconds=8, moves=[(second, State.CANARY)])
    with asking:
        soon(lambda: {arm for _, arm in asking.answered[-40:]} == {"champion", "canary"})
        _cut(wire, how)
        asking.wait(20)
        truth = {"outcomes": [], "watermark": "2013-07-01T00:00:00Z"}
        headers = {"Authorization": asking.keys["outcome"]}
        url = f"{process.url}/v2/models/{MODEL}/outcomes"
        assert httpx.post(url, json=truth, headers=headers, timeout=15).status_code == 200
        time.sleep(9)
        asking.wait(CLIENTS)
        begin = len(asking.answered)
        asking.wait(40)
        assert {arm for _, arm in asking.answered[begin:]} == {"champion"}
        assert _watermark(platform) is None
        wire.mode = "pass"
        soon(lambda: _watermark(platform) is not None, 60)
        life.publish(first, second, share_bp=10_000, lease_seconds=30)
        soon(lambda: {arm for _, arm in asking.answered[-20:]} == {"canary"})
    assert asking.refused == Counter()
    assert process.stop() in {0, -15}
    settle(platform, asking, unanswered=0)


def _cut(wire: Any, how: str) -> None:
    if how == "cut":
        wire.cut()
    else:
        wire.mode = how


def _watermark(platform: Installation) -> Any:
    with platform.database.begin() as c:
        return c.execute(text("SELECT watermark FROM model")).scalar_one()


def test_stopped_for_longer_than_the_lease(
    platform: Installation, life: Any, process: Any, asking: Asking
) -> None:
    """F31: the first answer after it goes on is the champion's; nothing is lost."""
    first = life.champion(1)
    second = life.approved(2)
    process.start()
    life.publish(first, second, share_bp=10_000, lease_seconds=5, moves=[(second, State.CANARY)])
    with asking:
        soon(lambda: asking.answered and asking.answered[-1][1] == "canary")
        os.kill(process.popen.pid, signal.SIGSTOP)
        time.sleep(6)
        begin = len(asking.answered)
        os.kill(process.popen.pid, signal.SIGCONT)
        asking.wait(40)
        # Those that were being scored when it was stopped were routed before.
        assert {arm for _, arm in asking.answered[begin + CLIENTS :]} == {"champion"}
    assert asking.refused == Counter()
    assert process.stop() in {0, -15}
    settle(platform, asking, unanswered=0)


def test_killed_while_it_ships(
    platform: Installation, life: Any, process: Any, asking: Asking
) -> None:
    """F27 at its worst place: stored, and dead before the segment is deleted."""
    life.champion()
    process.env |= {"TENURE_ENV": "test", "TENURE_FAIL": "ship.delivered:kill"}
    process.start("/v2/health/live")
    with asking:
        assert process.popen.wait(60) == -9
    segments = Path(platform.settings.home / "gateway").rglob("*.wal")
    assert list(segments) != []
    del process.env["TENURE_FAIL"]
    process.start()
    again = Asking(process.url, life, asking.keys)
    with again:
        again.wait(20)
    assert process.stop() in {0, -15}
    again.answered += asking.answered
    settle(platform, again)


def test_no_connection_left(
    platform: Installation, life: Any, process: Any, asking: Asking
) -> None:
    """F22: no request waits for the database, whoever holds its connections."""
    life.champion()
    with platform.database.begin() as c:
        limit = c.execute(text("SELECT current_database()")).scalar_one()
    process.start()
    with asking:
        asking.wait(10)
        with platform.database.begin() as c:
            c.execute(text(f"ALTER DATABASE {limit} CONNECTION LIMIT 0"))
            c.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :d "
                    "AND application_name = 'tenure' AND pid <> pg_backend_pid()"
                ),
                {"d": limit},
            )
        asking.wait(200)
        with platform.database.begin() as c:
            c.execute(text(f"ALTER DATABASE {limit} CONNECTION LIMIT -1"))
    assert asking.refused == Counter()
    assert process.stop() in {0, -15}
    settle(platform, asking, unanswered=0)
