"""What clients see: answers, refusals that name the field, scopes, fallback."""

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.gateway.bodies import MAX_BODY_BYTES
from tenure.lifecycle.serving import ServingPolicy

INFER = "/v2/models/flight_late/infer"
JSON = {"Content-Type": "application/json"}
Ask = Callable[..., dict[str, Any]]


def settle(world: Any, client: TestClient, generation: int) -> None:
    """Wait until the gateway follows the plan."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if client.get("/v2/models/flight_late/plan").json().get("generation") == generation:
            return
        time.sleep(0.01)
    raise AssertionError(f"generation {generation} was not taken up")


@pytest.fixture
def served(world: Any, client: TestClient) -> tuple[Any, TestClient]:
    """Both at once."""
    return world, client


# ---------------------------------------------------------------- answers


def test_answer(client: TestClient, ask: Ask) -> None:
    answer = client.post(INFER, json=ask())
    body = answer.json()
    assert answer.status_code == 200
    assert (body["model_name"], body["model_version"], body["id"]) == (
        "flight_late",
        "1",
        "request-s1",
    )
    assert body["outputs"] == [
        {"name": "score", "shape": [1], "datatype": "FP64", "data": [0.8]},
        {"name": "decision", "shape": [1], "datatype": "BOOL", "data": [True]},
    ]
    (decision_id,) = body["parameters"].pop("decision_ids")
    assert body["parameters"] == {
        "version": 1,
        "arm": "champion",
        "arm_assigned": "champion",
        "generation": 1,
        "confidence": [0.8],
        "fallback_level": "model",
        "reason": "",
    }
    assert answer.headers["X-Tenure-Decision-Ids"] == decision_id
    assert answer.headers["X-Tenure-Version"] == "1"


def test_answered_decision_is_shipped_with_its_row(world: Any, ask: Ask) -> None:
    from tenure.gateway.app import create_app

    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        wait_ready(client)
        body = client.post(INFER, json=ask(temp=[None], carrier=["ZZ"])).json()
    (row,) = world.rows()
    assert row["decision_id"] == body["parameters"]["decision_ids"][0]
    assert (row["f_hour"], row["f_temp"], row["f_carrier"]) == (9.0, None, "ZZ")
    assert (row["version_id"], row["score"], row["decision"]) == (11, 0.8, True)
    assert row["request_id"] == "request-s1"
    assert row["subject"] != "s1"
    assert len(row["subject"]) == 32
    assert row["event_time"] == 1_372_669_200_000_000
    assert world.watermarks == []


def wait_ready(client: TestClient) -> None:
    deadline = time.monotonic() + 10
    while client.get("/v2/health/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_many_rows_one_decision_each(client: TestClient, ask: Ask) -> None:
    body = client.post(INFER, json=ask(hour=[1, 2, 3], temp=[1, 2, 3], carrier=["AA"] * 3)).json()
    assert len(set(body["parameters"]["decision_ids"])) == 3
    assert body["outputs"][0]["shape"] == [3]


def test_without_id_subject_and_time(client: TestClient, ask: Ask) -> None:
    request = {"inputs": ask()["inputs"]}
    body = client.post(INFER, json=request).json()
    assert body["id"] == body["parameters"]["decision_ids"][0]


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["carrier", "hour", "temp"], "data": [["AA", 1, 2.5]]}},
        {
            "dataframe_split": {
                "index": [0],
                "columns": ["hour", "temp", "carrier"],
                "data": [[1, None, None]],
            }
        },
        {"dataframe_records": [{"hour": 1, "temp": 2, "carrier": "AA"}]},
    ],
    ids=["split", "split with index and nulls", "records"],
)
def test_invocations(client: TestClient, body: dict[str, Any]) -> None:
    headers = {
        "X-Tenure-Subject": "s9",
        "X-Tenure-Event-Time": "2013-07-01T09:00:00+02:00",
        "X-Request-Id": "mine",
    }
    answer = client.post("/invocations", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["predictions"] == [{"score": 0.8, "decision": True}]
    assert len(answer.json()["parameters"]["decision_ids"]) == 1
    assert answer.headers["X-Tenure-Fallback-Level"] == "model"


def test_describe_and_plan(client: TestClient) -> None:
    described = client.get("/v2/models/flight_late").json()
    assert described["versions"] == ["1"]
    assert described["inputs"][2] == {"name": "carrier", "datatype": "BYTES", "shape": [-1]}
    assert client.get("/v2/models/flight_late/plan").json() == {
        "model": "flight_late",
        "generation": 1,
        "champion": 1,
        "canary": None,
        "share_bp": 0,
        "lease_seconds_left": None,
        "gateway": "gw-test",
    }


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize(
    ("verb", "path", "statuses"),
    [
        # without a key, unknown key, score, outcome, admin
        ("GET", "/v2/health/live", (200, 200, 200, 200, 200)),
        ("GET", "/v2/health/ready", (200, 200, 200, 200, 200)),
        ("GET", "/v2/models/flight_late/ready", (200, 200, 200, 200, 200)),
        ("GET", "/metrics", (401, 401, 200, 200, 200)),
        ("GET", "/v2/models/flight_late", (401, 401, 200, 200, 200)),
        ("GET", "/v2/models/flight_late/plan", (401, 401, 200, 200, 200)),
        ("POST", INFER, (401, 401, 415, 403, 415)),
        ("POST", "/v2/models/flight_late/versions/1/infer", (401, 401, 415, 403, 415)),
        ("POST", "/invocations", (401, 401, 415, 403, 415)),
        ("POST", "/v2/models/flight_late/outcomes", (401, 401, 403, 415, 415)),
    ],
)
def test_scopes(client: TestClient, verb: str, path: str, statuses: tuple[int, ...]) -> None:
    seen = []
    del client.headers["Authorization"]
    for key in (None, "nonsense", "score-key", "outcome-key", "admin-key"):
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        seen.append(client.request(verb, path, headers=headers).status_code)
    assert tuple(seen) == statuses


@pytest.mark.parametrize("value", ["score-key", "Basic score-key", "Bearer", "Bearer  "])
def test_malformed_authorization(client: TestClient, value: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": value})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_revoked_key_ends_without_restart(world: Any, client: TestClient) -> None:
    from dataclasses import replace

    world.source.catalog = replace(world.source.catalog, keys=[])
    deadline = time.monotonic() + 5
    while client.get("/metrics").status_code != 401:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---------------------------------------------------------------- bad input


def raw(body: bytes, **headers: str) -> dict[str, Any]:
    return {"content": body, "headers": {**JSON, **headers}}


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        pytest.param(raw(b""), 400, "malformed", id="89 empty"),
        pytest.param({"content": b"{}"}, 415, "not_json", id="90 no content type"),
        pytest.param(
            {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "not_json", id="90"
        ),
        pytest.param(raw(b'{"id":"\xff"}'), 400, "malformed", id="91 invalid UTF-8"),
        pytest.param(raw(b'{"inputs":[NaN]}'), 400, "malformed", id="92 NaN"),
        pytest.param(raw(b'{"inputs":[-Infinity]}'), 400, "malformed", id="92 Infinity"),
        pytest.param(raw(b"[" * 200_000), 422, "invalid", id="94 deep"),
        pytest.param(
            raw(b'{"inputs":[{"name":"a","data":' + b"[" * 200_000), 400, "too_deep", id="94 data"
        ),
        pytest.param(raw(b'{"inputs":' + b"[" * 200_000), 422, "invalid", id="94 deep inside"),
        pytest.param(
            raw(b'{"inputs":[],"inputs":[]}'), 400, "duplicate_key", id="95 duplicate key"
        ),
        pytest.param(
            raw(b'{"inputs":[{"name":"a","name":"b","shape":[1],"datatype":"FP64","data":[1]}]}'),
            400,
            "duplicate_key",
            id="95 duplicate key inside",
        ),
        pytest.param(raw(b"[]"), 422, "invalid", id="not an object"),
        pytest.param(raw(b"{}"), 422, "invalid", id="no inputs"),
        pytest.param(raw(b'{"inputs":[],"extra":1}'), 422, "invalid", id="unknown key"),
        pytest.param(raw(b'{"inputs":[]}'), 422, "wrong_row_count", id="no rows"),
        pytest.param(raw(b'{"inputs":[]} x'), 400, "malformed", id="trailing bytes"),
        pytest.param(raw(b"\xef\xbb\xbf{}"), 400, "malformed", id="byte order mark"),
        pytest.param(raw(b'{"id":"\\ud800","inputs":[]}'), 400, "malformed", id="113 surrogate"),
        pytest.param(
            raw(b" " * (MAX_BODY_BYTES + 1)), 413, "too_large", id="100 one byte too many"
        ),
        pytest.param(
            raw(gzip.compress(b"{}"), **{"Content-Encoding": "gzip"}), 415, "encoded", id="103 gzip"
        ),
    ],
)
def test_bad_bodies(client: TestClient, call: dict[str, Any], status: int, code: str) -> None:
    answer = client.post(INFER, **call)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"error", "code", "field"}


def test_body_without_length_is_bounded(client: TestClient) -> None:
    def endless() -> Any:
        for _ in range(64):
            yield b" " * 65_536

    answer = client.post(INFER, content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        pytest.param({"hour": None}, "missing_feature", "inputs.hour", id="96 missing"),
        pytest.param({"extra": [1.0]}, "unknown_feature", "inputs.extra", id="96 extra"),
        pytest.param({"hour": [True]}, "not_a_number", "inputs.hour[0]", id="98 bool"),
        pytest.param({"hour": ["nan"]}, "not_a_number", "inputs.hour[0]", id="99 nan text"),
        pytest.param({"hour": ["1e999"]}, "not_a_number", "inputs.hour[0]", id="99 1e999 text"),
        pytest.param({"hour": [[1.0]]}, "not_a_number", "inputs.hour[0]", id="nested"),
        pytest.param({"hour": [10**400]}, "not_a_number", "inputs.hour[0]", id="114 10^400"),
        pytest.param({"hour": [1.0, 2.0]}, "wrong_shape", "inputs.temp", id="ragged"),
        pytest.param({"carrier": [7]}, "not_a_text", "inputs.carrier[0]", id="number as text"),
        pytest.param({"carrier": ["x" * 257]}, "not_a_text", "inputs.carrier[0]", id="long text"),
        pytest.param(
            {"h\u043eur": [1.0]}, "unknown_feature", "inputs.h\u043eur", id="115 homoglyph"
        ),
    ],
)
def test_bad_features(
    client: TestClient, ask: Ask, changes: dict[str, Any], code: str, field: str
) -> None:
    answer = client.post(INFER, content=json.dumps(ask(**changes)), headers=JSON)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, field)


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        ({"shape": [2]}, "wrong_shape"),
        ({"shape": [1, 2]}, "wrong_shape"),
        ({"shape": []}, "wrong_shape"),
        ({"shape": [-1]}, "wrong_shape"),
        ({"shape": [1.5]}, "invalid"),
        ({"datatype": "BYTES"}, "wrong_datatype"),
        ({"datatype": "FP65"}, "wrong_datatype"),
        ({"datatype": "INT64"}, "not_a_number"),
        ({"name": "temp"}, "duplicate_feature"),
        ({"name": 3}, "invalid"),
    ],
)
def test_bad_tensors(client: TestClient, ask: Ask, tensor: dict[str, Any], code: str) -> None:
    request = ask(hour=[9.5])
    request["inputs"][0] |= tensor
    answer = client.post(INFER, json=request)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["field"] is not None


@pytest.mark.parametrize(
    ("where", "value", "code"),
    [
        ("event_time", "2013-07-01", "invalid_time"),
        ("event_time", "2013-07-01T09:00:00", "invalid_time"),
        ("event_time", "0000-00-00T00:00:00Z", "invalid_time"),
        ("event_time", "0001-01-01T00:00:00+14:00", "invalid_time"),
        ("event_time", 1372669200, "invalid"),
        ("subject", "", "invalid_text"),
        ("subject", "a\r\nb", "invalid_text"),
        ("subject", "x" * 257, "invalid_text"),
        ("subject", 5, "invalid"),
        ("other", "x", "invalid"),
    ],
)
def test_bad_parameters(client: TestClient, ask: Ask, where: str, value: object, code: str) -> None:
    request = ask()
    request["parameters"][where] = value
    answer = client.post(INFER, json=request)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(("rows", "status"), [(999, 200), (1000, 200), (1001, 413)])
def test_most_rows(client: TestClient, ask: Ask, rows: int, status: int) -> None:
    request = ask(hour=[1] * rows, temp=[1] * rows, carrier=["AA"] * rows)
    assert client.post(INFER, json=request).status_code == status


@pytest.mark.parametrize(
    ("policy", "changes", "status"),
    [
        ({}, {"carrier": ["ZZ"]}, 200),
        ({"on_unseen_category": "reject"}, {"carrier": ["ZZ"]}, 422),
        ({"on_unseen_category": "reject"}, {"carrier": ["UA"]}, 200),
        ({"on_unseen_category": "reject"}, {"carrier": [None]}, 200),
        ({}, {"hour": [24]}, 200),
        ({"on_out_of_range": "reject"}, {"hour": [22.9]}, 200),
        ({"on_out_of_range": "reject"}, {"hour": [23]}, 200),
        ({"on_out_of_range": "reject"}, {"hour": [23.1]}, 422),
        ({"on_out_of_range": "reject"}, {"hour": [-0.1]}, 422),
        ({"on_out_of_range": "reject"}, {"hour": [None]}, 200),
    ],
)
def test_values_that_training_did_not_see(
    served: tuple[Any, TestClient], ask: Ask, policy: dict[str, Any], changes: Any, status: int
) -> None:
    world, client = served
    world.policy = ServingPolicy(**policy)
    time.sleep(0.1)  # the follower takes the policy up at its next look
    answer = client.post(INFER, json=ask(**changes))
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["field"] in {"inputs.carrier[0]", "inputs.hour[0]"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"dataframe_split": {"columns": [], "data": []}, "dataframe_records": []}, None),
        ({"dataframe_split": {"columns": ["hour", "hour"], "data": [[1, 1]]}}, "columns"),
        ({"dataframe_split": {"columns": ["hour"], "data": [[1, 2]]}}, "data[0]"),
        ({"dataframe_records": [{"hour": 1, "temp": 1, "carrier": "AA"}, {"hour": 2}]}, "[1].temp"),
        ({"dataframe_records": [{"hour": 1, "temp": 1}]}, "carrier"),
        ({"dataframe_records": [{"hour": 1, "temp": 1, "carrier": "AA", "x": 1}]}, "x"),
        ({"dataframe_records": []}, "dataframe_records"),
        ({"instances": []}, None),
    ],
)
def test_bad_invocations(client: TestClient, body: dict[str, Any], field: str | None) -> None:
    answer = client.post("/invocations", json=body)
    assert answer.status_code == 422
    assert (answer.json()["field"] or "").endswith(field or "")


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no_such_path"),
        ("GET", INFER, 405, "method_not_allowed"),
        ("POST", "/v2/models/ghost/infer", 404, "unknown_model"),
        ("POST", "/v2/models/unborn/infer", 503, "not_serving"),
        ("POST", "/v2/models/../etc/infer", 404, "no_such_path"),
        ("POST", "/v2/models/flight_late/versions/9/infer", 404, "unknown_version"),
        ("POST", "/v2/models/flight_late/versions/x/infer", 404, "no_such_path"),
    ],
)
def test_wrong_places(client: TestClient, verb: str, path: str, status: int, code: str) -> None:
    answer = client.request(verb, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_method_override_is_ignored(client: TestClient) -> None:
    answer = client.get(INFER, headers={"X-HTTP-Method-Override": "POST"})
    assert answer.status_code == 405


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("retiring", (410, "version_gone")),
        ("archived", (410, "version_gone")),
        ("deleted", (410, "version_gone")),
        ("superseded", (409, "version_not_live")),
        ("rolled_back", (409, "version_not_live")),
    ],
)
def test_version_that_does_not_serve(
    served: tuple[Any, TestClient], ask: Ask, plans: Any, state: str, expected: tuple[int, str]
) -> None:
    world, client = served
    world.states = {"flight_late@3": state}
    world.publish(plans(2))
    settle(world, client, 2)
    answer = client.post("/v2/models/flight_late/versions/3/infer", json=ask())
    assert (answer.status_code, answer.json()["code"]) == expected


def test_pinned_version_is_no_part_of_the_canary(
    world: Any, client: TestClient, ask: Ask, plans: Any
) -> None:
    world.publish(plans(2, canary=12, share_bp=5000))
    settle(world, client, 2)
    for version, score in ((1, 0.8), (2, 0.2)):
        answer = client.post(f"/v2/models/flight_late/versions/{version}/infer", json=ask()).json()
        assert answer["parameters"]["version"] == version
        assert answer["outputs"][0]["data"] == [score]


# ---------------------------------------------------------------- canary and fallback


def test_canary_share_and_lease(world: Any, client: TestClient, ask: Ask, plans: Any) -> None:
    world.publish(plans(2, canary=12, share_bp=10_000))
    settle(world, client, 2)
    before = client.post(INFER, json=ask()).json()["parameters"]
    assert (before["version"], before["arm"]) == (2, "canary")
    assert client.get("/v2/models/flight_late/plan").json()["lease_seconds_left"] == 20.0
    world.clock.seconds += 20
    after = client.post(INFER, json=ask()).json()["parameters"]
    assert (after["version"], after["arm_assigned"]) == (1, "champion")
    plan = client.get("/v2/models/flight_late/plan").json()
    assert (plan["share_bp"], plan["lease_seconds_left"]) == (0, 0.0)


def broken(_rows: Any) -> list[float]:
    raise RuntimeError("secret detail")


def test_broken_canary_falls_back_to_the_champion(
    world: Any, client: TestClient, ask: Ask, plans: Any
) -> None:
    world.loader.models[12] = broken
    world.publish(plans(2, canary=12, share_bp=10_000))
    settle(world, client, 2)
    answer = client.post(INFER, json=ask())
    parameters = answer.json()["parameters"]
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == [0.8]
    assert parameters["arm_assigned"] == "canary"
    assert (parameters["arm"], parameters["fallback_level"]) == ("champion", "champion")
    assert parameters["reason"] == "canary: error: RuntimeError"
    assert "secret" not in answer.text


def test_everything_broken_answers_by_the_rule(world: Any, ask: Ask, plans: Any) -> None:
    world.loader.models |= {11: broken, 12: lambda rows: [float("nan")] * len(rows)}
    world.policy = ServingPolicy(fallback_score=0.7)
    from tenure.gateway.app import create_app

    with TestClient(create_app(world.gateway())) as fresh:
        fresh.headers["Authorization"] = "Bearer score-key"
        wait_ready(fresh)
        world.publish(plans(2, canary=12, share_bp=10_000))
        settle(world, fresh, 2)
        answer = fresh.post(INFER, json=ask())
    parameters = answer.json()["parameters"]
    assert answer.status_code == 200
    assert answer.json()["outputs"][0]["data"] == [0.7]
    assert answer.json()["outputs"][1]["data"] == [True]
    assert (parameters["arm"], parameters["fallback_level"]) == ("rule", "rule")
    assert parameters["version"] == 2
    assert parameters["confidence"] == [0.0]


def test_champion_that_cannot_be_loaded_answers_by_the_rule_and_is_not_ready(
    world: Any, ask: Ask
) -> None:
    from tenure.gateway.app import create_app

    world.loader.models[11] = ValueError("flipped byte")
    made = world.gateway()
    with TestClient(create_app(made)) as client:
        client.headers["Authorization"] = "Bearer score-key"
        deadline = time.monotonic() + 5
        while not made.follower.view.models:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        answer = client.post(INFER, json=ask())
        assert client.get("/v2/health/ready").status_code == 503
    assert answer.status_code == 200
    assert answer.json()["parameters"]["fallback_level"] == "rule"
    assert answer.json()["parameters"]["reason"] == "champion: not loaded"


def test_canary_that_reads_more_than_clients_send(
    world: Any, client: TestClient, ask: Ask, plans: Any
) -> None:
    newest = plans(2, canary=12, share_bp=10_000)
    world.publish(newest)
    rows = world.source.catalog.versions
    facts = dict(rows[12]["facts"])
    facts["features"] = {"numeric": ["hour", "temp", "wind"], "categorical": ["carrier"]}
    rows[12] = {**rows[12], "facts": facts}
    settle(world, client, 2)
    lacking = client.post(INFER, json=ask()).json()["parameters"]
    assert (lacking["fallback_level"], lacking["reason"]) == (
        "champion",
        "canary: feature missing",
    )
    complete = client.post(INFER, json=ask(wind=[3.0])).json()["parameters"]
    assert complete["fallback_level"] == "model"


def test_log_that_cannot_write_means_503(
    client: TestClient, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os
    from pathlib import Path

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    answer = client.post(INFER, json=ask())
    assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
    assert client.get("/v2/health/ready").status_code == 503
    assert client.get("/v2/health/live").status_code == 200


# ---------------------------------------------------------------- outcomes


@pytest.fixture
def truth(client: TestClient) -> TestClient:
    client.headers["Authorization"] = "Bearer outcome-key"
    return client


OUTCOMES = "/v2/models/flight_late/outcomes"


def test_outcomes_and_watermark_are_shipped(world: Any, ask: Ask) -> None:
    from tenure.gateway.app import create_app

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
        ({"outcomes": [{"label": 1, "decision_id": "a"}]}, "outcomes[0].label"),
        ({"outcomes": [{"label": "true", "decision_id": "a"}]}, "outcomes[0].label"),
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


# ---------------------------------------------------------------- metrics


def test_metrics(client: TestClient, ask: Ask) -> None:
    client.post(INFER, json=ask())
    client.post(INFER, content=b"", headers=JSON)
    text = client.get("/metrics").text
    line = 'tenure_decisions_total{arm="champion",level="model",model="flight_late"} 1.0'
    assert line in text
    assert 'tenure_refusals_total{code="malformed"} 1.0' in text
    assert 'tenure_plan_generation{model="flight_late"} 1.0' in text
    assert "tenure_database_age_seconds 0.0" in text
