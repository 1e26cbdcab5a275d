"""How long it takes until every gateway answers by a new traffic plan."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from serving_parts.installation import SEED, Served
from tenure.vocabulary import State, VersionRef

_PAUSE_SECONDS = 0.3
_ASK_SECONDS = 0.005
_LEASE_SECONDS = 600


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
