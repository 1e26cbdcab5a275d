"""A gateway in front of a multiclass model: a class and its probabilities; classes come back."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.testclient import TestClient
from waiting import wait_for

from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.training.classes import ClassRule

INFER = "/v2/models/flight_late/infer"
OUTCOME = {"Authorization": "Bearer outcome-key"}
CLASSES = {"early": 40, "late": 50, "on time": 60}


@pytest.fixture
def multiclass(world: Any) -> Any:
    """The world, before its gateway starts, with a champion that tells three classes apart."""
    world.label = ClassRule()
    world.policy = ServingPolicy(fallback_class="on time")
    world.said = [[0.2, 0.7, 0.1]]
    world.loader.models = {11: lambda rows: world.said * len(rows)}
    stated = {"task": "multiclass", "threshold": None, "classes": CLASSES}
    versions = {
        key: replace(row, facts_json={**row.facts_json, **stated})
        for key, row in world.source.catalog.versions.items()
    }
    world.source.catalog = replace(world.source.catalog, versions=versions)
    return world


@pytest.fixture
def made(multiclass: Any, client: TestClient, wait_ready: Callable[[TestClient], None]) -> Any:
    wait_ready(client)
    return multiclass, client


def test_it_answers_a_class_and_logs_what_replay_needs(
    made: Any, ask: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    world, client = made
    answer = client.post(INFER, json=ask(hour=[9.0, 10.0], temp=[1.0, 2.0], carrier=["AA", "UA"]))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["outputs"] == [
        {"name": "label", "shape": [2], "data": ["late", "late"], "datatype": "BYTES"},
        {
            "name": "probability",
            "shape": [2, 3],
            "data": [0.2, 0.7, 0.1, 0.2, 0.7, 0.1],
            "parameters": {"classes": ["early", "late", "on time"]},
            "datatype": "FP64",
        },
    ]
    assert body["parameters"]["confidence"] == [0.7, 0.7]
    eventually(lambda: len(world.rows()) == 2)
    row = world.rows()[0]
    logged = {name: row[name] for name in ("answer", "score", "decision", "confidence")}
    assert logged == {"answer": "late", "score": 0.7, "decision": None, "confidence": 0.7}


@pytest.fixture
def costly(multiclass: Any) -> Any:
    """Its champion answers the class that is cheapest by declared costs."""
    costs = [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 90.0, 0.0]]
    versions = {
        key: replace(row, facts_json={**row.facts_json, "class_costs": costs})
        for key, row in multiclass.source.catalog.versions.items()
    }
    multiclass.source.catalog = replace(multiclass.source.catalog, versions=versions)
    return multiclass


def test_with_costs_the_cheapest_class_is_answered(
    costly: Any,
    client: TestClient,
    wait_ready: Callable[[TestClient], None],
    ask: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    wait_ready(client)
    body = client.post(INFER, json=ask(hour=[9.0], temp=[1.0], carrier=["AA"])).json()
    assert body["outputs"][0]["data"] == ["early"]
    assert body["outputs"][1]["data"] == [0.2, 0.7, 0.1]
    assert body["parameters"]["confidence"] == [0.2]
    eventually(lambda: len(costly.rows()) == 1)
    assert (costly.rows()[0]["answer"], costly.rows()[0]["score"]) == ("early", 0.2)


@pytest.mark.parametrize("least", [0.7, 0.71])
def test_an_unsure_answer_waits_for_a_person(
    multiclass: Any,
    client: TestClient,
    wait_ready: Callable[[TestClient], None],
    ask: Callable[..., Any],
    least: float,
) -> None:
    multiclass.policy = ServingPolicy(fallback_class="on time", review_below_confidence=least)
    wait_ready(client)
    body = client.post(INFER, json=ask(hour=[9.0], temp=[1.0], carrier=["AA"])).json()
    assert body["parameters"]["review"] == [True] * (least > 0.7)


def test_invocations_have_each_class(made: Any) -> None:
    _, client = made
    frame = {"columns": ["hour", "temp", "carrier"], "data": [[9.0, 1.0, "AA"]]}
    answer = client.post("/invocations", json={"dataframe_split": frame})
    (one,) = answer.json()["predictions"]
    assert one == {"label": "late", "probability": {"early": 0.2, "late": 0.7, "on time": 0.1}}


def test_metadata_say_what_it_gives(made: Any) -> None:
    _, client = made
    told = client.get("/v2/models/flight_late").json()
    assert told["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "probability", "datatype": "FP64", "shape": [-1, 3]},
    ]
    assert told["classes"] == ["early", "late", "on time"]


def test_an_output_that_there_is_not_is_refused(made: Any, ask: Callable[..., Any]) -> None:
    _, client = made
    answer = client.post(INFER, json=ask() | {"outputs": [{"name": "label"}]})
    assert [one["name"] for one in answer.json()["outputs"]] == ["label"]
    answer = client.post(INFER, json=ask() | {"outputs": [{"name": "decision"}]})
    said = "flight_late is a multiclass model: its outputs are label, probability."
    assert (answer.status_code, answer.json()["error"]) == (422, said)


@pytest.mark.parametrize(
    "bad",
    [
        [math.nan, 0.5, 0.5],
        [0.5, 0.5, 0.5],
        [0.5, 0.5],
        [-0.1, 0.6, 0.5],
        [0.2, 0.2, 0.2],
        [0.25, 0.25, 0.25, 0.25],
    ],
)
def test_what_are_no_probabilities_is_never_served(
    made: Any, ask: Callable[..., Any], eventually: Callable[..., Any], bad: list[float]
) -> None:
    world, client = made
    world.said[0] = bad
    body = client.post(INFER, json=ask()).json()
    assert body["outputs"][0]["data"] == ["on time"]
    assert body["outputs"][1]["data"] == [1 / 3] * 3
    assert body["parameters"]["fallback_level"] == "rule"
    assert body["parameters"]["confidence"] == [0.0]
    why = "champion: scores are not the probabilities of all classes"
    assert body["parameters"]["reason"] == why
    eventually(lambda: len(world.rows()) == 1)
    assert world.rows()[0]["answer"] == "on time"


def test_without_a_declared_class_nothing_is_invented(
    multiclass: Any, client: TestClient, ask: Callable[..., Any]
) -> None:
    multiclass.policy = ServingPolicy()  # no YAML was ever valid
    multiclass.said = [[0.5, 0.5]]
    body = wait_for(lambda: _refusal(client.post(INFER, json=ask())))
    assert "and a class is not invented" in body["error"]


def _refusal(answer: Any) -> Any:
    """None as long as the view that was in force still has the rule."""
    body = answer.json()
    return body if (answer.status_code, body.get("code")) == (503, "no_answer") else None


@pytest.mark.parametrize(
    ("label", "logged"), [("late", "late"), (3, "3"), (3.0, "3"), (True, "true"), ("new", "new")]
)
def test_outcomes_are_classes_in_one_spelling(
    made: Any, eventually: Callable[..., Any], label: Any, logged: str
) -> None:
    world, client = made
    body = {"outcomes": [{"decision_id": "d1", "label": label}]}
    answer = client.post("/v2/models/flight_late/outcomes", json=body, headers=OUTCOME)
    assert answer.status_code == 200, answer.text
    eventually(lambda: len(world.rows("outcomes")) == 1)
    assert world.rows("outcomes")[0]["label"] == logged


@pytest.mark.parametrize("label", ["", "x" * 129, "a\nb"])
def test_what_is_no_class_is_refused(made: Any, label: str) -> None:
    _, client = made
    body = {"outcomes": [{"decision_id": "d1", "label": label}]}
    answer = client.post("/v2/models/flight_late/outcomes", json=body, headers=OUTCOME)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_label")
    assert "a class is a value of 1 to 128 printable characters" in answer.json()["error"]


def test_a_known_row_is_answered_from_the_cache(made: Any, ask: Callable[..., Any]) -> None:
    world, client = made
    world.policy = ServingPolicy(fallback_class="on time", cache_rows=10)

    def cached() -> Any:
        body = client.post(INFER, json=ask()).json()
        return body if body["parameters"]["cached"] else None

    body = next(found for _ in range(200) if (found := cached()))
    assert body["outputs"][0]["data"] == ["late"]
