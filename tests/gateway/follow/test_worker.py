"""A gateway loads what somebody asks about, says what it found, and has it warm for the plan."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tenure.errors import ArtifactRefused, ServiceUnreachable
from tenure.gateway.app import Gateway
from tenure.lifecycle.promotion.trial_loads import Trial
from tenure.lifecycle.serving import TrafficPlan

Plans = Callable[..., TrafficPlan]
REFUSED = ArtifactRefused("flight_late@2: other bytes.", still_safe="x", next_step="y")
AWAY = ServiceUnreachable("no store", still_safe="x", next_step="y")


def ask(world: Any, number: int, version: int = 12) -> None:
    world.source.asked.append(Trial(number, world.source.catalog.versions[version]))


def model_of(gateway: Gateway) -> Any:
    return gateway.follower.view.models["flight_late"]


def test_it_is_warm_when_the_plan_comes(world: Any, gateway: Gateway, plans: Plans) -> None:
    gateway.follower.poll()
    ask(world, 1)
    gateway.follower.poll()
    assert world.source.told == {1: ""}
    assert model_of(gateway).champion.version == 1
    world.publish(replace(plans(2), champion_id=12))
    gateway.follower.poll()
    assert (model_of(gateway).champion.version, model_of(gateway).is_ready) == (2, True)
    assert world.loader.loads == [11, 12]


def test_what_serves_already_is_not_loaded_again(world: Any, gateway: Gateway) -> None:
    gateway.follower.poll()
    ask(world, 1, version=11)
    gateway.follower.poll()
    assert (world.source.told, world.loader.loads) == ({1: ""}, [11])


def test_a_refusal_is_reported_and_opens_an_incident(world: Any, gateway: Gateway) -> None:
    gateway.follower.poll()
    world.loader.models[12] = REFUSED
    ask(world, 1)
    for _ in range(3):
        gateway.follower.poll()
    assert world.source.told == {1: "flight_late@2: other bytes."}
    assert world.source.refusals == ["artifact_refused flight_late@2: flight_late@2: other bytes."]
    assert world.loader.loads == [11, 12]


def test_a_load_is_reported_before_the_trial_is_answered(world: Any, gateway: Gateway) -> None:
    """Who asked gives it traffic at once, and a version with traffic keeps its incidents."""
    gateway.follower.poll()
    order: list[str] = []
    load, answer = world.source.report_load, world.source.answer_trial
    world.source.report_load = lambda *a, **k: (order.append("load"), load(*a, **k))
    world.source.answer_trial = lambda *a: (order.append("answer"), answer(*a))
    ask(world, 1)
    gateway.follower.poll()
    assert order == ["load", "answer"]
    assert [told[0] for told in world.source.loads] == ["flight_late@1", "flight_late@2"]


def test_the_next_trial_loads_anew_and_waits_for_no_back_off(world: Any, gateway: Gateway) -> None:
    gateway.follower.poll()
    good, world.loader.models[12] = world.loader.models[12], REFUSED
    ask(world, 1)
    gateway.follower.poll()
    world.loader.models[12] = good
    ask(world, 2)
    gateway.follower.poll()
    assert world.source.told == {1: "flight_late@2: other bytes.", 2: ""}


@pytest.mark.parametrize("error", [AWAY, RuntimeError("a bug")], ids=["store away", "a bug"])
def test_other_failures_say_nothing_about_the_version(
    world: Any, gateway: Gateway, error: Exception
) -> None:
    gateway.follower.poll()
    world.loader.models[12] = error
    ask(world, 1)
    for _ in range(3):
        gateway.follower.poll()
    assert (world.source.told, world.loader.loads) == ({}, [11, 12])


def test_it_stays_for_a_minute_with_its_file(world: Any, gateway: Gateway) -> None:
    gateway.follower.poll()
    ask(world, 1)
    gateway.follower.poll()
    for seconds, kept in [(1, {1, 2}), (60, {1, 2}), (1, {1})]:
        world.clock.seconds += seconds
        gateway.follower.poll()
        assert world.loader.kept == {f"{version:064}" for version in kept}, seconds
    assert [model.is_alive for model in world.loader.started] == [True, False]


def test_a_restart_without_database_knows_nothing_of_it(world: Any, gateway: Gateway) -> None:
    gateway.follower.poll()
    ask(world, 1)
    gateway.follower.poll()
    again = world.gateway()
    again.follower.restore()
    assert world.loader.loads == [11, 12, 11]
    again.close()


def polled(gateway: Gateway) -> bool:
    gateway.follower.poll()
    return True


def hanging(world: Any, number: int) -> threading.Event:
    """A version more, whose load takes until the event."""
    world.source.catalog.versions[number + 10] = replace(
        world.source.catalog.versions[12],
        id=number + 10,
        version=number,
        artifact_digest=f"{number:064}",
    )
    free = threading.Event()
    load = world.loader.load

    def slow(row: Any, *, distrust: str) -> Any:
        if row.id == number + 10:
            world.loader.models.setdefault(row.id, world.loader.models[12])
            free.wait(30)
        return load(row, distrust=distrust)

    world.loader.load = slow
    return free


def test_what_loads_when_nobody_waits_any_more_is_let_go(
    world: Any,
    gateway: Gateway,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway.follower.poll()
    monkeypatch.setattr("tenure.gateway.follow.worker._PATIENCE_SECONDS", 0.05)
    free = hanging(world, 3)
    ask(world, 1, version=13)
    gateway.follower.poll()
    world.source.asked.clear()
    free.set()
    eventually(lambda: len(world.loader.started) == 2)
    for seconds in (1, 61, 61):
        world.clock.seconds += seconds
        gateway.follower.poll()
    assert [model.is_alive for model in world.loader.started] == [True, False]
    assert world.loader.kept == {f"{1:064}"}


def test_trials_that_hang_do_not_keep_a_champion_from_coming_back(
    world: Any,
    gateway: Gateway,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway.follower.poll()
    monkeypatch.setattr("tenure.gateway.follow.worker._PATIENCE_SECONDS", 0.05)
    numbers = range(3, 8)
    holds = [hanging(world, number) for number in numbers]
    for number in numbers:
        ask(world, number, version=number + 10)
    gateway.follower.poll()
    try:
        world.loader.started[0].die()
        gateway.follower.poll()
        assert not model_of(gateway).is_ready
        world.clock.seconds += 600
        gateway.follower.poll()
        eventually(lambda: polled(gateway) and model_of(gateway).is_ready)
    finally:
        for one in holds:
            one.set()
    eventually(lambda: polled(gateway) and len(world.source.told) == len(numbers))


def test_a_database_that_knows_no_trials_is_reported_of_once(
    world: Any,
    gateway: Gateway,
    plans: Plans,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All else goes on."""

    def none() -> list[Trial]:
        raise ServiceUnreachable("no trials", still_safe="x", next_step="y")

    with monkeypatch.context() as older:
        older.setattr(world.source, "trials", none)
        for _ in range(3):
            gateway.follower.poll()
        world.publish(plans(2))
        gateway.follower.poll()
    assert world.source.acknowledged == [("flight_late", 1), ("flight_late", 2)]
    assert caplog.text.count("trials=unknown cause=no trials") == 1
    ask(world, 1)
    gateway.follower.poll()
    assert world.source.told == {1: ""}
