"""A real gateway without disk, without database, stopped for too long; each ends with the same sum.

Every answered decision is in the log, once; what else is there was being asked when it went wrong;
no invariant has a row; one champion.
"""

import os
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.vocabulary import State
from tenure.wiring.base import Platform
from tenure.wiring.ledger import verify_ledger
from tenure.wiring.segments import live_keys

pytestmark = [pytest.mark.service, pytest.mark.fault]
MODEL = "flight_late"
CLIENTS = 4


class Asking:
    """Clients in the background that remember what they were told."""

    def __init__(self, process: Any, life: Any, keys: dict[str, str]) -> None:
        self.process, self.life, self.keys = process, life, keys
        self.answered: list[tuple[str, str]] = []
        self.refused: Counter[int] = Counter()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(CLIENTS)
        ]

    def __enter__(self) -> "Asking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait(self, more: int) -> None:
        """Until so many more were answered."""
        target = len(self.answered) + more
        deadline = time.monotonic() + 60
        while len(self.answered) < target:
            assert time.monotonic() < deadline, f"{len(self.answered)} of {target} answered"
            time.sleep(0.01)

    def _run(self, number: int) -> None:
        headers = {"Authorization": self.keys["score"]}
        with httpx.Client(base_url=self.process.url, headers=headers, timeout=15) as client:
            while not self._stop.is_set():
                number += CLIENTS
                try:
                    answer = client.post(
                        f"/v2/models/{MODEL}/infer", json=self.life.example(number)
                    )
                except httpx.HTTPError:
                    self.refused[0] += 1
                    time.sleep(0.05)
                    continue
                if answer.status_code != 200:
                    self.refused[answer.status_code] += 1
                    time.sleep(0.02)
                    continue
                told = answer.json()["parameters"]
                self.answered += [(one, told["arm"]) for one in told["decision_ids"]]


@pytest.fixture
def asking(life: Any, process: Any, keys: dict[str, str]) -> Asking:
    return Asking(process, life, keys)


def settle(platform: Platform, asking: Asking) -> None:
    """The sum at the end of every fault; the gateway has ended."""
    store = platform.store
    logged = Counter(
        row["decision_id"]
        for key in live_keys(store, "decisions/")
        for row in pq.read_table(store.fetch(key)).to_pylist()
    )
    told = Counter(one for one, _ in asking.answered)
    assert [one for counted in (logged, told) for one, n in counted.items() if n > 1] == []
    assert set(told) - set(logged) == set()
    assert len(set(logged) - set(told)) <= CLIENTS
    found = verify_ledger(platform, invariants=True)
    assert [one for one in found["invariants"] if one["rows"]] == []
    assert found["ok"]
    with platform.database.begin() as c:
        query = "SELECT count(*) FROM model_version WHERE state = 'champion'"
        assert c.execute(text(query)).scalar_one() == 1


def room(process: Any, size: int) -> None:
    """The largest file that the gateway may write from now on (bytes)."""
    hard = resource.RLIM_INFINITY
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_full_disk(platform: Platform, life: Any, process: Any, asking: Asking) -> None:
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
def wired(platform: Platform, wire: Any, process: Any) -> Iterator[tuple[Any, Any]]:
    """The process, and the wire between it and its database."""
    process.env["TENURE_DATABASE_URL"] = wire.url(platform.settings.database_url)
    yield process, wire
    wire.mode = "pass"


def soon(claim: Callable[[], Any], seconds: float = 30.0) -> None:
    """Polls a claim until it holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", ["hold", "cut"])
def test_partition_from_the_database(
    platform: Platform,
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
    settle(platform, asking)


def _cut(wire: Any, how: str) -> None:
    if how == "cut":
        wire.cut()
    else:
        wire.mode = how


def _watermark(platform: Platform) -> Any:
    with platform.database.begin() as c:
        return c.execute(text("SELECT watermark FROM model")).scalar_one()


def test_stopped_for_longer_than_the_lease(
    platform: Platform, life: Any, process: Any, asking: Asking
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
    assert process.stop() in {0, -15}
    settle(platform, asking)


def test_killed_while_it_ships(platform: Platform, life: Any, process: Any, asking: Asking) -> None:
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
    again = Asking(process, life, asking.keys)
    with again:
        again.wait(20)
    assert process.stop() in {0, -15}
    again.answered += asking.answered
    settle(platform, again)


def test_no_connection_left(platform: Platform, life: Any, process: Any, asking: Asking) -> None:
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
    settle(platform, asking)
