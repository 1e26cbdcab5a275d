"""What clients see: answers, refusals that name the field, scopes, fallback."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from waiting import wait_for

from tenure.gateway.app import create_app
from tenure.lifecycle.serving import ServingPolicy

INFER = "/v2/models/flight_late/infer"
PLAN = "/v2/models/flight_late/plan"
JSON = {"Content-Type": "application/json"}
Ask = Callable[..., dict[str, Any]]


def settle(world: Any, client: TestClient, generation: int) -> None:
    """Wait until the gateway follows the plan."""
    wait_for(lambda: client.get(PLAN).json().get("generation") == generation)


# ---------------------------------------------------------------- answers


def test_answer(client: TestClient, ask: Ask) -> None:
    answer = client.post(INFER, json=ask())
    body = answer.json()
    assert answer.status_code == 200
    assert (body["model_name"], body["model_version"], body["id"]) == (
        "flight_late",
        "1",
        "request-1-s1",
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
        "review": [],
        "cached": False,
    }
    assert answer.headers["X-Tenure-Decision-Ids"] == decision_id
    assert answer.headers["X-Tenure-Version"] == "1"


def test_answered_decision_is_shipped_with_its_row(world: Any, ask: Ask, wait_ready: Any) -> None:
    from tenure.gateway.app import create_app

    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        wait_ready(client)
        body = client.post(INFER, json=ask(temp=[None], carrier=["ZZ"])).json()
    (row,) = world.rows()
    assert row["decision_id"] == body["parameters"]["decision_ids"][0]
    assert (row["f_hour"], row["f_temp"], row["f_carrier"]) == (9.0, None, "ZZ")
    assert (row["version_id"], row["score"], row["decision"]) == (11, 0.8, True)
    assert row["request_id"] == "request-1-s1"
    assert row["subject"] != "s1"
    assert len(row["subject"]) == 32
    assert row["event_time"] == 1_372_669_200_000_000
    assert world.watermarks == []


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
        "authorized_until": "2026-05-31T12:30:00Z",
        "canary_authorized_until": None,
        "gateway": "gw-test",
    }


# ---------------------------------------------------------------- who may


@pytest.mark.parametrize(
    ("verb", "path", "statuses"),
    [
        # without a key, unknown key, score, outcome, admin
        ("GET", "/v2/health/live", (200, 200, 200, 200, 200)),
        ("GET", "/v2/health/ready", (200, 200, 200, 200, 200)),
        ("GET", "/v2/models/flight_late/ready", (401, 401, 200, 200, 200)),
        ("GET", "/openapi.json", (200, 200, 200, 200, 200)),
        ("GET", "/metrics", (401, 401, 403, 403, 200)),
        ("GET", "/v2/models/flight_late", (401, 401, 200, 200, 200)),
        ("GET", "/v2/models/flight_late/plan", (401, 401, 200, 200, 200)),
        ("GET", "/v2/models/flight_late/schema", (401, 401, 200, 200, 200)),
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
    answer = client.get(PLAN, headers={"Authorization": value})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_revoked_key_ends_without_restart(world: Any, client: TestClient) -> None:
    from dataclasses import replace

    world.source.catalog = replace(world.source.catalog, keys=[])
    wait_for(lambda: client.get(PLAN).status_code == 401)


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


@pytest.mark.parametrize("end", ["stop", "lease"])
def test_pinned_canary_without_share_does_not_answer(
    served: tuple[Any, TestClient], ask: Ask, plans: Any, end: str
) -> None:
    world, client = served
    world.publish(plans(2, canary=12, share_bp=5000))
    settle(world, client, 2)
    pinned = "/v2/models/flight_late/versions/{}/infer"
    assert client.post(pinned.format(2), json=ask()).status_code == 200
    if end == "stop":
        stop = "/v2/models/flight_late/canary/stop"
        admin = {"Authorization": "Bearer admin-key"}
        assert client.post(stop, json={"reason": "wrong"}, headers=admin).status_code == 200
    else:
        world.clock.seconds += 20
    refused = client.post(pinned.format(2), json=ask())
    assert (refused.status_code, refused.json()["code"]) == (409, "version_not_live")
    assert refused.json()["error"] == "flight_late@2 was stopped, or its lease has ended."
    assert client.post(pinned.format(1), json=ask()).status_code == 200


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


def test_everything_broken_answers_by_the_rule(
    world: Any, ask: Ask, plans: Any, wait_ready: Any
) -> None:
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
        wait_for(lambda: made.follower.view.models)
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
    more = {
        "features": {"numeric": ["hour", "temp", "wind"], "categorical": ["carrier"], "dates": []}
    }
    rows[12] = replace(rows[12], facts_json={**rows[12].facts_json, **more})
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
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    answer = client.post(INFER, json=ask())
    assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")
    assert client.get("/v2/health/ready").status_code == 503
    assert client.get("/v2/health/live").status_code == 200


def test_seal_that_cannot_write_means_503(
    world: Any, ask: Ask, eventually: Callable[..., Any]
) -> None:
    class FullVault:
        """Its disk is full when the next local key has to be made."""

        def is_personal(self, _model: str) -> bool:
            return True

        def seal(self, _features: bytes, *, about: str) -> tuple[str, bytes]:
            raise OSError(errno.ENOSPC, "No space left on device", about)

        def forget(self) -> None:
            """Nothing to forget."""

    gateway = world.gateway()
    gateway.parts = replace(gateway.parts, vault=FullVault())
    with TestClient(create_app(gateway), raise_server_exceptions=False) as client:
        client.headers["Authorization"] = "Bearer score-key"
        eventually(lambda: gateway.follower.seen_at is not None)
        answer = client.post(INFER, json=ask())
        assert (answer.status_code, answer.json()["code"]) == (503, "log_unavailable")


# ---------------------------------------------------------------- metrics


def test_metrics(client: TestClient, ask: Ask) -> None:
    client.post(INFER, json=ask())
    client.post(INFER, content=b"", headers=JSON)
    text = client.get("/metrics", headers={"Authorization": "Bearer metrics-key"}).text
    line = 'tenure_decisions_total{arm="champion",level="model",model="flight_late"} 1.0'
    assert line in text
    assert 'tenure_refusals_total{code="malformed"} 1.0' in text
    assert 'tenure_plan_generation{model="flight_late"} 1.0' in text
    assert "tenure_database_age_seconds 0.0" in text
    assert "tenure_jwks_age_seconds NaN" in text


@pytest.mark.parametrize(
    ("method", "path", "counted", "status"),
    [
        ("GET", "/nowhere", "GET", 404),
        ("GET", INFER, "GET", 405),
        ("POST", "/metrics", "POST", 405),
        ("BREW", "/pot", "other", 404),
    ],
)
def test_what_no_route_answers_is_counted(
    client: TestClient, method: str, path: str, counted: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    text = client.get("/metrics", headers={"Authorization": "Bearer metrics-key"}).text
    line = f'http_requests_total{{method="{counted}",route="none",status="{status}"}} 1.0'
    assert line in text
    assert f'tenure_refusals_total{{code="{answer.json()["code"]}"}} 1.0' in text


# ---------------------------------------------------------------- rounding


@pytest.fixture
def rounding(world: Any) -> Callable[[int | None], Any]:
    """A world that rounds a score with many decimals."""

    def to(decimals: int | None) -> Any:
        world.loader.models[11] = lambda rows: [0.123456789] * len(rows)
        world.policy = ServingPolicy(round_scores=decimals)
        return world

    return to


@pytest.mark.parametrize(
    ("decimals", "told"), [(None, (0.123456789, 0.876543211)), (3, (0.123, 0.877)), (1, (0.1, 0.9))]
)
@pytest.mark.parametrize("path", [INFER, "/invocations"])
def test_scores_are_rounded_for_the_client_and_exact_in_the_log(
    rounding: Callable[[int | None], Any], ask: Ask, decimals: int | None, told: Any, path: str
) -> None:
    frame = {"dataframe_records": [{"hour": 1, "temp": 2, "carrier": "AA"}]}
    world = rounding(decimals)
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        settle(world, client, 1)
        said = client.post(path, json=ask() if path == INFER else frame).json()
    score = said["outputs"][0]["data"][0] if path == INFER else said["predictions"][0]["score"]
    assert (score, round(said["parameters"]["confidence"][0], 12)) == told
    (logged,) = world.rows()
    assert (logged["score"], logged["confidence"]) == (0.123456789, 1 - 0.123456789)


def test_rounding_does_not_move_a_decision(world: Any, ask: Ask, wait_ready: Any) -> None:
    world.loader.models[11] = lambda rows: [0.4996] * len(rows)
    world.policy = ServingPolicy(round_scores=3)
    with TestClient(create_app(world.gateway())) as client:
        client.headers["Authorization"] = "Bearer score-key"
        wait_ready(client)
        outputs = client.post(INFER, json=ask()).json()["outputs"]
    assert [one["data"][0] for one in outputs] == [0.5, False]
