"""What people think of decisions comes in whole, or is refused with its field."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.app import create_app
from tenure.gateway.log.feedback import FeedbackDelivery, FeedbackRecord, LoggedFeedback
from tenure.gateway.log.records import encode
from tenure.lifecycle.decisions.feedback import FeedbackVerdict
from tenure.lifecycle.serving import caller_digest

FEEDBACK = "/v2/models/flight_late/feedback"
ID = "01234567-89ab-7cde-8f01-23456789abcd"
WRONG = {"decision_id": ID, "verdict": "wrong", "reason": "it snowed"}


@pytest.fixture
def sender(client: TestClient) -> TestClient:
    client.headers["Authorization"] = "Bearer feedback-key"
    return client


def test_feedback_is_durable_and_kept(world: Any, wait_ready: Any) -> None:
    override = WRONG | {"verdict": "override", "answer": False, "person": "ada@example.org"}
    accept = {"request_id": "r1", "caller": "shop", "verdict": "accept"}
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer feedback-key"
        wait_ready(client)
        answer = client.post(FEEDBACK, json={"feedback": [override, accept]})
        assert answer.status_code == 200
        assert answer.json()["accepted"] == 2
        client.headers["Authorization"] = "Bearer metrics-key"
        counted = 'tenure_feedback_total{model="flight_late",verdict="override"} 1.0'
        assert counted in client.get("/metrics").text
    first, second = world.given
    assert [first["feedback_id"], second["feedback_id"]] == answer.json()["feedback_ids"]
    assert first["person"] == caller_digest(b"k" * 32, "ada@example.org")
    assert (first["decision_id"], first["verdict"], first["reason"], first["answer"]) == (
        ID,
        "override",
        "it snowed",
        False,
    )
    assert (first["given_by"], first["model"]) == ("key:feedback-key", "flight_late")
    assert (second["request_id"], second["person"], second["answer"]) == ("r1", "", None)
    assert second["caller"] == caller_digest(b"k" * 32, "shop")


@pytest.mark.parametrize(
    ("one", "field", "said"),
    [
        ({"decision_id": ID, "verdict": "override"}, "reason", "override needs a reason"),
        ({"decision_id": ID, "verdict": "wrong"}, "reason", "wrong needs a reason"),
        (WRONG | {"reason": " "}, "reason", "is blank"),
        (WRONG | {"reason": "x" * 501}, "reason", "has 501 characters; allowed are 1 to 500"),
        (WRONG | {"decision_id": "d1"}, "decision_id", "'d1' is no decision id"),
        (WRONG | {"decision_id": ID.upper()}, "decision_id", "is no decision id"),
        (WRONG | {"answer": "perhaps"}, "answer", "'perhaps' is no label"),
        (WRONG | {"verdict": "accept", "answer": True}, "answer", "has no other answer"),
        (WRONG | {"request_id": "r"}, "", "exactly one of decision_id, request_id"),
        ({"verdict": "accept"}, "", "exactly one of decision_id, request_id"),
        (WRONG | {"caller": "shop"}, "caller", "A decision id needs no caller"),
        (WRONG | {"verdict": "fine"}, "verdict", "Invalid enum value 'fine'"),
        (WRONG | {"stars": 5}, "", "unknown field `stars`"),
    ],
)
def test_what_is_refused(
    world: Any, sender: TestClient, one: dict[str, Any], field: str, said: str
) -> None:
    answer = sender.post(FEEDBACK, json={"feedback": [WRONG, one]})
    place = f"feedback[1].{field}".removesuffix(".")
    assert answer.status_code == 422
    assert answer.json()["field"].replace("[...]", "[1]") == place
    assert said in answer.json()["error"]
    assert world.given == []


def test_nothing_and_too_much_are_refused(sender: TestClient) -> None:
    answer = sender.post(FEEDBACK, json={"feedback": []})
    assert (answer.status_code, answer.json()["code"]) == (422, "nothing")
    answer = sender.post(FEEDBACK, json={"feedback": [WRONG] * 1_001})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_much_feedback")


@pytest.mark.parametrize("key", ["score-key", "outcome-key", "metrics-key"])
def test_it_has_a_scope_of_its_own(client: TestClient, key: str) -> None:
    client.headers["Authorization"] = f"Bearer {key}"
    answer = client.post(FEEDBACK, json={"feedback": [WRONG]})
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_scope")


def test_an_unknown_model_is_refused(sender: TestClient) -> None:
    answer = sender.post("/v2/models/nobody/feedback", json={"feedback": [WRONG]})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")


def test_what_is_wrong_about_one_model_keeps_no_other_from_being_kept() -> None:
    kept: list[str] = []

    def keep(rows: Any) -> None:
        if rows[0]["model"] == "bad":
            raise ValueError("no such model")
        kept.extend(row["model"] for row in rows)

    one = LoggedFeedback("f", FeedbackVerdict.ACCEPT, ID, None, None, "", "", None)
    payloads = [encode(FeedbackRecord(model, 0, "key:k", [one])) for model in ("bad", "m", "n")]
    with pytest.raises(ValueError, match="no such model"):
        FeedbackDelivery(keep)("s", payloads)
    assert kept == ["m", "n"]
