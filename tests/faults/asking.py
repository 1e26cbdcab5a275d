"""Clients that remember what they were told, and the sum that every fault has to end with."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pyarrow.parquet as pq
from sqlalchemy import text

from tenure.installation import Installation
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.decisions.segments import live_keys

MODEL = "flight_late"
CLIENTS = 4


class Asking:
    """Clients in the background.

    Args:
        url: Of a gateway, or of the balancer before several.
        life: Makes the requests.
        keys: Headers by scope.
        insists: Whether a request that got no 200 is sent again, under its id, until it does.
    """

    def __init__(self, url: str, life: Any, keys: dict[str, str], *, insists: bool = False) -> None:
        self.url, self.life, self.keys, self.insists = url, life, keys, insists
        self.answered: list[tuple[str, str]] = []
        """Decision id and arm of every row that was answered."""
        self.refused: Counter[int] = Counter()
        """Other answers by status; 0 is none at all."""
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

    def once(self, url: str, number: int, *, id_: str = "once") -> str:
        """Ask about the subject of a number, from this thread; the arm that answered."""
        with self.client(url) as client:
            assert self.ask(client, number, f"{id_}-{number}"), self.refused
        return self.answered[-1][1]

    def serving(self) -> tuple[int, int]:
        """Champion and share as the gateway applies them."""
        with self.client() as client:
            plan = client.get(f"/v2/models/{MODEL}/plan").json()
        return plan["champion"], plan["share_bp"]

    def _run(self, number: int) -> None:
        with self.client(self.url) as client:
            while not self._stop.is_set():
                number += CLIENTS
                while not self.ask(client, number) and self.insists and not self._stop.is_set():
                    pass

    def client(self, url: str = "") -> httpx.Client:
        """A connection with the key."""
        headers = {"Authorization": self.keys["score"]}
        return httpx.Client(base_url=url or self.url, headers=headers, timeout=15)

    def ask(self, client: httpx.Client, number: int, id_: str = "") -> bool:
        """Ask once; whether it was answered. What was said is remembered."""
        body = self.life.example(number)
        if id_:
            body["id"] = id_
        try:
            answer = client.post(f"/v2/models/{MODEL}/infer", json=body)
        except httpx.HTTPError:
            self.refused[0] += 1
            time.sleep(0.05)
            return False
        if answer.status_code != 200:
            self.refused[answer.status_code] += 1
            time.sleep(0.02)
            return False
        told = answer.json()["parameters"]
        self.answered += [(one, told["arm"]) for one in told["decision_ids"]]
        return True


def settle(platform: Installation, asking: Asking, *, unanswered: int = CLIENTS) -> None:
    """The sum at the end of every fault; the gateways have ended.

    Every answered decision is in the log, once; what else is there was being asked when it went
    wrong (`unanswered` at most); no invariant has a row; one champion.
    """
    rows = logged_rows(platform)
    logged = Counter(row["decision_id"] for row in rows)
    told = Counter(one for one, _ in asking.answered)
    assert [one for counted in (logged, told) for one, n in counted.items() if n > 1] == []
    assert set(told) - set(logged) == set()
    assert len(set(logged) - set(told)) <= unanswered
    found = verify_ledger(platform, invariants=True)
    assert [one for one in found.invariants if one.breaches] == []
    assert found.ok
    with platform.database.begin() as c:
        query = "SELECT count(*) FROM model_version WHERE state = 'champion'"
        assert c.execute(text(query)).scalar_one() == 1


def logged_rows(platform: Installation) -> list[dict[str, Any]]:
    """Every decision in the store."""
    store = platform.store
    return [
        row
        for key in live_keys(store, "decisions/")
        for row in pq.read_table(store.fetch(key)).to_pylist()
    ]


def incidents(platform: Installation) -> list[str]:
    """What somebody was told."""
    with platform.database.begin() as c:
        return list(c.execute(text("SELECT summary FROM incident")).scalars())


class Nothing:
    """An MLflow that has nothing to repair."""

    def get_aliases(self, _model: str) -> dict[str, int]:
        return {"champion": 1}

    def set_alias(self, _model: str, _alias: str, _version: int | None) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def soon(claim: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true answer of a claim that is polled; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := claim()):
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.02)
    return answer
