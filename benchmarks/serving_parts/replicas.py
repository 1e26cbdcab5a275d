"""How long it takes until every gateway answers by a new traffic plan, and a rollback by hand."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from serving_parts.installation import MODEL, SEED, Process, Served
from tenure.adapters.sql import versions
from tenure.vocabulary import State, VersionRef

_PAUSE_SECONDS = 0.3
_ASK_SECONDS = 0.005
_LEASE_SECONDS = 600
_FORGOTTEN_SECONDS = 65
"""After which gateways have let go of what no plan names any more."""


def weight_changes(
    served: Served, urls: Sequence[str], headers: Mapping[str, str], body: Any, changes: int
) -> list[float]:
    """Milliseconds from the commit of each change to the last gateway's first answer by it.

    Every gateway is asked for a score all the time, with a pause of 5 ms between two requests.
    """
    canary = served.approved(SEED + 1)
    _publish(served, canary, 0, moves=True)

    async def all_changes() -> list[float]:
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:
            seen = dict.fromkeys(urls, (0, 0.0))
            asking = [asyncio.create_task(_ask(client, url, body, seen)) for url in urls]
            took = [await _change(served, canary, n, seen) for n in range(1, changes + 2)]
            for one in asking:
                one.cancel()
        return took[1:]  # the first one loads the version

    return asyncio.run(all_changes())


def rollbacks(served: Served, count: int) -> list[float]:
    """Milliseconds of `tenure rollback` of a champion: the whole process, Python's start included.

    A gateway loads each successor on trial; it never saw one before. Begins with the canary that
    `weight_changes` left.
    """
    champion = _canary_promoted(served)
    for number in range(count - 1):
        canary = served.approved(SEED + 2 + number)
        lease = {"share_bp": 100, "lease_seconds": _LEASE_SECONDS}
        served.publish(champion, canary, **lease, moves=[(canary, State.CANARY)])
        moves = [(champion, State.SUPERSEDED), (canary, State.CHAMPION)]
        served.publish(canary, moves=moves)
        champion = canary
    time.sleep(_FORGOTTEN_SECONDS)
    return [_rollback(served) for _ in range(count)]


def _canary_promoted(served: Served) -> VersionRef:
    with served.platform.database.begin() as connection:
        (canary,) = versions.in_state(connection, MODEL, (State.CANARY,))
    moves = [(served.first, State.SUPERSEDED), (canary, State.CHAMPION)]
    served.publish(canary, moves=moves)
    return canary


def _rollback(served: Served) -> float:
    main = "from tenure.cli import main; main()"
    words = ["rollback", MODEL, "--reason", "benchmark", "--json"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", main, *words],
        env=Process(served.platform).env,
        capture_output=True,
        check=True,
    )
    took = time.perf_counter() - began
    if not json.loads(done.stdout)["loaded"].startswith("by gateway"):
        raise RuntimeError("no gateway answered the trial")
    return took * 1000


async def _ask(
    client: httpx.AsyncClient, url: str, body: Any, seen: dict[str, tuple[int, float]]
) -> None:
    """Write down when a gateway answered by a generation for the first time."""
    while True:
        answer = await client.post(url, json=body)
        generation = int(answer.raise_for_status().headers["x-tenure-generation"])
        if generation > seen[url][0]:
            seen[url] = generation, time.perf_counter()
        await asyncio.sleep(_ASK_SECONDS)


async def _change(
    served: Served, canary: VersionRef, number: int, seen: Mapping[str, tuple[int, float]]
) -> float:
    # The pause is not a multiple of the poll's, so changes fall on every moment between two polls.
    await asyncio.sleep(_PAUSE_SECONDS + number % 7 * 0.037)
    committed = await asyncio.to_thread(_publish, served, canary, number)
    while any(generation < number + 2 for generation, _ in seen.values()):
        await asyncio.sleep(0.001)
    return (max(at for _, at in seen.values()) - committed) * 1000


def _publish(served: Served, canary: VersionRef, number: int, *, moves: bool = False) -> float:
    """The next plan; returns when its transaction was over."""
    served.publish(
        served.first,
        canary,
        share_bp=100 + number,
        lease_seconds=_LEASE_SECONDS,
        moves=[(canary, State.CANARY)] if moves else [],
    )
    return time.perf_counter()
