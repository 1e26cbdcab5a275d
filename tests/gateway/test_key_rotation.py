"""A client that rotates its key is the same client: a request sent again is not decided anew."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.app import create_app
from tenure.lifecycle.serving import ApiKey

INFER = "/v2/models/flight_late/infer"
KEYS = {"old": "shop", "new": "shop", "other": "bank"}


def put_in_force(world: Any, *secrets: str) -> None:
    keys = [
        ApiKey(hashlib.sha256(secret.encode()).hexdigest(), KEYS[secret], ["score"])
        for secret in secrets
    ]
    world.source.catalog = replace(world.source.catalog, keys=keys)


@pytest.fixture
def post(world: Any, ask: Callable[..., Any], eventually: Any) -> Iterator[Callable[..., Any]]:
    """Asks with a key; the same request each time."""
    put_in_force(world, "old")
    body = ask() | {"id": "order-1"}
    with TestClient(create_app(world.gateway())) as client:

        def ask_with(secret: str) -> Any:
            headers = {"Authorization": f"Bearer {secret}"}
            eventually(lambda: client.get(INFER[:-6], headers=headers).status_code == 200)
            return client.post(INFER, json=body, headers=headers)

        yield ask_with


def test_a_replay_survives_the_rotation(world: Any, post: Callable[..., Any]) -> None:
    first = post("old")
    put_in_force(world, "old", "new")
    again = post("new")
    assert again.headers["X-Tenure-Replayed"] == "true"
    assert again.json() == first.json()
    put_in_force(world, "new")
    later = post("new")
    assert (later.headers["X-Tenure-Replayed"], later.json()) == ("true", first.json())


def test_another_client_gets_a_decision_of_its_own(world: Any, post: Callable[..., Any]) -> None:
    first = post("old")
    put_in_force(world, "old", "other")
    others = post("other")
    assert "X-Tenure-Replayed" not in others.headers
    assert others.json()["parameters"]["decision_ids"] != first.json()["parameters"]["decision_ids"]
