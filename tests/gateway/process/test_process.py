"""A real gateway process on a real database with a real model: starved, swapped, doubled."""

import asyncio
import itertools
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from tenure.installation import Installation
from tenure.migrations import upgrade
from tenure.settings import REPOSITORY, Settings
from tenure.stack import postgres
from tenure.usecases.serving.api_keys import create_key
from tenure.vocabulary import State

pytestmark = pytest.mark.service
MODEL = "flight_late"
CLIENTS = 8


class Load:
    """Clients that ask as fast as they are answered, and remember what they were told."""

    def __init__(self, process: Any, life: Any, key: str) -> None:
        self.process, self.life, self.key = process, life, key
        self.answered: list[str] = []
        self.lost = 0
        self._number = 0

    def run(self, seconds: float) -> None:
        """Ask for so long."""
        asyncio.run(self._run(seconds))

    async def _run(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        await asyncio.gather(*(self._client(ends) for _ in range(CLIENTS)))

    async def _client(self, ends: float) -> None:
        headers = {"Authorization": self.key}
        async with httpx.AsyncClient(base_url=self.process.url, headers=headers) as client:
            while time.monotonic() < ends:
                self._number += 1
                body = self.life.example(self._number)
                try:
                    answer = await client.post(f"/v2/models/{MODEL}/infer", json=body, timeout=5)
                except httpx.HTTPError:
                    self.lost += 1
                    await asyncio.sleep(0.02)
                    continue
                assert answer.status_code == 200, answer.text
                self.answered += answer.json()["parameters"]["decision_ids"]


def shipped(platform: Installation, kind: str = "decisions") -> list[dict[str, Any]]:
    keys = [key for key in platform.store.list(f"{kind}/") if key.endswith(".parquet")]
    return [row for key in keys for row in pq.read_table(platform.store.fetch(key)).to_pylist()]


@pytest.mark.exhaustive  # the life of tests/e2e ends a lease daily
def test_canary_whose_lease_nobody_renews(
    life: Any, process: Any, keys: dict[str, str], eventually: Callable[..., Any]
) -> None:
    first = life.champion(1)
    second = life.approved(2)
    process.start()
    headers = {"Authorization": keys["score"]}
    with httpx.Client(base_url=process.url, headers=headers, timeout=5) as client:

        def plan() -> dict[str, Any]:
            return client.get(f"/v2/models/{MODEL}/plan").json()

        numbers = itertools.count(1)  # a request id that came before would be answered as before

        def arm() -> str:
            body = life.example(next(numbers))
            answer = client.post(f"/v2/models/{MODEL}/infer", json=body).json()
            return str(answer["parameters"]["arm"])

        assert arm() == "champion"
        life.publish(
            first, second, share_bp=10_000, lease_seconds=7, moves=[(second, State.CANARY)]
        )
        eventually(lambda: plan()["share_bp"] == 10_000)
        assert arm() == "canary"
        assert 0 < plan()["lease_seconds_left"] <= 7
        eventually(lambda: plan()["share_bp"] == 0)
        assert arm() == "champion"
        assert plan()["lease_seconds_left"] == 0


def test_champion_whose_authorization_ends_while_it_answers(
    platform: Installation, life: Any, process: Any, keys: dict[str, str], eventually: Any
) -> None:
    """From that moment the rule answers, without a restart; each decision says so, none is lost."""
    first = life.champion(1)
    process.start()
    life.publish(first, authorized=timedelta(seconds=4))
    headers, numbers = {"Authorization": keys["score"]}, itertools.count(1)
    told: list[dict[str, Any]] = []
    with httpx.Client(base_url=process.url, headers=headers, timeout=5) as client:

        def level() -> str:
            body = life.example(next(numbers))
            answer = client.post(f"/v2/models/{MODEL}/infer", json=body)
            assert answer.status_code == 200, answer.text
            told.append(answer.json()["parameters"])
            return str(told[-1]["fallback_level"])

        plan = client.get(f"/v2/models/{MODEL}/plan").json()
        assert datetime.fromisoformat(plan["authorized_until"]).tzinfo is not None
        assert level() == "model"
        eventually(lambda: level() == "rule")
        ended = len(told)
        assert [level() for _ in range(20)] == ["rule"] * 20
    levels = [one["fallback_level"] for one in told]
    assert levels == ["model"] * (ended - 1) + ["rule"] * 21
    reasons = {one["reason"] for one in told[ended - 1 :]}
    assert len(reasons) == 1
    assert reasons.pop().startswith("champion: authorization ended: ")
    metrics = httpx.get(f"{process.url}/metrics", headers={"Authorization": keys["metrics"]}).text
    assert 'reason="champion: authorization ended"' in metrics
    process.stop()
    rows = {row["decision_id"]: row["fallback_level"] for row in shipped(platform)}
    assert rows == {one["decision_ids"][0]: one["fallback_level"] for one in told}


@pytest.mark.exhaustive
def test_acknowledges_and_refuses_retired_versions(
    platform: Installation, life: Any, process: Any, keys: dict[str, str], eventually: Any
) -> None:
    from sqlalchemy import select

    from tenure.adapters.sql.tables import gateway_ack, incident

    first, second = life.champion(1), life.approved(2)
    process.start()

    def acknowledged() -> list[int]:
        with platform.database.begin() as c:
            return list(c.execute(select(gateway_ack.c.generation)).scalars())

    eventually(lambda: acknowledged() == [1])
    life.publish(
        second,
        moves=[
            (first, State.SUPERSEDED),
            (second, State.CANARY),
            (second, State.CHAMPION),
        ],
    )
    eventually(lambda: acknowledged() == [2])
    headers = {"Authorization": keys["score"]}
    pinned = f"{process.url}/v2/models/{MODEL}/versions/1/infer"
    eventually(lambda: httpx.post(pinned, json=life.example(1), headers=headers).status_code == 409)
    with platform.database.begin() as c:
        assert list(c.execute(select(incident))) == []


def test_outcomes_move_the_watermark(
    platform: Installation, life: Any, process: Any, keys: dict[str, str], eventually: Any
) -> None:
    from sqlalchemy import select

    from tenure.adapters.sql.tables import model

    life.champion()
    process.start()
    url = f"{process.url}/v2/models/{MODEL}"
    asked = httpx.post(
        f"{url}/infer", json=life.example(1), headers={"Authorization": keys["score"]}
    )
    decision_id = asked.json()["parameters"]["decision_ids"][0]
    body = {
        "outcomes": [{"decision_id": decision_id, "label": True}],
        "watermark": "2013-07-02T09:00:00Z",
    }
    headers = {"Authorization": keys["outcome"]}
    assert httpx.post(f"{url}/outcomes", json=body, headers=headers).status_code == 200
    earlier = {"outcomes": [], "watermark": "2013-07-01T09:00:00Z"}
    assert httpx.post(f"{url}/outcomes", json=earlier, headers=headers).status_code == 200

    def watermark() -> Any:
        with platform.database.begin() as c:
            return c.execute(select(model.c.watermark)).scalar_one()

    reached = eventually(watermark)
    time.sleep(1.5)
    assert watermark() == reached
    assert reached.isoformat() == "2013-07-02T09:00:00+00:00"
    (row,) = shipped(platform, "outcomes")
    assert (row["decision_id"], row["label"]) == (decision_id, True)


def test_swapped_artifact_is_refused_and_the_champion_stays(
    platform: Installation, life: Any, process: Any, keys: dict[str, str], eventually: Any
) -> None:
    from sqlalchemy import select

    from tenure.adapters.sql.tables import incident
    from tenure.layout import artifact_key

    first, second = life.champion(1), life.approved(2)
    process.start()
    from tenure.adapters.sql import versions

    with platform.database.begin() as c:
        digest = str(versions.get_by_id(c, second.id).artifact_digest)
        other = str(versions.get_by_id(c, first.id).artifact_digest)
    platform.store.put(artifact_key(digest), platform.store.get(artifact_key(other)))
    life.publish(first, second, share_bp=10_000, lease_seconds=20, moves=[(second, State.CANARY)])

    def incidents() -> list[Any]:
        with platform.database.begin() as c:
            return c.execute(select(incident.c.kind, incident.c.subject)).all()

    assert eventually(incidents) == [("artifact_refused", f"{MODEL}@2")]
    headers = {"Authorization": keys["score"]}
    plan = httpx.get(f"{process.url}/v2/models/{MODEL}/plan", headers=headers).json()
    assert (plan["generation"], plan["canary"]) == (1, None)
    url = f"{process.url}/v2/models/{MODEL}/infer"
    answer = httpx.post(url, json=life.example(1), headers=headers).json()
    assert answer["parameters"]["fallback_level"] == "model"


@pytest.mark.parametrize(
    ("port", "code", "message"),
    [
        pytest.param(
            "free", 1, "Another gateway with the id", id="same home", marks=pytest.mark.exhaustive
        ),
        pytest.param(
            "taken", 3, "cannot bind 127.0.0.1", id="same port", marks=pytest.mark.exhaustive
        ),
    ],
)
def test_second_gateway_is_refused(
    life: Any, process: Any, port: str, code: int, message: str
) -> None:
    life.champion()
    process.start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    number = str(free if port == "free" else process.port)
    done = subprocess.run(
        [*process.command, number],
        env=process.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr


@pytest.mark.exhaustive  # on fakes it is tried daily
def test_database_away_and_back(
    life_of: Any, process_of: Any, tmp_path: Path, eventually: Any
) -> None:
    with postgres.running(tmp_path / "server") as server:
        upgrade(server.url("tenure"))
        platform = platform_on(server.url("tenure"), tmp_path / "home")
        life = life_of(platform)
        first, second = life.champion(1), life.approved(2)
        key = create_key(platform, "app", ["score"])
        process = process_of(platform)
        process.start()
        load = Load(process, life, f"Bearer {key}")
        load.run(0.5)
        platform.database.dispose()
    load.run(0.5)
    process.kill()
    process.start()  # from what it kept on disk: plan, keys, artifact
    load.run(0.5)
    assert load.lost == 0
    with postgres.running(tmp_path / "server"):
        life.publish(first, second, share_bp=500, lease_seconds=20, moves=[(second, State.CANARY)])
        headers = {"Authorization": f"Bearer {key}"}
        plan = f"{process.url}/v2/models/{MODEL}/plan"
        eventually(lambda: httpx.get(plan, headers=headers).json()["generation"] == 2)
        process.stop()
        platform.database.dispose()
    logged = [row["decision_id"] for row in shipped(platform)]
    assert sorted(logged) == sorted(load.answered)


INFER = f"POST /v2/models/{MODEL}/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        pytest.param(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 3, {200}, id="110"),
        pytest.param(
            f"GET /v2/health/live HTTP/1.1\r\nX: {'a' * 65_536}\r\n\r\n".encode(),
            {200, 400, 431},
            id="106 long header",
        ),
        pytest.param(
            f"{INFER}Content-Length: 2\r\n\r\n{{}}{{}}".encode(), {400, 401}, id="102 too short"
        ),
        pytest.param(f"{INFER}Content-Length: -1\r\n\r\n{{}}".encode(), {400}, id="102 negative"),
        pytest.param(
            f"{INFER}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
            {400, 401},
            id="110 both lengths",
        ),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}, id="TLS"),
    ],
)
def test_raw_bytes(bare_gateway: Any, request_: bytes, allowed: set[int]) -> None:
    with socket.create_connection(("127.0.0.1", bare_gateway.port), timeout=5) as connection:
        connection.sendall(request_)
        answer = connection.recv(65_536)
    assert int(answer.split(b" ", 2)[1]) in allowed
    assert bare_gateway.get("/v2/health/live") == 200


def platform_on(database_url: str, home: Path) -> Installation:
    return Installation(
        Settings(
            home=home,
            include=REPOSITORY / "include",
            database_url=database_url,
            store_url=(home / "store").as_uri(),
            mlflow_url="",
            gateway_url="",
            airflow_url="",
        )
    )
