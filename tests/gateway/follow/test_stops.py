"""A canary that a person stops at a gateway gets nothing more there, database or not."""

import errno
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient

from tenure.errors import ServiceUnreachable
from tenure.gateway.app import create_app
from tenure.gateway.follow import stops as stops_module
from tenure.gateway.follow.follower import RETELL_SECONDS
from tenure.gateway.follow.last_known import LastKnownState
from tenure.gateway.follow.stops import Stops
from tenure.lifecycle.serving import CanaryStop, Catalog
from tenure.settings import REPOSITORY
from tenure.usecases.promotion.rollback import STOP_BY_CURL

STOP, PLAN = "/v2/models/flight_late/canary/stop", "/v2/models/flight_late/plan"
ADMIN = {"Authorization": "Bearer admin-key"}
REASON = {"reason": "complaints"}
NO_ROOM = OSError(errno.ENOSPC, "No space left on device")
DOWN = ServiceUnreachable("no database", still_safe="x", next_step="y")


@pytest.fixture
def with_canary(
    served: tuple[Any, TestClient], plans: Callable[..., Any], eventually: Callable[..., Any]
) -> tuple[Any, TestClient]:
    world, client = served
    world.publish(plans(2, canary=12, share_bp=10_000))
    eventually(lambda: client.get(PLAN).json()["generation"] == 2)
    return served


def no_room(*_: object) -> None:
    """In place of the disk."""
    raise NO_ROOM


def arm(client: TestClient, body: dict[str, Any]) -> str:
    return str(client.post("/v2/models/flight_late/infer", json=body).json()["parameters"]["arm"])


def test_stop_while_the_database_is_down_and_over_a_restart(
    with_canary: tuple[Any, TestClient],
    ask: Callable[..., Any],
    plans: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    world, client = with_canary
    assert arm(client, ask("a")) == "canary"
    world.source.error = DOWN
    answer = client.post(STOP, json=REASON, headers=ADMIN)
    assert (answer.status_code, answer.json()) == (200, {"model": "flight_late", "canary": 2})
    assert arm(client, ask("b")) == "champion"
    assert client.get(PLAN).json()["share_bp"] == 0
    assert world.source.stops == []
    again = world.gateway()
    with TestClient(create_app(again)) as second:
        world.source.error = None
        eventually(lambda: world.source.stops)
        eventually(lambda: again.follower.view.models)
        second.headers["Authorization"] = "Bearer score-key"
        assert arm(second, ask("c")) == "champion"
        world.publish(plans(3, canary=12, share_bp=10_000))  # a controller that does not know
        eventually(lambda: second.get(PLAN).json()["generation"] == 3)
        assert arm(second, ask("d")) == "champion"
    stop = world.source.stops[0]
    assert (stop.version, stop.by, stop.reason, stop.at) == (
        2,
        "admin-key",
        "complaints",
        world.clock.wall,
    )


def as_curl_sends(text: str) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path, headers and body of the one `curl` in the text, with curl's own defaults."""
    (command,) = re.findall(r"`(curl [^`]*canary/stop)`", text)
    words = iter(shlex.split(command)[1:])
    method, url, body = "GET", "", b""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words).encode()
        else:
            url = word
    return method, url.removeprefix("GATEWAY"), headers, body


DOCUMENTED = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", [DOCUMENTED, STOP_BY_CURL.format(model="MODEL")], ids=["document", "next step"]
)
def test_the_command_that_people_are_told_stops_it(
    with_canary: tuple[Any, TestClient], text: str
) -> None:
    _, client = with_canary
    method, path, headers, body = as_curl_sends(text)
    headers["Authorization"] = headers["Authorization"].replace("KEY", "admin-key")
    answer = client.request(
        method, path.replace("MODEL", "flight_late"), headers=headers, content=body
    )
    assert (answer.status_code, answer.json()) == (200, {"model": "flight_late", "canary": 2})


def test_it_is_reported_once_and_forgotten_with_its_plan(
    with_canary: tuple[Any, TestClient], plans: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    world, client = with_canary
    assert client.post(STOP, json=REASON, headers=ADMIN).status_code == 200
    eventually(lambda: world.source.stops)
    world.publish(plans(3))
    eventually(lambda: client.get(PLAN).json()["generation"] == 3)
    eventually(lambda: (world.folder / "stops.json").read_text() == "[]")
    assert len(world.source.stops) == 1


def test_a_full_disk_neither_tells_it_twice_nor_keeps_the_follower(
    with_canary: tuple[Any, TestClient],
    plans: Callable[..., Any],
    eventually: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a disk does not take is written when it does; all else goes on meanwhile."""
    world, client = with_canary
    world.source.error = DOWN
    assert client.post(STOP, json=REASON, headers=ADMIN).status_code == 200
    monkeypatch.setattr(stops_module, "whole_file", no_room)
    world.source.error = None
    eventually(lambda: world.source.stops)
    looked = world.source.reads
    world.publish(plans(3, canary=12, share_bp=5_000))
    eventually(lambda: client.get(PLAN).json()["generation"] == 3)
    eventually(lambda: world.source.reads > looked + 10)
    assert len(world.source.stops) == 1
    assert client.get(PLAN).json()["share_bp"] == 0
    assert caplog.text.count("state=not_kept") == 1
    assert "follower=failed" not in caplog.text
    assert kept(world) == [False]
    monkeypatch.undo()
    eventually(lambda: kept(world) == [True])
    with TestClient(create_app(world.gateway())):
        looked = world.source.reads
        eventually(lambda: world.source.reads > looked + 5)
    assert len(world.source.stops) == 1


def test_a_stop_that_cannot_be_kept_is_refused_and_changes_nothing(
    with_canary: tuple[Any, TestClient], ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, client = with_canary
    monkeypatch.setattr(stops_module, "whole_file", no_room)
    answer = client.post(STOP, json=REASON, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_kept")
    assert arm(client, ask("a")) == "canary"
    assert world.source.stops == []


def test_a_stop_that_replaced_the_told_one_is_reported_as_well(tmp_path: Path) -> None:
    first = CanaryStop("m", 12, 2, "olga", "slow", datetime(2026, 5, 1, tzinfo=UTC))
    second = replace(first, by="otto", reason="wrong")
    stops = Stops(tmp_path / "stops.json")
    stops.put(first)
    stops.put(second)
    stops.confirm(first)
    assert stops.pending() == [second]
    stops.confirm(second)
    stops.save()
    assert Stops(tmp_path / "stops.json").pending() == []


@pytest.mark.parametrize(
    "left",
    [b"", b'[{"model": "m"', b'[{"model": "m"}]', b"[]\x00", b"\xff\xfe", b"null"],
    ids=["empty", "cut off", "incomplete", "NUL behind it", "no text", "no list"],
)
def test_when_nobody_can_read_the_stops_no_canary_gets_anything_until_a_person_looked(
    world: Any,
    ask: Callable[..., Any],
    plans: Callable[..., Any],
    eventually: Callable[..., Any],
    left: bytes,
) -> None:
    """And the gateway starts, keeps the file and says so, once the database is there to listen."""
    (world.folder / "stops.json").write_bytes(left)
    corrupt = world.folder / "stops.json.corrupt"
    world.publish(plans(2, canary=12, share_bp=10_000))
    for _ in range(2):  # a restart changes nothing
        with TestClient(create_app(world.gateway())) as client:
            client.headers["Authorization"] = "Bearer score-key"
            eventually(lambda: client.get("/v2/health/ready").status_code == 200)
            assert corrupt.read_bytes() == left
            assert arm(client, ask("a")) == "champion"
            assert client.get(PLAN).json()["share_bp"] == 0
            eventually(lambda: world.source.corrupt == [True])
            world.source.corrupt.clear()
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        eventually(lambda: world.source.corrupt == [True])
        world.clock.seconds += RETELL_SECONDS  # somebody may have closed the incident
        eventually(lambda: world.source.corrupt == [True, True])
        corrupt.unlink()
        eventually(lambda: world.source.corrupt == [True, True, False])
        world.publish(plans(3, canary=12, share_bp=10_000))  # as its controller does all the time
        eventually(lambda: client.get(PLAN).json()["share_bp"] == 10_000)
        assert arm(client, ask("b")) == "canary"


def test_a_canary_is_stopped_on_top_of_stops_that_nobody_can_read(tmp_path: Path) -> None:
    (tmp_path / "stops.json").write_bytes(b"[")
    stop = CanaryStop("m", 12, 2, "olga", "slow", datetime(2026, 5, 1, tzinfo=UTC))
    Stops(tmp_path / "stops.json").put(stop)
    again = Stops(tmp_path / "stops.json")
    assert (again.is_corrupt, again.pending()) == (True, [stop])


def test_what_is_kept_is_for_its_owner_only(tmp_path: Path) -> None:
    stop = CanaryStop("m", 12, 2, "olga", "slow", datetime(2026, 5, 1, tzinfo=UTC))
    Stops(tmp_path / "stops.json").put(stop)
    LastKnownState(tmp_path / "state.json").write(Catalog())
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "stops.json": 0o600,
        "state.json": 0o600,
    }


def kept(world: Any) -> list[bool]:
    stops = msgspec.json.decode((world.folder / "stops.json").read_bytes())
    return [stop["is_reported"] for stop in stops]


@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        pytest.param("score-key", REASON, 403, "wrong_scope", id="another scope"),
        pytest.param("admin-key", {}, 422, "invalid", id="no reason"),
        pytest.param("admin-key", {"reason": ""}, 422, "invalid", id="empty reason"),
        pytest.param("admin-key", {"reason": "a\x00b"}, 422, "invalid", id="reason with NUL"),
        pytest.param("admin-key", REASON, 409, "no_canary", id="no canary"),
    ],
)
def test_refusals(
    client: TestClient, key: str, body: dict[str, str], status: int, code: str
) -> None:
    answer = client.post(STOP, json=body, headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
