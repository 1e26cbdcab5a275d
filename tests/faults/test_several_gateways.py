"""Two gateways and one PostgreSQL, behind HAProxy: killed, told to end, and of two minds."""

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from asking import CLIENTS, MODEL, Asking, logged_rows, settle, soon
from balancer import Balancer, balancing
from served import Life, Process

from tenure.adapters.sql.model_page import model_page
from tenure.installation import Installation
from tenure.vocabulary import State, VersionRef

pytestmark = [pytest.mark.service, pytest.mark.fault]
ENDED = {0, -15}
Pair = tuple[Process, Process]


@pytest.fixture
def pair(gateway: Callable[..., Process]) -> Pair:
    """Two gateways that are not started yet."""
    return gateway("gw-a"), gateway("gw-b")


@pytest.fixture
def first(life: Life) -> VersionRef:
    """The champion."""
    return life.champion(1)


@pytest.fixture
def balanced(pair: Pair, first: VersionRef, tmp_path: Path) -> Iterator[Balancer]:
    """The balancer before both; they serve the champion."""
    for one in pair:
        one.start()
    with balancing(tmp_path, [one.port for one in pair]) as balancer:
        yield balancer


@dataclass
class Site:
    """What most tests here need."""

    platform: Installation
    life: Life
    first: VersionRef
    pair: Pair
    keys: dict[str, str]

    def end(self) -> None:
        assert {one.stop() for one in self.pair} <= ENDED


@pytest.fixture
def site(
    platform: Installation, life: Life, first: VersionRef, pair: Pair, keys: dict[str, str]
) -> Site:
    """One database, one store, two gateways."""
    return Site(platform, life, first, pair, keys)


def plan(process: Process, keys: dict[str, str]) -> dict[str, Any]:
    headers = {"Authorization": keys["score"]}
    return dict(httpx.get(f"{process.url}/v2/models/{MODEL}/plan", headers=headers).json())


def test_a_subject_has_the_same_arm_at_every_gateway(site: Site, balanced: Balancer) -> None:
    life, pair, keys = site.life, site.pair, site.keys
    first, second = site.first, life.approved(2)
    life.publish(first, second, share_bp=5_000, lease_seconds=120, moves=[(second, State.CANARY)])
    soon(lambda: [plan(one, keys)["generation"] for one in pair] == [2, 2])
    asking = Asking(balanced.url, life, keys)
    arms = {
        url: [asking.once(url, number, id_=url[-5:]) for number in range(40)]
        for url in (pair[0].url, pair[1].url, balanced.url)
    }
    one, other, both = arms.values()
    assert one == other == both
    assert set(one) == {"champion", "canary"}
    site.end()
    assert shares(site.platform) == {"gw-a": 60, "gw-b": 60}
    settle(site.platform, asking, unanswered=0)


def shares(platform: Installation) -> dict[str, int]:
    """Rows by the gateway that logged them."""
    keys = [key for key in platform.store.list("decisions/") if key.endswith(".parquet")]
    counts: Counter[str] = Counter()
    for key in keys:
        rows = pq.read_metadata(platform.store.fetch(key)).num_rows
        counts[key.rpartition("/")[2][:4]] += rows
    return dict(counts)


def test_killed_one_after_the_other(site: Site, balanced: Balancer) -> None:
    """F27 for two: the client sends again what was not answered, and the other gateway answers."""
    asking = Asking(balanced.url, site.life, site.keys, insists=True)
    with asking:
        for victim in site.pair:
            asking.wait(100)
            victim.kill()
            asking.wait(100)
            victim.start()
        asking.wait(100)
    site.end()
    told = {decision for decision, _ in asking.answered}
    requests = [r["request_id"] for r in logged_rows(site.platform) if r["decision_id"] in told]
    assert len(requests) == len(set(requests))
    settle(site.platform, asking, unanswered=2 * CLIENTS)


def test_told_to_end(site: Site, balanced: Balancer) -> None:
    """SIGTERM: what is in flight is answered, nobody is refused, the log is shipped.

    The next one is told only when the balancer, not the gateway, says that the first is back.
    """
    asking = Asking(balanced.url, site.life, site.keys)
    with asking:
        for one in site.pair:
            asking.wait(100)
            assert one.drain() == 0
            folder = site.platform.settings.home / "gateway" / one.env["TENURE_GATEWAY_ID"] / "wal"
            assert list(folder.glob("*/*-*")) == []
            asking.wait(100)
            one.start()
            soon(balanced.sees_all)
        asking.wait(100)
    assert asking.refused == Counter()
    site.end()
    settle(site.platform, asking, unanswered=0)


class Lag:
    """A gateway that hears nothing of new plans for a while; stopped, it does not run either."""

    def __init__(self, process: Process, wire: Any, *, stops: bool) -> None:
        self.process, self.wire, self.stops = process, wire, stops

    def begin(self) -> None:
        if self.stops:
            self._signal(signal.SIGSTOP)
        self.wire.cut()

    def go_on(self) -> None:
        """Let it run again, still deaf: what it does now, it does by the lease alone."""
        if self.stops:
            self._signal(signal.SIGCONT)

    def end(self) -> None:
        self.wire.mode = "pass"

    def _signal(self, number: signal.Signals) -> None:
        assert self.process.popen is not None
        os.kill(self.process.popen.pid, number)


def acknowledged(platform: Installation) -> dict[str, int]:
    """What the Tenure page of the model says of its gateways."""
    with platform.database.begin() as c:
        page = model_page(c, MODEL)
    assert page is not None
    assert page.fleet is not None
    return {one.gateway: one.generation for one in page.fleet.gateways}


def metric(process: Process, keys: dict[str, str], name: str) -> float:
    headers = {"Authorization": keys["metrics"]}
    text = httpx.get(f"{process.url}/metrics", headers=headers).text
    (line,) = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.split()[-1])


@pytest.mark.parametrize("stops", [True, False], ids=["stopped", "cut off"])
def test_one_does_not_hear_of_the_rollback(
    site: Site, wired: Callable[[Process], Process], wire: Any, stops: bool
) -> None:
    """F30: it lags, that is to be seen, and its canary ends with the lease."""
    life, keys, platform = site.life, site.keys, site.platform
    fresh, stale = site.pair[0], wired(site.pair[1])
    lag = Lag(stale, wire, stops=stops)
    first, second = site.first, life.approved(2)
    for one in site.pair:
        one.start()
    numbers = itertools.count(1_000_000)
    asking = Asking(fresh.url, life, keys)

    def arm(process: Process) -> str:
        return asking.once(process.url, next(numbers))

    life.publish(first, second, share_bp=10_000, lease_seconds=15, moves=[(second, State.CANARY)])
    ends = time.monotonic() + 15
    soon(lambda: acknowledged(platform) == {"gw-a": 2, "gw-b": 2})
    assert (arm(fresh), arm(stale)) == ("canary", "canary")
    lag.begin()
    life.publish(first, moves=[(second, State.ROLLED_BACK)])
    soon(lambda: acknowledged(platform) == {"gw-a": 3, "gw-b": 2})
    assert arm(fresh) == "champion"
    if not stops:
        assert arm(stale) == "canary"
        assert metric(stale, keys, "tenure_plan_generation") == 2
        soon(lambda: metric(stale, keys, "tenure_database_age_seconds") > 1)
    time.sleep(max(0.0, ends - time.monotonic()))
    lag.go_on()
    assert [arm(stale) for _ in range(20)] == ["champion"] * 20
    lag.end()
    soon(lambda: acknowledged(platform) == {"gw-a": 3, "gw-b": 3})
    assert metric(stale, keys, "tenure_plan_generation") == 3
    site.end()
    settle(platform, asking, unanswered=0)
