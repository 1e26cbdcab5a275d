"""Whose request an outcome means: who scores speaks of its own requests, others say whose."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.app import create_app
from tenure.gateway.contract.keys import Caller
from tenure.gateway.log import writer
from tenure.lifecycle.serving import ApiKey, caller_digest

INFER, OUTCOMES = "/v2/models/flight_late/infer", "/v2/models/flight_late/outcomes"
KEYS = {
    "shop-1": ("shop", ["score", "outcome"]),
    "shop-2": ("shop", ["score", "outcome"]),  # while it rotates
    "bank-1": ("bank", ["score", "outcome"]),
    "truth-1": ("truth", ["outcome"]),
    "root-1": ("root", ["admin"]),
}


def digest(client: str) -> str:
    return caller_digest(b"k" * 32, client)


@pytest.fixture
def say(
    world: Any,
    ask: Callable[..., Any],
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Any]]:
    """Posts with a key: a request for decisions, or outcomes. What is logged ships at once."""
    monkeypatch.setattr(writer, "ROTATE_SECONDS", 0.02)
    keys = [
        ApiKey(hashlib.sha256(secret.encode()).hexdigest(), name, scopes)
        for secret, (name, scopes) in KEYS.items()
    ]
    world.source.catalog = replace(world.source.catalog, keys=keys)
    made = world.gateway()

    def post(secret: str, *outcomes: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        if outcomes:
            return client.post(OUTCOMES, json={"outcomes": [*outcomes]}, headers=headers)
        return client.post(INFER, json=ask() | {"id": "order-1"}, headers=headers)

    with TestClient(create_app(made), raise_server_exceptions=False) as client:
        eventually(lambda: made.follower.view.models)
        yield post
        client.close()


def shipped(world: Any, eventually: Callable[..., Any], kind: str, rows: int) -> list[Any]:
    eventually(lambda: len(world.rows(kind)) == rows)
    return list(world.rows(kind))


def test_the_log_tells_two_callers_apart_who_use_one_id(
    world: Any, say: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    answers = [say(key) for key in ("shop-1", "bank-1", "shop-2")]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.headers.get("X-Tenure-Replayed") for answer in answers] == [None, None, "true"]
    rows = shipped(world, eventually, "decisions", 2)
    assert {row["request_id"] for row in rows} == {"order-1"}
    assert [row["caller"] for row in rows] == [digest("shop"), digest("bank")]
    assert "shop" not in str(rows)


TOLD = [
    ("shop-1", {}, digest("shop")),
    ("shop-2", {"caller": "shop"}, digest("shop")),
    ("truth-1", {}, None),
    ("truth-1", {"caller": "bank"}, digest("bank")),
    ("root-1", {}, None),
    ("root-1", {"caller": "bank"}, digest("bank")),
    ("root-1", {"caller": "jwt:ann"}, digest("jwt:ann")),
]


@pytest.mark.parametrize("told", TOLD)
def test_whose_request_an_outcome_means(
    world: Any,
    say: Callable[..., Any],
    eventually: Callable[..., Any],
    told: tuple[str, dict[str, str], str | None],
) -> None:
    key, named, meant = told
    answer = say(key, {"request_id": "order-1", "label": True, **named})
    assert answer.status_code == 200, answer.text
    (row,) = shipped(world, eventually, "outcomes", 1)
    assert (row["request_id"], row["caller"]) == ("order-1", meant)


def test_who_scores_may_not_speak_for_another(world: Any, say: Callable[..., Any]) -> None:
    told = say(
        "shop-1",
        {"request_id": "order-1", "label": True},
        {"request_id": "order-1", "label": True, "caller": "bank"},
    )
    assert (told.status_code, told.json()["code"], told.json()["field"]) == (
        403,
        "not_your_request",
        "outcomes[1].caller",
    )
    assert told.json()["error"] == (
        "The key 'shop' scores, so its request ids are its own. Give the decision id, or use a key "
        "that has the scope outcome but not score, or admin."
    )


def test_a_decision_id_needs_no_caller(say: Callable[..., Any]) -> None:
    told = say("truth-1", {"decision_id": "d1", "label": True, "caller": "bank"})
    assert (told.status_code, told.json()["field"]) == (422, "outcomes[0].caller")


def test_a_token_is_no_key_of_the_same_name() -> None:
    key = Caller.of(ApiKey("0" * 64, "ann", ["score"]))
    token = Caller.of(ApiKey("jwt:ann", "ann", ["score"]))
    assert (key.client, token.client) == ("ann", "jwt:ann")
