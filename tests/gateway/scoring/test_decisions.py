"""Whatever the models do, the answer is 200 and says which level gave it and why."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from tenure.lifecycle.serving import ServingPolicy

INFER = "/v2/models/flight_late/infer"
NAN = float("nan")
NO_SCORE = "score is not a probability"
Served = tuple[Any, TestClient]


class Broken:
    """A model that does as it is told, and counts its calls."""

    def __init__(self, scores: float | BaseException) -> None:
        self.scores = scores
        self.calls = 0

    def __call__(self, rows: Sequence[Any]) -> list[float]:
        self.calls += 1
        if isinstance(self.scores, BaseException):
            raise self.scores
        return [self.scores] * len(rows)


@pytest.fixture
def with_canary(
    served: Served, plans: Callable[..., Any], eventually: Callable[..., Any]
) -> Callable[[Broken], None]:
    """Gives the model all traffic, as a canary."""
    world, client = served

    def give(model: Broken) -> None:
        world.loader.models[12] = model
        world.publish(plans(2, canary=12, share_bp=10_000))
        headers = {"Authorization": "Bearer admin-key"}
        plan = "/v2/models/flight_late/plan"
        eventually(lambda: client.get(plan, headers=headers).json()["generation"] == 2)

    return give


def parameters(client: TestClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(INFER, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["parameters"])


def counted(client: TestClient, metric: str) -> dict[str, float]:
    """Samples of a counter by their labels."""
    text = client.get("/metrics", headers={"Authorization": "Bearer metrics-key"}).text
    lines = [line for line in text.splitlines() if line.startswith(f"{metric}_total")]
    return {line.split("{")[1].split("}")[0]: float(line.split()[-1]) for line in lines}


ENDED = "authorization ended: 2026-05-01 12:31:00 UTC"


@pytest.mark.parametrize("level", ["rule", "review"])
def test_a_champion_whose_authorization_ends_falls_to_the_declared_rung(
    served: Served,
    ask: Callable[..., Any],
    plans: Callable[..., Any],
    eventually: Callable[..., Any],
    level: str,
) -> None:
    """It answers as long as it may, then the rule does: no restart, no look at a database."""
    world, client = served
    rule = 0.25 if level == "rule" else None
    world.policy = ServingPolicy(fallback_score=rule, cache_rows=10)
    world.publish(replace(plans(2), champion_until=world.clock.wall + timedelta(minutes=1)))
    headers = {"Authorization": "Bearer admin-key"}
    plan = "/v2/models/flight_late/plan"
    eventually(lambda: client.get(plan, headers=headers).json()["generation"] == 2)
    assert client.get(plan, headers=headers).json()["authorized_until"] == "2026-05-01T12:31:00Z"
    before = parameters(client, ask("s1"))
    assert (before["fallback_level"], before["reason"]) == ("model", "")
    world.source.error = RuntimeError("no database from here on")
    world.clock.wall -= timedelta(days=400)
    world.clock.seconds += 60
    got = parameters(client, ask("s2"))
    assert (got["arm_assigned"], got["arm"], got["version"]) == ("champion", "rule", 1)
    assert (got["fallback_level"], got["reason"]) == (level, f"champion: {ENDED}")
    assert any(got["review"]) is (level == "review")
    labels = (
        f'level="{level}",model="flight_late",reason="champion: authorization ended",version="1"'
    )
    assert counted(client, "tenure_fallbacks") == {labels: 1.0}


def test_a_canary_whose_authorization_ends_gives_its_subjects_to_the_champion(
    served: Served,
    ask: Callable[..., Any],
    plans: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:
    world, client = served
    ends = world.clock.wall + timedelta(minutes=1)
    lasting = {"lease_seconds": 600, "lease_until": world.clock.wall + timedelta(minutes=10)}
    plan = replace(plans(2, canary=12, share_bp=10_000), canary_until=ends, **lasting)
    world.publish(plan)
    eventually(lambda: parameters(client, ask("s1"))["arm"] == "canary")
    world.clock.seconds += 59.9
    assert parameters(client, ask("s2"))["arm"] == "canary"
    world.clock.seconds += 0.1
    got = parameters(client, ask("s3"))
    assert (got["arm_assigned"], got["arm"], got["version"]) == ("canary", "champion", 1)
    assert (got["fallback_level"], got["reason"]) == ("champion", f"canary: {ENDED}")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(Broken(ValueError("x")), "error: ValueError", id="raises"),
        pytest.param(Broken(type("Any1", (Exception,), {})()), "error: Any1", id="own"),
        pytest.param(Broken(NAN), NO_SCORE, id="NaN"),
        pytest.param(Broken(1.5), NO_SCORE, id="too large"),
        pytest.param(Broken(SystemExit()), "process ended", id="dies"),
    ],
)
def test_broken_canary(
    served: Served,
    with_canary: Callable[[Broken], None],
    ask: Callable[..., Any],
    model: Broken,
    reason: str,
) -> None:
    """A name that the model chose stands in the answer and the log, but in no metric."""
    _, client = served
    with_canary(model)
    got = parameters(client, ask("s1"))
    assert (got["arm_assigned"], got["arm"], got["version"]) == ("canary", "champion", 1)
    assert (got["fallback_level"], got["reason"]) == ("champion", f"canary: {reason}")
    kind = "error" if reason.startswith("error") else reason
    labels = f'level="champion",model="flight_late",reason="canary: {kind}",version="2"'
    assert counted(client, "tenure_fallbacks") == {labels: 1.0}
    failed = f'arm="canary",model="flight_late",reason="{kind}"'
    assert counted(client, "tenure_scoring_failures") == {failed: 1.0}


def test_a_canary_that_keeps_failing_is_not_asked_any_more(
    served: Served, with_canary: Callable[[Broken], None], ask: Callable[..., Any]
) -> None:
    world, client = served
    model = Broken(ValueError("x"))
    with_canary(model)
    got = [parameters(client, ask(f"s{n}")) for n in range(8)]
    assert [one["reason"] for one in got] == ["canary: error: ValueError"] * 5 + [
        "canary: circuit open"
    ] * 3
    assert {one["fallback_level"] for one in got} == {"champion"}
    assert model.calls == 5
    model.scores = 0.25
    world.clock.seconds += 1
    assert parameters(client, ask("probe"))["arm"] == "canary"
    assert parameters(client, ask("after"))["arm"] == "canary"
    assert model.calls == 7


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param(0.75, ("rule", True, 0), id="declared rule"),
        pytest.param(None, ("review", False, 1), id="no rule: a person"),
    ],
)
def test_everything_is_broken(
    served: Served,
    with_canary: Callable[[Broken], None],
    ask: Callable[..., Any],
    rule: float | None,
    expected: tuple[str, bool, int],
) -> None:
    world, client = served
    world.policy = ServingPolicy(fallback_score=rule)
    with_canary(Broken(ValueError("x")))
    world.loader.started[0].die()  # the champion's process
    answer = client.post(INFER, json=ask("s1"))
    assert answer.status_code == 200
    got = answer.json()["parameters"]
    assert (got["arm"], got["confidence"]) == ("rule", [0.0])
    assert got["reason"] == "canary: error: ValueError"
    reviews = counted(client, "tenure_reviews").get('model="flight_late"', 0)
    decision = answer.json()["outputs"][1]["data"][0]
    assert (got["fallback_level"], decision, reviews) == expected


@pytest.mark.parametrize(
    ("limit", "for_review"),
    [(0.79, 0), (0.8, 0), (0.81, 1), (None, 0)],
    ids=["above", "at", "below", "no limit"],
)
def test_a_decision_that_the_model_is_unsure_of_goes_to_a_person(
    served: Served,
    ask: Callable[..., Any],
    limit: float | None,
    for_review: int,
    eventually: Callable[..., Any],
) -> None:
    world, client = served
    world.policy = ServingPolicy(review_below_confidence=limit)
    count = world.source.reads
    eventually(lambda: world.source.reads > count + 1)
    got = parameters(client, ask("s1"))
    assert (got["fallback_level"], got["confidence"]) == ("model", [0.8])
    assert got["review"] == [True] * for_review
    expected = {'model="flight_late"': 1.0} if for_review else {}
    assert counted(client, "tenure_reviews") == expected


def test_a_dead_process_is_replaced(
    served: Served, ask: Callable[..., Any], eventually: Callable[..., Any]
) -> None:
    world, client = served
    assert parameters(client, ask("s1"))["fallback_level"] == "model"
    world.loader.started[0].die()
    eventually(lambda: world.source.refusals)
    world.clock.seconds += 0.5
    eventually(lambda: len(world.loader.started) == 2)
    world.clock.seconds += 1
    assert parameters(client, ask("s2"))["fallback_level"] == "model"
    assert world.source.refusals == [
        "model_crashed flight_late@1: its process ended after 0.0 s of serving."
    ]
