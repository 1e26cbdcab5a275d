"""Two gateways under steady load, restarted in turn, and what they cost meanwhile."""

import math
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from asking import MODEL, Asking
from balancer import Balancer
from served import Life, Process

from tenure.installation import Installation

_MB = 1e6


@dataclass(frozen=True)
class Sample:
    """One look at one gateway.

    Args:
        at: Seconds since the load began.
        gateway: Its id.
        pid: Of the gateway, so that what was restarted is not taken for what shrank.
        own_mb: Memory that only the gateway has and has written to (private dirty), 1e6 bytes. What
            it maps from files belongs to it alone, or does not, by what its neighbours map.
        models_mb: The same of its model processes together, the warm one that they are forks of
            included.
        models: How many those are.
    """

    at: float
    gateway: str
    pid: int
    own_mb: float
    models_mb: float
    models: int


@dataclass(frozen=True)
class WithoutIds:
    """Requests of which one in ten has an id."""

    life: Life

    def example(self, number: int) -> dict[str, Any]:
        body = self.life.example(number)
        if number % 10:
            del body["id"]
        return body


class Steady:
    """Sends requests at a pace, and remembers when each was asked and how long it took.

    A request that got no answer is sent again; its time runs on meanwhile. One in ten has an id: a
    gateway remembers ids for ten minutes, so its memory would rightly grow for so long.

    Args:
        fleet: Whom to ask.
        per_second: Requests of all clients together.
        clients: Threads.
    """

    def __init__(self, fleet: "Fleet", *, per_second: float, clients: int) -> None:
        self.asking = Asking(fleet.balancer.url, WithoutIds(fleet.life), fleet.keys, insists=True)
        self.took: list[tuple[float, float]] = []
        """Seconds since the start, seconds until the answer."""
        self.began = time.monotonic()
        self._pause = clients / per_second
        self._clients = clients
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._run, args=(n,)) for n in range(self._clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(60)

    def _run(self, number: int) -> None:
        due = time.monotonic() + self._pause * number / self._clients
        with self.asking.client() as client:
            while not self._stop.wait(max(0.0, due - time.monotonic())):
                began = time.monotonic()
                while not self.asking.ask(client, number) and not self._stop.is_set():
                    pass
                ended = time.monotonic()
                self.took.append((began - self.began, ended - began))
                number += self._clients
                due = max(due + self._pause, ended)


@dataclass
class Fleet:
    """Gateways behind a balancer."""

    platform: Installation
    life: Life
    gateways: Mapping[str, Process]
    balancer: Balancer
    keys: dict[str, str]
    samples: list[Sample] = field(default_factory=list)

    def look(self, at: float) -> list[Sample]:
        """Memory of every gateway now."""
        found = [sample(at, name, one) for name, one in self.gateways.items()]
        self.samples += found
        return found

    def generation(self, process: Process) -> int:
        headers = {"Authorization": self.keys["score"]}
        plan = httpx.get(f"{process.url}/v2/models/{MODEL}/plan", headers=headers, timeout=15)
        return int(plan.json()["generation"])


def sample(at: float, name: str, process: Process) -> Sample:
    """Memory of one gateway now."""
    assert process.popen is not None
    gateway = psutil.Process(process.popen.pid)
    models = [_own_mb(child.pid) for child in gateway.children(recursive=True)]
    return Sample(at, name, gateway.pid, _own_mb(gateway.pid), sum(models), len(models))


def _own_mb(pid: int) -> float:
    """0 for a process that has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    dirty = next((line.split()[1] for line in lines if line.startswith("Private_Dirty:")), "0")
    return int(dirty) * 1024 / _MB


def growth(
    samples: Sequence[Sample],
    part: Callable[[Sample], float],
    warm_up: float,
    line: Callable[[Sample], Hashable],
) -> float:
    """Part of its size by which it grows in a second: least squares over all lives of a gateway.

    The first `warm_up` seconds of a life do not count; samples with the same `line` are compared
    with each other, each line at its own level.
    """
    born = {s.pid: s.at for s in reversed(samples)}
    lines: dict[Hashable, list[Sample]] = defaultdict(list)
    for one in samples:
        if one.at - born[one.pid] >= warm_up:
            lines[line(one)].append(one)
    moments: list[tuple[float, float]] = []
    for alike in lines.values():
        middle = statistics.fmean(s.at for s in alike)
        size = statistics.fmean(part(s) for s in alike)
        moments += [(s.at - middle, part(s) / size - 1) for s in alike]
    return sum(t * size for t, size in moments) / sum(t * t for t, _ in moments)


def p99(took: Sequence[float]) -> float:
    """Nearest rank."""
    return sorted(took)[math.ceil(len(took) * 0.99) - 1]
