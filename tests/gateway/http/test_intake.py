"""Bodies: each is bounded, all large ones together are, and small ones always find room."""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from tenure.gateway.contract.answers import Answer
from tenure.gateway.contract.metrics import Metrics
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.http.calls import Call, Endpoint
from tenure.gateway.http.intake import SMALL_BYTES, Intake
from tenure.lifecycle.serving import GatewayPolicy

ROOM = 100_000
LIMITS = GatewayPolicy(max_body_bytes=90_000, max_waiting_bytes=ROOM)
HEADERS = [(b"content-type", b"application/json")]
SCORE, ADMIN = ({"Authorization": f"Bearer {name}-key"} for name in ("score", "admin"))
INFER = "/v2/models/flight_late/infer"


def call(*parts: int, ends: bool = True) -> Call:
    """One that sends parts of so many bytes; it never `ends` when the client leaves then."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b" " * size, "more_body": True} for size in parts
    ]
    if ends:
        messages[-1]["more_body"] = False
    messages.append({"type": "http.disconnect"})

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    return Call({"headers": HEADERS, "path_params": {}, "path": "/"}, receive)


def read(intake: Intake, one: Call) -> bytes:
    return asyncio.run(intake.read(one))


def taken(intake: Intake) -> int:
    return ROOM - intake._room


@pytest.mark.parametrize(
    ("parts", "held"),
    [
        ((1,), 0),
        ((SMALL_BYTES - 1,), 0),
        ((SMALL_BYTES,), 0),
        ((SMALL_BYTES + 1,), 1),
        ((SMALL_BYTES, 1), 1),
        ((1, 0, SMALL_BYTES), 1),
        ((90_000,), 90_000 - SMALL_BYTES),
        ((45_000, 45_000), 90_000 - SMALL_BYTES),
    ],
)
def test_what_a_body_takes(parts: tuple[int, ...], held: int) -> None:
    intake, one = Intake(LIMITS), call(*parts)
    assert len(read(intake, one)) == sum(parts)
    assert (one.held_bytes, taken(intake)) == (held, held)


@pytest.mark.parametrize("parts", [(90_001,), (90_000, 1), (80_000, 80_000)], ids=str)
def test_body_with_too_many_bytes(parts: tuple[int, ...]) -> None:
    intake = Intake(LIMITS)
    with pytest.raises(Refusal, match=r"bytes or more; allowed are 90,000\.$") as refused:
        read(intake, call(*parts))
    assert (refused.value.status, refused.value.code) == (413, "too_large")


@pytest.mark.parametrize(
    ("last", "fits"),
    [(SMALL_BYTES, True), (SMALL_BYTES + 1072, True), (SMALL_BYTES + 1073, False)],
    ids=["small", "just fits", "one byte too many"],
)
@pytest.mark.parametrize("pieces", [1, 2], ids=["at once", "in two pieces"])
def test_room_is_bounded(last: int, fits: bool, pieces: int) -> None:
    intake = Intake(LIMITS)
    large = [call(90_000) for _ in range(4)]
    for one in large:
        read(intake, one)
    one = call(1128 + SMALL_BYTES)
    read(intake, one)
    assert taken(intake) == 4 * 24_464 + 1128 == ROOM - 1016 == 98_984
    intake.give_back(56)
    wanted = call(last) if pieces == 1 else call(last - 500, 500)
    if fits:
        read(intake, wanted)
        return
    with pytest.raises(Refusal) as refused:
        read(intake, wanted)
    assert (refused.value.status, refused.value.code) == (503, "too_many_bytes")
    assert refused.value.message == (
        "Too many large bodies are being received; try again, or send fewer rows."
    )


async def answer(_call: Call) -> Answer:
    return Answer(b"", status=200, headers=[])


async def refuse(_call: Call) -> Answer:
    raise Refusal(422, "no", "No.")


async def crash(_call: Call) -> Answer:
    raise RuntimeError("a bug")


async def leave(_call: Call) -> Answer:
    raise asyncio.CancelledError


@pytest.mark.parametrize("then", [answer, refuse, crash, leave])
@pytest.mark.parametrize("ends", [True, False], ids=["whole", "client left"])
def test_room_is_given_back_whatever_happens(
    then: Callable[[Call], Awaitable[Answer]], ends: bool
) -> None:
    intake = Intake(LIMITS)
    most = []

    async def handle(one: Call) -> Answer:
        try:
            await intake.read(one)
        finally:
            most.append(taken(intake))
        return await then(one)

    async def send(_message: Any) -> None:
        assert taken(intake) == 0  # a client that is slow to take the answer holds nothing

    one = call(80_000, 9_000, ends=ends)
    end = Endpoint(handle, Metrics().route("POST", "/x"), give_back=intake.give_back)
    scope = {"headers": HEADERS, "path_params": {}, "path": "/"}
    with asyncio.Runner() as runner:
        try:
            runner.run(end(scope, one.receive, send))
        except asyncio.CancelledError:
            assert then is leave
    assert most == [89_000 - SMALL_BYTES]
    assert taken(intake) == 0


def test_one_body_always_finds_room() -> None:
    """Limits of before there was a budget: a body of more than its default."""
    intake = Intake(GatewayPolicy(max_body_bytes=200_000, max_waiting_bytes=100_000))
    assert len(read(intake, call(200_000))) == 200_000


def test_one_message_without_a_length_is_bounded() -> None:
    intake = Intake(GatewayPolicy(max_body_bytes=2_000))
    with pytest.raises(Refusal, match="2,001 bytes"):
        read(intake, call(2_001))
    assert len(read(intake, call(2_000))) == 2_000


@pytest.fixture
def canary(world: Any, run_world: Any, plans: Any, eventually: Any) -> Iterator[Any]:
    """A served gateway that gives everything to the canary."""
    world.publish(plans(2, canary=12, share_bp=10_000))
    with run_world(world) as served:
        plan = f"{served.url}/v2/models/flight_late/plan"
        eventually(lambda: httpx.get(plan, headers=SCORE).json().get("share_bp") == 10_000)
        yield served


@pytest.mark.parametrize(
    ("path", "status", "arm"),
    [
        pytest.param(INFER, 200, "champion", id="routed"),
        pytest.param(INFER.replace("infer", "versions/2/infer"), 409, None, id="pinned"),
    ],
)
def test_a_canary_that_is_stopped_decides_no_body_that_was_on_its_way(
    canary: Any, ask: Any, path: str, status: int, arm: str | None
) -> None:
    body = json.dumps(ask()).encode()
    slow = http.client.HTTPConnection("127.0.0.1", canary.port, timeout=10)
    slow.putrequest("POST", path)
    for name, value in {**SCORE, "Content-Type": "application/json"}.items():
        slow.putheader(name, value)
    slow.putheader("Content-Length", str(len(body)))
    slow.endheaders(body[:-10])
    stop = f"{canary.url}/v2/models/flight_late/canary/stop"
    assert httpx.post(stop, headers=ADMIN, json={"reason": "wrong"}).status_code == 200
    slow.send(body[-10:])
    got = slow.getresponse()
    said = json.loads(got.read())
    slow.close()
    assert got.status == status, said
    assert said.get("parameters", {}).get("arm") == arm
