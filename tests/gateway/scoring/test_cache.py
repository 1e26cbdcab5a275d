"""Scores that are known need not be computed; another version never answers from them."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from waiting import wait_for

from tenure.gateway.scoring.cache import ScoreCache
from tenure.lifecycle.serving import ServingPolicy

INFER = "/v2/models/flight_late/infer"
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def caching(world: Any, client: TestClient, ask: Ask) -> tuple[Any, TestClient]:
    world.policy = ServingPolicy(cache_rows=100)
    wait_for(lambda: is_cached(client, ask(hour=[23.0])))
    return world, client


def is_cached(client: TestClient, body: dict[str, Any]) -> bool:
    answer = client.post(INFER, json=body)
    assert answer.status_code == 200
    return bool(answer.json()["parameters"]["cached"])


def test_off_by_default(client: TestClient, ask: Ask) -> None:
    assert [is_cached(client, ask()) for _ in range(3)] == [False] * 3


def test_hit_is_flagged_and_a_decision_of_its_own(
    caching: tuple[Any, TestClient], ask: Ask
) -> None:
    _, client = caching
    first, second = (client.post(INFER, json=ask("s1")).json() for _ in range(2))
    assert [one["parameters"]["cached"] for one in (first, second)] == [False, True]
    assert first["outputs"] == second["outputs"]
    ids = {one["parameters"]["decision_ids"][0] for one in (first, second)}
    assert len(ids) == 2


def test_other_features_are_a_miss(caching: tuple[Any, TestClient], ask: Ask) -> None:
    _, client = caching
    assert not is_cached(client, ask(hour=[1.0]))
    assert not is_cached(client, ask(hour=[2.0]))
    assert not is_cached(client, ask(hour=[1.0], carrier=[None]))
    assert is_cached(client, ask(hour=[1.0]))


def test_some_known_rows_are_a_miss(caching: tuple[Any, TestClient], ask: Ask) -> None:
    _, client = caching
    assert not is_cached(client, ask(hour=[1.0]))
    two = {"hour": [1.0, 2.0], "temp": [50.5, 50.5], "carrier": ["AA", "AA"]}
    assert not is_cached(client, ask(**two))
    assert is_cached(client, ask(**two))


def test_another_version_is_a_miss(
    caching: tuple[Any, TestClient], ask: Ask, plans: Callable[..., Any]
) -> None:
    world, client = caching
    assert not is_cached(client, ask())
    assert is_cached(client, ask())
    world.publish(plans(2, canary=12, share_bp=10_000))
    wait_for(lambda: client.get("/v2/models/flight_late/plan").json()["generation"] == 2)
    assert not is_cached(client, ask())


def test_hits_are_counted(caching: tuple[Any, TestClient], ask: Ask) -> None:
    _, client = caching
    for _ in range(3):
        client.post(INFER, json=ask(hour=[3.0]))
    text = client.get("/metrics", headers={"Authorization": "Bearer metrics-key"}).text
    assert 'tenure_score_cache_total{model="flight_late",result="hit"}' in text
    assert 'tenure_score_cache_total{model="flight_late",result="miss"} 2.0' in text


@pytest.mark.parametrize(("rows", "known"), [(1, True), (2, True), (3, False)])
def test_least_recently_used_goes_first(rows: int, known: bool) -> None:
    cache = ScoreCache()
    cache.keep([(0.0,)], [0.5], most=2)
    for number in range(1, rows):
        cache.keep([(float(number),)], [0.5], most=2)
    assert (cache.find([(0.0,)]) == [0.5]) == known


def test_a_score_of_zero_is_known() -> None:
    cache = ScoreCache()
    cache.keep([(1.0,)], [0.0], most=2)
    assert cache.find([(1.0,)]) == [0.0]
