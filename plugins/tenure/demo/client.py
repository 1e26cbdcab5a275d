"""The passenger app: replays flights as requests, then tells the gateway what became of them."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

_PAUSES_SECONDS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Before each try of a request: a busy machine is no refusal."""
Flight = dict[str, Any]
"""One row of a month's file: column name to value."""


@dataclass
class Replay:
    """Sends flights to the gateway, day by day, as a client that lives in their time.

    Args:
        url: Gateway's base URL.
        key: API key with the scopes score and outcome.
        model: Model that is asked.
        features: Columns that are sent; text columns travel as BYTES.
        log: File that gets one JSON line for each answered request.
        requests_per_second: Pace; 0 is as fast as it goes.
        connections: Requests in flight at once.
    """

    url: str
    key: str
    model: str
    features: Sequence[str]
    log: Path
    requests_per_second: float = 0.0
    connections: int = 16
    answered: int = 0
    refused: int = 0
    outcomes: int = 0
    arms: dict[str, int] = field(default_factory=dict)

    def run(
        self,
        flights: Sequence[Flight],
        *,
        until: Callable[[], bool] = bool,
        hold: Callable[[], bool] = bool,
    ) -> None:
        """Replay the flights in order of time; stops early when `until()` says so.

        After each day the outcomes of the day before are posted and the watermark moves to the
        end of the day, so that only labels that a real client would know are ever told. No day
        begins while `hold()` says so.

        Raises:
            aiohttp.ClientError: The gateway does not answer, or refuses outcomes.
        """
        asyncio.run(self._run(flights, until, hold))

    async def _run(
        self, flights: Sequence[Flight], until: Callable[[], bool], hold: Callable[[], bool]
    ) -> None:
        headers = {"Authorization": f"Bearer {self.key}"}
        limit = aiohttp.TCPConnector(limit=self.connections)
        async with aiohttp.ClientSession(headers=headers, connector=limit) as session:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            known: list[Flight] = []
            with self.log.open("a", encoding="utf-8") as log:
                for day, today in by_day(flights):
                    while hold() and not until():
                        await asyncio.sleep(0.5)
                    if until():
                        break
                    await self._score_all(session, today, log.write)
                    log.flush()
                    await self._tell(session, known, day)
                    known = today
            if known:
                await self._tell(session, known, known[-1]["scheduled_at"].date() + timedelta(1))

    async def _score_all(
        self, session: aiohttp.ClientSession, flights: Sequence[Flight], write: Callable[[str], Any]
    ) -> None:
        gate = asyncio.Semaphore(self.connections)
        start = time.monotonic()

        async def one(number: int, flight: Flight) -> None:
            async with gate:
                if self.requests_per_second:
                    due = start + number / self.requests_per_second - time.monotonic()
                    await asyncio.sleep(max(0.0, due))
                await self._score(session, flight, write)

        await asyncio.gather(*(one(n, f) for n, f in enumerate(flights)))

    async def _score(
        self, session: aiohttp.ClientSession, flight: Flight, write: Callable[[str], Any]
    ) -> None:
        status, answer = await self._post(session, "infer", self.request(flight))
        if status != 200:
            self.refused += 1
            return
        facts = answer["parameters"]
        self.answered += 1
        self.arms[facts["arm"]] = self.arms.get(facts["arm"], 0) + 1
        row = {"request_id": answer["id"], "decision_ids": facts["decision_ids"]}
        write(json.dumps(row) + "\n")

    async def _post(
        self, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer, after more tries while the gateway is too busy (503) or cut the line.

        The same request may be sent again: its id makes it the same decision.
        """
        url = f"{self.url}/v2/models/{self.model}/{path}"
        for pause in _PAUSES_SECONDS:
            await asyncio.sleep(pause)
            try:
                async with session.post(url, json=body) as response:
                    answer: dict[str, Any] = await response.json(content_type=None)
            except (aiohttp.ClientConnectionError, TimeoutError):
                if pause == _PAUSES_SECONDS[-1]:
                    raise
                continue
            if response.status != 503:
                break
        return response.status, answer

    async def _tell(
        self, session: aiohttp.ClientSession, flights: Sequence[Flight], day: date
    ) -> None:
        """Post what became of yesterday's flights; the watermark is the end of `day`."""
        body = {
            "outcomes": [self.outcome(flight) for flight in flights],
            "watermark": f"{day + timedelta(1)}T00:00:00+00:00",
        }
        status, answer = await self._post(session, "outcomes", body)
        if status >= 400:
            raise aiohttp.ClientError(f"{len(flights)} outcomes were answered {status}: {answer}")
        self.outcomes += len(flights)

    def outcome(self, flight: Flight) -> dict[str, Any]:
        """What became of the flight."""
        return {"request_id": flight["flight_id"], "label": bool(flight["late"])}

    def request(self, flight: Flight) -> dict[str, Any]:
        """The flight as an Open Inference Protocol request."""
        return {
            "id": flight["flight_id"],
            "parameters": {
                "subject": flight["flight_id"],
                "event_time": flight["scheduled_at"].isoformat(),
            },
            "inputs": [
                {
                    "name": name,
                    "shape": [1],
                    "datatype": "BYTES" if isinstance(flight[name], str) else "FP64",
                    "data": [flight[name]],
                }
                for name in self.features
            ],
        }


def sample_month(path: Path, share: float, seed: int) -> list[Flight]:
    """A seeded share of the month's flights, in order of time."""
    import pyarrow.parquet as pq

    rows: list[Flight] = pq.read_table(path).to_pylist()
    chosen = random.Random(seed).sample(rows, round(len(rows) * share))  # noqa: S311 -- replayable
    return sorted(chosen, key=lambda row: (row["scheduled_at"], row["flight_id"]))


def by_day(flights: Iterable[Flight]) -> list[tuple[date, list[Flight]]]:
    """Flights of each day, days in order."""
    days: dict[date, list[Flight]] = {}
    for flight in flights:
        moment: datetime = flight["scheduled_at"]
        days.setdefault(moment.date(), []).append(flight)
    return sorted(days.items())
