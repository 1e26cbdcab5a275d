"""Who is let in, to which models, and how often."""

import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from starlette.testclient import TestClient
from waiting import wait_for

from tenure.errors import ServiceUnreachable
from tenure.gateway.contract.keys import Bucket, Caller, Gatekeeper
from tenure.gateway.contract.refusals import Refusal
from tenure.lifecycle.serving import ApiKey

INFER = "/v2/models/flight_late/infer"
Ask = Callable[..., dict[str, Any]]


def digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


class FakeTokens:
    keys_age_seconds: float | None = 7.0

    def verify(self, token: str) -> ApiKey:
        if self.keys_age_seconds is None:
            raise ServiceUnreachable("down", still_safe="all", next_step="wait")
        if token != "a.good.token":
            raise ValueError("Signature has expired")
        return ApiKey("jwt:ada", "ada", ["score"], ["flight_late"], 2)


class Ticking:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def keeper(*keys: ApiKey, clock: Callable[[], float] = time.monotonic) -> Gatekeeper:
    known = {key.digest: Caller.of(key) for key in keys}
    return Gatekeeper(lambda: known, tokens=FakeTokens(), monotonic=clock)


def test_a_gateway_that_starts_calls_no_key_unknown() -> None:
    with pytest.raises(Refusal) as refused:
        Gatekeeper(lambda: None).admit("Bearer good", "score")
    assert (refused.value.status, refused.value.code) == (503, "starting")


def add(world: Any, client: TestClient, key: ApiKey, secret: str) -> None:
    """Put a key in force, and let the client use it."""
    world.source.catalog = replace(world.source.catalog, keys=[*world.source.catalog.keys, key])
    client.headers["Authorization"] = f"Bearer {secret}"
    wait_for(lambda: client.get("/v2/models/flight_late/plan").status_code != 401)


# ---------------------------------------------------------------- models


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", "/v2/models/{}/infer"),
        ("POST", "/v2/models/{}/versions/1/infer"),
        ("POST", "/v2/models/{}/outcomes"),
        ("GET", "/v2/models/{}"),
        ("GET", "/v2/models/{}/ready"),
        ("GET", "/v2/models/{}/plan"),
        ("GET", "/v2/models/{}/schema"),
    ],
)
def test_forbidden_model_looks_like_one_that_is_not_there(
    served: tuple[Any, TestClient], verb: str, path: str
) -> None:
    world, client = served
    key = ApiKey(digest("bound"), "bound", ["admin"], models=["unborn"])
    add(world, client, key, "bound")
    forbidden = client.request(verb, path.format("flight_late"))
    absent = client.request(verb, path.format("nowhere"))
    assert (forbidden.status_code, absent.status_code) == (404, 404)
    assert forbidden.text.replace("flight_late", "nowhere") == absent.text


def test_bound_key_does_not_find_the_model_by_invocations(
    served: tuple[Any, TestClient],
) -> None:
    world, client = served
    key = ApiKey(digest("bound"), "bound", ["score"], models=["unborn"])
    add(world, client, key, "bound")
    body = {"dataframe_records": [{"hour": 1, "temp": 2, "carrier": "AA"}]}
    assert client.post("/invocations", json=body).json()["code"] == "which_model"
    named = client.post("/invocations", json=body, headers={"X-Tenure-Model": "flight_late"})
    assert named.json()["code"] == "unknown_model"


def test_bound_key_scores_its_model(served: tuple[Any, TestClient], ask: Ask) -> None:
    world, client = served
    key = ApiKey(digest("bound"), "bound", ["score"], models=["flight_late"])
    add(world, client, key, "bound")
    assert client.post(INFER, json=ask()).status_code == 200


def test_two_keys_of_a_name_are_valid_at_once(served: tuple[Any, TestClient], ask: Ask) -> None:
    world, client = served
    for secret in ("old", "new"):
        add(world, client, ApiKey(digest(secret), "app", ["score"]), secret)
    for secret in ("old", "new"):
        headers = {"Authorization": f"Bearer {secret}"}
        assert client.post(INFER, json=ask(), headers=headers).status_code == 200


# ---------------------------------------------------------------- rates


@pytest.mark.parametrize(
    ("rows", "then_wait", "allowed"),
    [
        (1, 0.0, True),
        (9, 0.0, True),
        (10, 0.0, False),
        (10, 0.1, True),
        (30, 2.0, False),
        (30, 2.1, True),
    ],
)
def test_rate_counts_rows(rows: int, then_wait: float, allowed: bool) -> None:
    clock = Ticking()
    door = keeper(clock=clock)
    caller = Caller("k", "k", frozenset(), rows_per_second=10)
    door.charge(caller)
    door.overdraw(caller, rows - 1)
    clock.now += then_wait + 1e-9
    if allowed:
        door.charge(caller)
        return
    with pytest.raises(Refusal) as refused:
        door.charge(caller)
    assert (refused.value.status, refused.value.code) == (429, "rate_limited")
    assert refused.value.retry_after == 1


def test_rates_of_callers_are_their_own() -> None:
    door = keeper(clock=Ticking())
    first, second = (Caller(name, name, frozenset(), rows_per_second=1) for name in "ab")
    door.charge(first)
    door.charge(second)
    with pytest.raises(Refusal, match=r"^The key 'a' has 1 rows a second; wait 1\.0 s\.$"):
        door.charge(first)


def test_bucket_never_holds_more_than_a_second() -> None:
    bucket = Bucket(5, 0.0)
    assert [bucket.take(1, 1000.0) for _ in range(6)] == [0, 0, 0, 0, 0, 0.2]


@pytest.mark.parametrize(
    ("count", "seconds", "allowed"), [(1, 0.34, True), (6, 1.0, False), (6, 1.4, True)]
)
def test_quota_counts_outcomes(
    served: tuple[Any, TestClient], count: int, seconds: float, allowed: bool
) -> None:
    world, client = served
    add(world, client, ApiKey(digest("slow"), "slow", ["outcome"], None, 3), "slow")
    outcomes = "/v2/models/flight_late/outcomes"
    truth = [{"request_id": f"r{number}", "label": True} for number in range(count)]
    world.clock.seconds += 1
    assert client.post(outcomes, json={"outcomes": truth}).status_code == 200
    world.clock.seconds += seconds
    again = client.post(outcomes, json={"outcomes": [truth[0]]}).status_code
    assert again == (200 if allowed else 429)


def test_quota_is_for_outcomes_that_are_taken(served: tuple[Any, TestClient]) -> None:
    world, client = served
    add(world, client, ApiKey(digest("slow"), "slow", ["outcome"], None, 3), "slow")
    early = [{"request_id": "r", "label": True, "observed_at": "2999-01-01T00:00:00Z"}] * 6
    world.clock.seconds += 1
    refused = client.post("/v2/models/flight_late/outcomes", json={"outcomes": early})
    truth = [{"request_id": "r", "label": True}]
    taken = client.post("/v2/models/flight_late/outcomes", json={"outcomes": truth})
    assert (refused.status_code, taken.status_code) == (422, 200)


def test_quota_is_not_given_back_by_a_watermark(served: tuple[Any, TestClient]) -> None:
    world, client = served
    add(world, client, ApiKey(digest("slow"), "slow", ["outcome"], None, 1), "slow")
    said = {"outcomes": [], "watermark": "2013-07-01T09:00:00Z"}
    posts = [client.post("/v2/models/flight_late/outcomes", json=said) for _ in range(2)]
    assert [one.status_code for one in posts] == [200, 429]


def test_rate_over_http(served: tuple[Any, TestClient], ask: Ask) -> None:
    world, client = served
    add(world, client, ApiKey(digest("slow"), "slow", ["score"], None, 3), "slow")
    three = ask(hour=[1, 2, 3], temp=[1, 2, 3], carrier=["AA"] * 3)
    assert client.post(INFER, json=three).status_code == 200
    refused = client.post(INFER, json=ask())
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "1"
    world.clock.seconds += 1
    assert client.post(INFER, json=ask()).status_code == 200


# ---------------------------------------------------------------- use and tokens


def test_use_is_noted_once_and_for_known_keys_only() -> None:
    door = keeper(ApiKey(digest("a"), "a", ["score"]))
    for secret in ("a", "a"):
        door.admit(f"Bearer {secret}", "score")
    with pytest.raises(Refusal):
        door.admit("Bearer nobody", "score")
    assert door.used() == [digest("a")]
    assert door.used() == []


def test_use_is_written_beside_the_requests(
    world: Any, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    from tenure.gateway import app

    monkeypatch.setattr(app, "_NOTE_SECONDS", 0.01)
    with TestClient(app.create_app(world.gateway())) as client:
        headers = {"Authorization": "Bearer score-key"}
        eventually(lambda: client.get("/v2/models/flight_late/plan", headers=headers).is_success)
        eventually(lambda: digest("score-key") in world.used)


def test_token_is_a_key_like_any_other() -> None:
    caller = keeper().admit("Bearer a.good.token", "score")
    assert (caller.id, caller.sees("flight_late"), caller.sees("other")) == ("jwt:ada", True, False)
    assert caller.rows_per_second == 2


@pytest.mark.parametrize(("age", "told"), [(None, -1.0), (0.0, 0.0), (7.0, 7.0)])
def test_age_of_the_keys_of_tokens(age: float | None, told: float) -> None:
    tokens = FakeTokens()
    tokens.keys_age_seconds = age
    assert Gatekeeper(dict, tokens=tokens).token_keys_age == told


def test_a_gateway_that_never_read_the_keys_of_tokens_calls_none_bad() -> None:
    tokens = FakeTokens()
    tokens.keys_age_seconds = None
    with pytest.raises(Refusal) as refused:
        Gatekeeper(dict, tokens=tokens).admit("Bearer a.good.token", "score")
    assert (refused.value.status, refused.value.code) == (503, "starting")
    assert refused.value.message == (
        "The gateway has not read the identity provider's keys yet; try again."
    )


@pytest.mark.parametrize(
    ("token", "scope", "status", "code", "message"),
    [
        ("a.bad.token", "score", 401, "bad_token", "The token is refused: Signature has expired."),
        ("a.good.token", "outcome", 403, "wrong_scope", "The key 'ada' has no scope 'outcome'."),
    ],
)
def test_token_that_is_refused(
    token: str, scope: str, status: int, code: str, message: str
) -> None:
    with pytest.raises(Refusal) as refused:
        keeper().admit(f"Bearer {token}", scope)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.message == message
