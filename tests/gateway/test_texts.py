"""Doors of the gateway times bad texts: each a 4xx that names field, length and limit."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from bad_texts import BAD_NAMES, BAD_REASONS
from starlette.testclient import TestClient

from tenure.lifecycle.serving import GatewayPolicy

URL = "/v2/models/flight_late"
JSON = {"Content-Type": "application/json"}
Ask = Callable[..., dict[str, Any]]
ROW = {"hour": 1, "temp": 2, "carrier": "AA"}


def in_body(where: str, text: str, ask: Ask) -> tuple[str, dict[str, Any]]:
    """Path and body of a request that holds the text at one place."""
    body = ask()
    if where == "id":
        return "infer", body | {"id": text}
    if where == "parameters.subject":
        body["parameters"]["subject"] = text
        return "infer", body
    list_name, name = where.partition("[")[0], where.rpartition(".")[2]
    one: dict[str, object] = {"request_id": "r"}
    one |= {"label": True} if list_name == "outcomes" else {"verdict": "wrong", "reason": "x"}
    if name == "decision_id":
        del one["request_id"]
    return list_name, {list_name: [one | {name: text}]}


PLACES = [
    "id",
    "parameters.subject",
    "outcomes[0].request_id",
    "outcomes[0].decision_id",
    "outcomes[0].caller",
    "feedback[0].request_id",
    "feedback[0].decision_id",
    "feedback[0].caller",
    "feedback[0].person",
]


@pytest.mark.parametrize("kind", BAD_NAMES)
@pytest.mark.parametrize("where", PLACES)
def test_bodies(client: TestClient, ask: Ask, where: str, kind: str) -> None:
    text, said = BAD_NAMES[kind]
    path, body = in_body(where, text, ask)
    if path in {"outcomes", "feedback"}:
        key = "feedback-key" if path == "feedback" else "outcome-key"
        client.headers["Authorization"] = f"Bearer {key}"
    answer = client.post(f"{URL}/{path}", content=json.dumps(body), headers=JSON)
    if kind == "surrogate":  # JSON itself has no half of a pair
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
        return
    assert (answer.status_code, answer.json()["field"]) == (422, where)
    assert said in answer.json()["error"]


@pytest.mark.parametrize("kind", [kind for kind in BAD_REASONS if kind != "surrogate"])
def test_reason_of_a_stop(client: TestClient, kind: str) -> None:
    text, said = BAD_REASONS[kind]
    client.headers["Authorization"] = "Bearer admin-key"
    answer = client.post(f"{URL}/canary/stop", json={"reason": text})
    assert (answer.status_code, answer.json()["field"]) == (422, "reason")
    assert said in answer.json()["error"]


@pytest.mark.parametrize("header", ["X-Tenure-Subject", "X-Request-Id"])
@pytest.mark.parametrize("kind", ["one too many", "override", "next line", "isolate"])
def test_headers(client: TestClient, header: str, kind: str) -> None:
    text, said = BAD_NAMES[kind]
    body = {"dataframe_records": [ROW]}
    answer = client.post("/invocations", json=body, headers={header: text.encode()})
    assert (answer.status_code, answer.json()["field"]) == (422, header)
    assert said in answer.json()["error"]


# ---------------------------------------------------------------- times

NOW = "2026-05-01T12:30:00Z"
TIMES = [
    ("1969-12-31T23:59:59Z", "before_all_times"),
    ("1970-01-01T00:00:00Z", None),
    ("2026-05-02T12:30:00Z", None),
    ("2026-05-02T12:30:01Z", "in_the_future"),
    ("9999-12-31T23:59:59Z", "in_the_future"),
    ("0001-01-01T00:00:00Z", "before_all_times"),
]


@pytest.mark.parametrize(("moment", "code"), TIMES)
def test_window_of_event_times(client: TestClient, ask: Ask, moment: str, code: str | None) -> None:
    body = ask()
    body["parameters"]["event_time"] = moment
    by_body = client.post(f"{URL}/infer", json=body)
    head = {"X-Tenure-Event-Time": moment}
    by_head = client.post("/invocations", json={"dataframe_records": [ROW]}, headers=head)
    for answer in (by_body, by_head):
        assert (answer.status_code, answer.json().get("code")) == (422 if code else 200, code)


@pytest.mark.parametrize("where", ["watermark", "observed_at"])
@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("1969-12-31T23:59:59Z", "before_all_times"),
        ("1970-01-01T00:00:00Z", None),
        ("2026-05-01T12:35:00Z", None),
        ("2026-05-01T12:35:01Z", "in_the_future"),
    ],
)
def test_window_of_what_is_known(
    client: TestClient, where: str, moment: str, code: str | None
) -> None:
    client.headers["Authorization"] = "Bearer outcome-key"
    truth = {"label": True, "request_id": "r"}
    body: dict[str, Any] = {"outcomes": [], "watermark": moment}
    if where == "observed_at":
        body = {"outcomes": [truth | {"observed_at": moment}]}
    answer = client.post(f"{URL}/outcomes", json=body)
    assert (answer.status_code, answer.json().get("code")) == (422 if code else 200, code)


def test_the_window_is_config() -> None:
    from datetime import UTC, datetime

    from tenure.gateway.contract.bodies import happened
    from tenure.gateway.contract.refusals import Refusal

    now = datetime(2026, 5, 1, tzinfo=UTC)
    wide = GatewayPolicy(earliest_year=1900, future_hours=48)
    assert happened("1900-01-01T00:00:00Z", "event_time", limits=wide, now=now)
    assert happened("2026-05-03T00:00:00Z", "event_time", limits=wide, now=now)
    with pytest.raises(Refusal, match=r"lies 48\.5 h in the future; allowed are 48 h\."):
        happened("2026-05-03T00:30:00Z", "event_time", limits=wide, now=now)


# ---------------------------------------------------------------- one header


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-Tenure-Subject",
        "X-Request-Id",
        "X-Tenure-Event-Time",
        "X-Tenure-Model",
        "Content-Type",
    ],
)
def test_a_header_that_stands_twice_is_refused(client: TestClient, name: str) -> None:
    good = {
        "Authorization": "Bearer score-key",
        "Content-Type": "application/json",
        "X-Tenure-Subject": "s",
        "X-Request-Id": "r",
        "X-Tenure-Event-Time": "2013-07-01T09:00:00Z",
        "X-Tenure-Model": "flight_late",
    }
    del client.headers["Authorization"]
    body = json.dumps({"dataframe_records": [ROW]})
    assert client.post("/invocations", content=body, headers=good).status_code == 200
    for second in (good[name], "other"):
        answer = client.post("/invocations", content=body, headers=[*good.items(), (name, second)])
        assert (answer.status_code, answer.json()["code"]) == (400, "duplicate_header")
        assert answer.json()["field"] == name.lower()


@pytest.mark.parametrize("path", ["", "/plan", "/schema", "/ready", "/versions/1"])
def test_two_keys_open_nothing(client: TestClient, path: str) -> None:
    twice = [("Authorization", "Bearer score-key"), ("Authorization", "Bearer nobody")]
    del client.headers["Authorization"]
    answer = client.get(f"{URL}{path}", headers=twice)
    assert (answer.status_code, answer.json()["code"]) == (400, "duplicate_header")


def test_two_keys_are_told_no_more_than_none(client: TestClient) -> None:
    twice = [("Authorization", "Bearer score-key")] * 2
    del client.headers["Authorization"]
    assert client.get("/v2/health/ready", headers=twice).json().keys() == {"ready"}
