"""A gateway in front of a regression that answers with intervals."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.training.numbers import NumberRule

INFER = "/v2/models/flight_late/infer"
STATED = {
    "task": "regression",
    "threshold": None,
    "interval": {"coverage": 0.9, "margin": 1.5, "trivial": [-20.0, 60.0]},
}


@pytest.fixture
def made(world: Any, request: pytest.FixtureRequest) -> Any:
    """The world, before its gateway starts, with a champion that predicts minutes."""
    world.label = NumberRule()
    world.policy = ServingPolicy(fallback_score=12.0, cache_rows=8)
    world.said = [[-7.25, -20.5, 31.0]]
    world.loader.models = {11: lambda rows: world.said * len(rows)}
    known = world.source.catalog.versions
    rows = {k: replace(row, facts_json={**row.facts_json, **STATED}) for k, row in known.items()}
    world.source.catalog = replace(world.source.catalog, versions=rows)
    client = request.getfixturevalue("client")
    request.getfixturevalue("wait_ready")(client)
    return world, client


def by_name(answer: Any) -> dict[str, list[float]]:
    return {output["name"]: output["data"] for output in answer.json()["outputs"]}


def test_answers_and_log_have_the_interval(
    made: Any, ask: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    world, client = made
    answer = client.post(INFER, json=ask())
    assert by_name(answer) == {"prediction": [-7.25], "lower": [-20.5], "upper": [31.0]}
    again = client.post(INFER, json=ask())
    assert by_name(again) == by_name(answer)
    assert again.json()["parameters"]["cached"] is True
    eventually(lambda: len(world.rows()) == 2)
    assert {(r["score"], r["lower"], r["upper"]) for r in world.rows()} == {(-7.25, -20.5, 31.0)}


def test_a_client_may_ask_for_one_end(made: Any, ask: Callable[..., Any]) -> None:
    _, client = made
    answer = client.post(INFER, json=ask() | {"outputs": [{"name": "upper"}]})
    assert by_name(answer) == {"upper": [31.0]}


def test_invocations_and_metadata_have_it_too(made: Any) -> None:
    _, client = made
    frame = {"columns": ["hour", "temp", "carrier"], "data": [[9.0, 1.0, "AA"]]}
    answer = client.post("/invocations", json={"dataframe_split": frame}).json()
    assert answer["predictions"] == [{"prediction": -7.25, "lower": -20.5, "upper": 31.0}]
    outputs = client.get("/v2/models/flight_late").json()["outputs"]
    assert [one["name"] for one in outputs] == ["prediction", "lower", "upper"]
    assert [one.get("parameters") for one in outputs] == [None, *[{"coverage": 0.9}] * 2]


@pytest.mark.parametrize(
    "bad",
    [
        -7.25,
        [-7.25],
        [-7.25, -20.5],
        [-7.25, -20.5, 31.0, 1.0],
        [-7.25, -7.0, 31.0],
        [-7.25, -20.5, -8.0],
        [math.nan, -20.5, 31.0],
        [-7.25, -math.inf, 31.0],
    ],
)
def test_without_an_interval_nothing_is_served(
    made: Any, ask: Callable[..., Any], client: TestClient, bad: Any
) -> None:
    world, client = made
    world.said[0] = bad
    answer = client.post(INFER, json=ask())
    assert by_name(answer) == {"prediction": [12.0]}  # of the rule, whose certainty nobody knows
    reason = "champion: prediction is not a finite number within its interval"
    assert answer.json()["parameters"]["reason"] == reason
