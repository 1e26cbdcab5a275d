"""Steady load on two gateways that are restarted in turn: nothing grows, slows down or is lost.

`SOAK_MINUTES` (15) is how long. Each gateway is restarted in the first third and in the last, once
by SIGTERM and once by kill -9; changes of the plan come all the time. So every gateway lives for
four fifths of the run, one after each kind of restart: long enough for a slope to show.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from asking import logged_rows, settle, soon
from fleet import Fleet, Sample, Steady, growth, p99

from tenure.vocabulary import State, VersionRef

MINUTES = float(os.environ.get("SOAK_MINUTES", "15"))
SECONDS = MINUTES * 60
PER_SECOND, CLIENTS = 40, 8
ENDED = {0, -15}
WARM_UP_SECONDS = SECONDS / 3
"""Of a gateway's life. Meanwhile it fills what has a bound: answers by request id, for two minutes,
and Python's table of interned strings, which doubles once (1 MB) after some thousand requests."""
LARGEST_GROWTH = 0.10
"""Of its size, over the whole run: of a gateway, and of its model processes."""
LARGEST_P99 = 2.0
"""p99 of the last third over that of the first, without the time around restarts and new plans."""

pytestmark = [pytest.mark.service, pytest.mark.soak, pytest.mark.timeout(SECONDS + 900)]


@dataclass
class Run:
    """What happens to the gateways meanwhile, and when."""

    fleet: Fleet
    load: Steady
    first: VersionRef
    canary: VersionRef | None = None
    seeds: Iterator[int] = field(default_factory=lambda: itertools.count(2))
    unquiet: list[tuple[float, float]] = field(default_factory=list)
    kills: int = 0

    def now(self) -> float:
        return time.monotonic() - self.load.began

    def watch(self, until: float) -> None:
        """Look at the gateways until then; a line of the table now and then."""
        while (left := until - self.now()) > 0:
            time.sleep(min(left, SECONDS / 90))
            self.say(self.fleet.look(self.now()))

    def say(self, looks: list[Sample]) -> None:
        recent = [took for at, took in self.load.took if at > self.now() - SECONDS / 15]
        memory = "  ".join(f"{s.gateway} {s.own_mb:4.0f} + {s.models_mb:4.0f} MB" for s in looks)
        speed = f"p99 {p99(recent) * 1000:5.0f} ms" if recent else "-"
        count = len(self.load.asking.answered)
        print(f"{self.now():6.0f} s  {count:7,} answered  {speed}  {memory}", flush=True)  # noqa: T201

    def restart(self, name: str, how: str) -> None:
        """SIGTERM or kill -9, and start again."""
        began = self.now()
        gateway = self.fleet.gateways[name]
        if how == "kill":
            self.kills += 1
            gateway.kill()
        else:
            assert gateway.drain() in ENDED
        gateway.start()
        soon(self.fleet.balancer.sees_all)
        self.unquiet.append((began, self.now() + SECONDS / 60))
        print(f"{self.now():6.0f} s  {name}: {how}, and ready again", flush=True)  # noqa: T201

    def change_plan(self) -> None:
        """A canary begins, or the one that is there ends."""
        began, life = self.now(), self.fleet.life
        if self.canary is None:
            self.canary = life.approved(next(self.seeds))
            lease = max(30, int(SECONDS / 3))
            moves = [(self.canary, State.CANARY)]
            plan = {"share_bp": 3_000, "lease_seconds": lease}
            life.publish(self.first, self.canary, **plan, moves=moves)
        else:
            life.publish(self.first, moves=[(self.canary, State.ROLLED_BACK)])
            self.canary = None
        self.unquiet.append((began, self.now() + SECONDS / 60))
        print(f"{self.now():6.0f} s  canary: {self.canary and self.canary.name}", flush=True)  # noqa: T201

    def quiet(self, begin: float, end: float) -> list[float]:
        """Seconds that the requests of a time took, without those around an event."""
        return [
            took
            for at, took in self.load.took
            if begin <= at < end and not any(a <= at <= b for a, b in self.unquiet)
        ]


def test_soak(fleet: Fleet, first: VersionRef) -> None:
    load = Steady(fleet, per_second=PER_SECOND, clients=CLIENTS)
    run = Run(fleet, load, first)
    events: list[tuple[float, Callable[[], None]]] = [
        (0.05, lambda: run.restart("gw-a", "kill")),
        (0.12, run.change_plan),
        (0.17, lambda: run.restart("gw-b", "term")),
        *((0.25 + 0.11 * number, run.change_plan) for number in range(5)),
        (0.85, lambda: run.restart("gw-a", "term")),
        (0.90, run.change_plan),
        (0.95, lambda: run.restart("gw-b", "kill")),
    ]
    with load.running():
        for part, event in events:
            run.watch(SECONDS * part)
            event()
        run.watch(SECONDS)
    assert {one.stop() for one in fleet.gateways.values()} <= ENDED
    settle(fleet.platform, load.asking, unanswered=run.kills * CLIENTS)
    judge(run)


def judge(run: Run) -> None:
    """Flat memory, flat p99; the table that RESULTS.md keeps."""
    lines = []
    for name in run.fleet.gateways:
        samples = [s for s in run.fleet.samples if s.gateway == name]
        own = growth(samples, lambda s: s.own_mb, WARM_UP_SECONDS, lambda s: s.pid)
        models = growth(
            samples, lambda s: s.models_mb, WARM_UP_SECONDS, lambda s: (s.pid, s.models)
        )
        lines.append((f"{name}: growth of the gateway's memory", own * SECONDS, LARGEST_GROWTH))
        lines.append((f"{name}: growth of its model processes", models * SECONDS, LARGEST_GROWTH))
    begin, end = (run.quiet(SECONDS * i / 3, SECONDS * (i + 1) / 3) for i in (0, 2))
    lines.append(("p99 of the last third / of the first", p99(end) / p99(begin), LARGEST_P99))
    rows, answered = len(logged_rows(run.fleet.platform)), len(run.load.asking.answered)
    print(f"\n{answered:,} answered, {rows:,} logged, {dict(run.load.asking.refused)} sent again")  # noqa: T201
    print("\n| what | measured | bound |\n|---|---|---|")  # noqa: T201
    for what, measured, bound in lines:
        print(f"| {what} | {measured:.3f} | {bound} |")  # noqa: T201
    assert [line for line in lines if line[1] > line[2]] == []
