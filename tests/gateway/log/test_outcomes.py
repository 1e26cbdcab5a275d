"""Ground truth comes in whole, or is refused with its field."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.app import create_app
from tenure.lifecycle.training.labels import LabelRule


@pytest.fixture
def truth(client: TestClient) -> TestClient:
    client.headers["Authorization"] = "Bearer outcome-key"
    return client


OUTCOMES = "/v2/models/flight_late/outcomes"


def test_outcomes_and_watermark_are_shipped(world: Any, wait_ready: Any) -> None:
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer outcome-key"
        wait_ready(client)
        body = {
            "outcomes": [
                {"decision_id": "d1", "label": True, "observed_at": "2013-07-02T09:00:00Z"},
                {"request_id": "r1", "label": False},
            ],
            "watermark": "2013-07-03T00:00:00Z",
        }
        answer = client.post(OUTCOMES, json=body)
        assert answer.status_code == 200
        assert answer.json()["accepted"] == 2
    rows = world.rows("outcomes")
    assert [(r["decision_id"], r["request_id"], r["label"]) for r in rows] == [
        ("d1", None, True),
        (None, "r1", False),
    ]
    assert rows[1]["observed_at"] == rows[1]["received_at"]
    assert world.watermarks == [("flight_late", datetime(2013, 7, 3, tzinfo=UTC))]


def test_watermark_alone(truth: TestClient) -> None:
    body = {"outcomes": [], "watermark": "2013-07-03T00:00:00Z"}
    assert truth.post(OUTCOMES, json=body).json()["accepted"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"outcomes": []}, "outcomes"),
        ({"outcomes": [{"label": True}]}, "outcomes[0]"),
        ({"outcomes": [{"label": True, "decision_id": "a", "request_id": "b"}]}, "outcomes[0]"),
        ({"outcomes": [{"label": [], "decision_id": "a"}]}, "outcomes[0].label"),
        ({"outcomes": [{"label": None, "decision_id": "a"}]}, "outcomes[0].label"),
        ({"outcomes": [{"decision_id": "a"}]}, "outcomes[0]"),
        ({"outcomes": [{"label": True, "decision_id": ""}]}, "outcomes[0].decision_id"),
        ({"outcomes": [{"label": True, "decision_id": "a", "x": 1}]}, "outcomes[0]"),
        (
            {"outcomes": [{"label": True, "decision_id": "a", "observed_at": "yesterday"}]},
            "outcomes[0].observed_at",
        ),
        ({"outcomes": [], "watermark": "2013-07-03"}, "watermark"),
        ({"outcomes": [], "watermark": "2999-01-01T00:00:00Z"}, "watermark"),
    ],
)
def test_bad_outcomes(truth: TestClient, body: dict[str, Any], field: str) -> None:
    answer = truth.post(OUTCOMES, json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


YES, YES_NO = LabelRule("yes"), LabelRule("yes", "no")


@pytest.mark.parametrize(
    ("rule", "label", "meaning"),
    [
        *[(LabelRule(), value, True) for value in (True, 1, 1.0, "1", "true", "True")],
        *[(LabelRule(), value, False) for value in (False, 0, "0", "false")],
        (LabelRule("2", "1"), 2, True),
        (LabelRule("2", "1"), 1, False),
        (LabelRule("2", "1"), True, True),
        (YES, "yes", True),
        (YES, False, False),
        (YES_NO, "no", False),
        (LabelRule("0"), 0, True),
    ],
)
def test_a_label_means_what_it_means_in_training(
    world: Any, wait_ready: Any, rule: LabelRule, label: object, meaning: bool
) -> None:
    world.label = rule
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer outcome-key"
        wait_ready(client)
        body = {"outcomes": [{"decision_id": "d1", "label": label}]}
        assert client.post(OUTCOMES, json=body).status_code == 200
    assert [row["label"] for row in world.rows("outcomes")] == [meaning]


@pytest.mark.parametrize(
    ("rule", "label", "says"),
    [
        *[(LabelRule(), v, "a label is boolean, or exactly 0 or 1.") for v in (2, -1, 0.37, "yes")],
        (LabelRule(), "x" * 257, "This is no label: a label is boolean, or exactly 0 or 1."),
        (LabelRule(), 10**40, "This is no label: a label is boolean, or exactly 0 or 1."),
        (YES, "no", "'no' is no label: a label is 'yes' (positive), or boolean; no label.negative"),
        (YES_NO, 1, "1 is no label: a label is 'yes' (positive) or 'no' (negative), or boolean."),
        (LabelRule("0"), True, "true is no label: a label is '0' (positive) or '1' (negative)."),
    ],
)
def test_what_is_no_label(
    world: Any, truth: TestClient, rule: LabelRule, label: object, says: str
) -> None:
    world.label = rule
    fine = {"decision_id": "a", "label": True if rule != LabelRule("0") else 0}
    body = {"outcomes": [fine, {"decision_id": "b", "label": label}]}
    answer = truth.post(OUTCOMES, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_label")
    assert answer.json()["field"] == "outcomes[1].label"
    assert says in answer.json()["error"]


@pytest.mark.parametrize(
    ("ahead", "status"), [(299, 200), (300, 200), (301, 422)], ids=["below", "at", "above"]
)
def test_watermark_ahead_of_the_clock(
    world: Any, truth: TestClient, ahead: int, status: int
) -> None:
    moment = world.clock.wall + timedelta(seconds=ahead)
    body = {"outcomes": [], "watermark": moment.isoformat()}
    assert truth.post(OUTCOMES, json=body).status_code == status


def test_most_outcomes(truth: TestClient) -> None:
    body = {"outcomes": [{"decision_id": "d", "label": True}] * 10_001}
    answer = truth.post(OUTCOMES, json=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_outcomes")


def test_outcomes_of_a_model_that_does_not_exist(truth: TestClient) -> None:
    answer = truth.post("/v2/models/ghost/outcomes", json={"outcomes": []})
    assert answer.json()["code"] == "unknown_model"
