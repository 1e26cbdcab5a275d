"""A request that is sent again gets the decision that was made, and another one is no replay."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.contract.answers import Answer
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.http import replays
from tenure.gateway.http.replays import Replays

INFER = "/v2/models/flight_late/infer"
Ask = Callable[..., dict[str, Any]]
KEY = ("caller", "model", "id")


def answer(text: str = "x") -> Answer:
    return Answer(text.encode(), status=200, headers=[])


def test_same_request_gets_the_same_decision_and_is_logged_once(
    world: Any, ask: Ask, wait_ready: Any
) -> None:
    from tenure.gateway.app import create_app

    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        wait_ready(client)
        body = ask()
        first, second = (client.post(INFER, json=body) for _ in range(2))
    assert first.content == second.content
    assert "X-Tenure-Replayed" not in first.headers
    assert second.headers["X-Tenure-Replayed"] == "true"
    assert len(world.rows()) == 1


@pytest.mark.parametrize(
    "change",
    [{"hour": [10.0]}, {"subject": "s2"}],
    ids=["other features", "other subject"],
)
def test_same_id_with_other_content_is_refused(
    client: TestClient, ask: Ask, change: dict[str, Any]
) -> None:
    body = ask()
    other = {**ask(**change), "id": body["id"]}
    assert client.post(INFER, json=body).status_code == 200
    refused = client.post(INFER, json=other)
    assert (refused.status_code, refused.json()["code"]) == (409, "request_id_reused")
    assert refused.json()["field"] == "id"


def test_same_id_for_a_pinned_version_is_another_request(client: TestClient, ask: Ask) -> None:
    body = ask()
    assert client.post(INFER, json=body).status_code == 200
    pinned = client.post("/v2/models/flight_late/versions/1/infer", json=body)
    assert pinned.status_code == 409


def test_ids_of_other_callers_do_not_meet(client: TestClient, ask: Ask) -> None:
    body = ask()
    mine = client.post(INFER, json=body)
    theirs = client.post(INFER, json=body, headers={"Authorization": "Bearer admin-key"})
    assert "X-Tenure-Replayed" not in theirs.headers
    assert mine.json()["parameters"]["decision_ids"] != theirs.json()["parameters"]["decision_ids"]


def test_invocations_replay_by_their_headers(client: TestClient) -> None:
    body = {"dataframe_records": [{"hour": 1, "temp": 2, "carrier": "AA"}]}
    who = {"X-Request-Id": "r1", "X-Tenure-Subject": "s1"}
    first = client.post("/invocations", json=body, headers=who)
    again = client.post("/invocations", json=body, headers=who)
    assert first.content == again.content
    other = client.post("/invocations", json=body, headers={**who, "X-Tenure-Subject": "s2"})
    assert other.status_code == 409


def test_refused_request_may_be_tried_again(client: TestClient, ask: Ask) -> None:
    body = ask(hour=["nan"])
    assert client.post(INFER, json=body).status_code == 422
    assert client.post(INFER, json={**ask(), "id": body["id"]}).status_code == 200


def test_replays_are_counted(client: TestClient, ask: Ask) -> None:
    body = ask()
    for _ in range(3):
        client.post(INFER, json=body)
    text = client.get("/metrics", headers={"Authorization": "Bearer metrics-key"}).text
    assert 'tenure_replayed_answers_total{model="flight_late"} 2.0' in text
    assert 'tenure_decisions_total{arm="champion",level="model",model="flight_late"} 1.0' in text


# ---------------------------------------------------------------- what is kept


def test_twin_waits_for_the_first() -> None:
    async def both() -> tuple[Any, Any, int]:
        kept, started, calls = Replays(), asyncio.Event(), []

        async def decide() -> Answer:
            calls.append(1)
            started.set()
            await asyncio.sleep(0.01)
            return answer()

        first = asyncio.create_task(kept.once(KEY, b"d", decide))
        await started.wait()
        second = await kept.once(KEY, b"d", decide)
        return await first, second, len(calls)

    first, second, calls = asyncio.run(both())
    assert (first[1], second[1], calls) == (False, True, 1)
    assert first[0].body == second[0].body


def test_twin_of_a_refused_one_hears_the_same() -> None:
    async def both() -> list[Any]:
        kept = Replays()

        async def refuse() -> Answer:
            await asyncio.sleep(0.01)
            raise Refusal(503, "log_unavailable", "full")

        tries = [kept.once(KEY, b"d", refuse) for _ in range(2)]
        return await asyncio.gather(*tries, return_exceptions=True)

    assert [getattr(one, "code", one) for one in asyncio.run(both())] == ["log_unavailable"] * 2


@pytest.mark.parametrize(("later", "known"), [(119.9, True), (120.0, True), (120.1, False)])
def test_forgotten_after_two_minutes(later: float, known: bool) -> None:
    now = [0.0]

    async def both() -> bool:
        kept = Replays(lambda: now[0])

        async def decide() -> Answer:
            return answer()

        await kept.once(KEY, b"d", decide)
        now[0] = later
        return (await kept.once(KEY, b"d", decide))[1]

    assert asyncio.run(both()) == known


def test_an_answer_larger_than_all_room_is_given_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replays, "_BYTES", 100)

    async def one() -> tuple[bytes, int]:
        kept = Replays()

        async def decide() -> Answer:
            return answer("x" * 100)

        given, _ = await kept.once(KEY, b"d", decide)
        return given.body, len(kept._kept)

    assert asyncio.run(one()) == (b"x" * 100, 0)


@pytest.mark.parametrize(("later", "left"), [(119.9, 4), (120.0, 4), (120.1, 1)])
def test_what_is_too_old_takes_no_memory(later: float, left: int) -> None:
    now = [0.0]

    async def four() -> int:
        kept = Replays(lambda: now[0])

        async def decide() -> Answer:
            return answer()

        for i in range(3):
            await kept.once(("c", "m", str(i)), b"d", decide)
        now[0] = later
        await kept.once(("c", "m", "new"), b"d", decide)
        return len(kept._kept)

    assert asyncio.run(four()) == left


def test_oldest_goes_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "_BYTES", 3 * (replays._OVERHEAD + 100))

    async def five() -> list[bool]:
        kept = Replays()

        async def decide() -> Answer:
            return answer("x" * 100)

        for i in range(5):
            await kept.once(("c", "m", str(i)), b"d", decide)
        found = [(await kept.once(("c", "m", str(i)), b"d", decide))[1] for i in (2, 3, 4)]
        assert len(kept._kept) == 3
        return found

    assert asyncio.run(five()) == [True, True, True]


class Slow:
    """Decisions that end when they are let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.made = 0
        self.error: Exception | None = None

    async def __call__(self) -> Answer:
        self.made += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return answer("x" * 100)


async def fast() -> Answer:
    return answer("x" * 100)


def true_size(kept: Replays) -> int:
    return sum(one.size for one in kept._kept.values())


def test_what_is_being_decided_is_not_let_go_for_want_of_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its twin finds it, and what is counted is what is there: for ever, not only once."""
    monkeypatch.setattr(replays, "_BYTES", 3 * (replays._OVERHEAD + 100))

    async def rounds() -> None:
        kept = Replays()
        for number in range(6):
            slow, key = Slow(), ("c", "m", f"slow {number}")
            first = asyncio.create_task(kept.once(key, b"d", slow))
            await asyncio.sleep(0)
            for other in range(4):
                await kept.once(("c", "m", f"{number} {other}"), b"d", fast)
            twin = asyncio.create_task(kept.once(key, b"d", slow))
            await asyncio.sleep(0)
            slow.gate.set()
            assert [replayed for _, replayed in (await first, await twin)] == [False, True]
            assert slow.made == 1
            assert kept._size == true_size(kept) <= replays._BYTES
        assert (await kept.once(("c", "m", "5 3"), b"d", fast))[1]

    asyncio.run(rounds())


@pytest.mark.parametrize("error", [None, Refusal(503, "log_unavailable", "no disk")])
def test_what_ends_after_another_took_its_place_leaves_that_alone(error: Refusal | None) -> None:
    now = [0.0]

    async def late() -> None:
        kept, slow = Replays(lambda: now[0]), Slow()
        first = asyncio.create_task(kept.once(KEY, b"d", slow))
        await asyncio.sleep(0)
        now[0] = 121.0
        assert not (await kept.once(KEY, b"d", fast))[1]
        slow.error = error
        slow.gate.set()
        await asyncio.gather(first, return_exceptions=True)
        assert kept._size == true_size(kept) == replays._OVERHEAD + 100
        assert (await kept.once(KEY, b"d", fast))[1]

    asyncio.run(late())
