"""A canary that a person stops at a gateway gets nothing more there, database or not."""

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
from tenure.gateway.stops import Stops
from tenure.lifecycle.serving import CanaryStop

STOP, PLAN = "/v2/models/flight_late/canary/stop", "/v2/models/flight_late/plan"
ADMIN = {"Authorization": "Bearer admin-key"}
REASON = {"reason": "complaints"}
DOWN = ServiceUnreachable("no database", still_safe="x", next_step="y")


@pytest.fixture
def with_canary(
    served: tuple[Any, TestClient], plans: Callable[..., Any], eventually: Callable[..., Any]
) -> tuple[Any, TestClient]:
    world, client = served
    world.publish(plans(2, canary=12, share_bp=10_000))
    eventually(lambda: client.get(PLAN).json()["generation"] == 2)
    return served


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


def test_it_is_told_once_and_forgotten_with_its_plan(
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
) -> None:
    """What a disk does not take is written when it does; all else goes on meanwhile."""
    world, client = with_canary
    full = world.folder / "stops.tmp"
    world.source.error = DOWN
    assert client.post(STOP, json=REASON, headers=ADMIN).status_code == 200
    full.mkdir()  # nothing can be written there any more
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
    full.rmdir()
    eventually(lambda: kept(world) == [True])
    with TestClient(create_app(world.gateway())):
        looked = world.source.reads
        eventually(lambda: world.source.reads > looked + 5)
    assert len(world.source.stops) == 1


def test_a_stop_that_cannot_be_kept_is_refused_and_changes_nothing(
    with_canary: tuple[Any, TestClient], ask: Callable[..., Any]
) -> None:
    world, client = with_canary
    (world.folder / "stops.tmp").mkdir()
    answer = client.post(STOP, json=REASON, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_kept")
    assert arm(client, ask("a")) == "canary"
    assert world.source.stops == []


def test_a_stop_that_replaced_the_told_one_is_told_as_well(tmp_path: Path) -> None:
    first = CanaryStop("m", 12, 2, "olga", "slow", datetime(2026, 5, 1, tzinfo=UTC))
    second = replace(first, by="otto", reason="wrong")
    stops = Stops(tmp_path / "stops.json")
    stops.put(first)
    stops.put(second)
    stops.told(first)
    assert stops.untold() == [second]
    stops.told(second)
    stops.save()
    assert Stops(tmp_path / "stops.json").untold() == []


def kept(world: Any) -> list[bool]:
    stops = msgspec.json.decode((world.folder / "stops.json").read_bytes())
    return [stop["is_told"] for stop in stops]


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
