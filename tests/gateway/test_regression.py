"""A gateway in front of a regression: numbers out, numbers in, and nothing that is invented."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.training.numbers import NumberRule

INFER = "/v2/models/flight_late/infer"
OUTCOME = {"Authorization": "Bearer outcome-key"}


@pytest.fixture
def regression(world: Any) -> Any:
    """The world, before its gateway starts, with a champion that predicts minutes."""
    world.label = NumberRule()
    world.policy = ServingPolicy(fallback_score=12.0)
    world.said = [-7.25]
    world.loader.models = {11: lambda rows: world.said * len(rows)}
    known = world.source.catalog.versions
    stated = {
        key: replace(row, facts_json={**row.facts_json, "task": "regression", "threshold": None})
        for key, row in known.items()
    }
    world.source.catalog = replace(world.source.catalog, versions=stated)
    return world


@pytest.fixture
def made(regression: Any, client: TestClient, wait_ready: Callable[[TestClient], None]) -> Any:
    wait_ready(client)
    return regression, client


def test_it_answers_numbers_and_logs_them(
    made: Any, ask: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    world, client = made
    answer = client.post(INFER, json=ask(hour=[9.0, 10.0], temp=[1.0, 2.0], carrier=["AA", "UA"]))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [o["name"] for o in body["outputs"]] == ["prediction"]
    assert body["outputs"][0]["data"] == [-7.25, -7.25]
    assert body["parameters"]["confidence"] == []
    assert body["parameters"]["review"] == []
    eventually(lambda: len(world.rows()) == 2)
    row = world.rows()[0]
    assert (row["score"], row["decision"], row["confidence"]) == (-7.25, None, None)


def test_invocations_have_no_decision(made: Any) -> None:
    _, client = made
    frame = {"columns": ["hour", "temp", "carrier"], "data": [[9.0, 1.0, "AA"]]}
    answer = client.post("/invocations", json={"dataframe_split": frame})
    assert answer.json()["predictions"] == [{"prediction": -7.25}]


def test_metadata_say_what_it_gives(made: Any) -> None:
    _, client = made
    outputs = client.get("/v2/models/flight_late").json()["outputs"]
    assert outputs == [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]


def test_a_decision_that_there_is_not_is_refused(made: Any, ask: Callable[..., Any]) -> None:
    _, client = made
    answer = client.post(INFER, json=ask() | {"outputs": [{"name": "decision"}]})
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_such_output"
    assert answer.json()["error"] == "flight_late is a regression: its outputs are prediction."


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_that_is_none_is_served(made: Any, ask: Callable[..., Any], bad: float) -> None:
    world, client = made
    world.said[0] = bad
    body = client.post(INFER, json=ask()).json()
    assert body["outputs"][0]["data"] == [12.0]
    assert body["parameters"]["fallback_level"] == "rule"
    assert body["parameters"]["reason"] == "champion: score is not a finite number"


def test_without_a_declared_number_nothing_is_invented(made: Any, ask: Callable[..., Any]) -> None:
    world, client = made
    world.policy = ServingPolicy(fallback_score=None)
    world.loader.started[0].die()
    answer = client.post(INFER, json=ask())
    body = answer.json()
    if answer.status_code == 200:  # the view that was in force still had the rule
        assert body["outputs"][0]["data"] == [12.0]
    else:
        assert (answer.status_code, body["code"]) == (503, "no_answer")


@pytest.mark.parametrize(
    ("label", "logged"), [(31, 31.0), (-2.5, -2.5), ("17.5", 17.5), (2**53, 2.0**53)]
)
def test_outcomes_are_numbers(
    made: Any, eventually: Callable[..., Any], label: Any, logged: float
) -> None:
    world, client = made
    body = {"outcomes": [{"decision_id": "d1", "label": label}]}
    answer = client.post("/v2/models/flight_late/outcomes", json=body, headers=OUTCOME)
    assert answer.status_code == 200, answer.text
    eventually(lambda: len(world.rows("outcomes")) == 1)
    assert world.rows("outcomes")[0]["label"] == logged
    assert type(world.rows("outcomes")[0]["label"]) is float


@pytest.mark.parametrize("label", [True, False, "late", "NaN", 2**53 + 1, 10**60, ""])
def test_what_is_no_number_is_refused(made: Any, label: Any) -> None:
    _, client = made
    body = {"outcomes": [{"decision_id": "d1", "label": label}]}
    answer = client.post("/v2/models/flight_late/outcomes", json=body, headers=OUTCOME)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_label")
    assert "the model is a regression, so an outcome is a finite number" in answer.json()["error"]
