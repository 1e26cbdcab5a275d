"""A gateway says now and then that it is there, and at the end that it is not."""

import logging
from typing import Any

import pytest

from tenure.errors import ServiceUnreachable
from tenure.gateway.app import Gateway

BEHIND = ServiceUnreachable("no alive_at", still_safe="x", next_step="y")
AWAY = ServiceUnreachable("away", still_safe="x", next_step="y")
TAKEN = ("flight_late", 1)


@pytest.mark.parametrize(("seconds", "renewals"), [(9.9, 1), (10, 2), (10.1, 2)])
def test_every_ten_seconds_not_with_every_poll(
    world: Any, gateway: Gateway, seconds: float, renewals: int
) -> None:
    for _ in range(3):
        gateway.follower.poll()
    assert world.source.renewals == 1
    world.clock.seconds += seconds
    for _ in range(3):
        gateway.follower.poll()
    assert world.source.renewals == renewals
    assert world.source.acknowledged == [TAKEN]


def test_what_was_forgotten_of_it_is_said_again(world: Any, gateway: Gateway) -> None:
    """Cut off for a week, or a database from a backup."""
    gateway.follower.poll()
    world.source.acknowledged.clear()
    world.clock.seconds += 10
    gateway.follower.poll()
    gateway.follower.poll()
    assert world.source.acknowledged == [TAKEN]


def test_an_older_generation_is_corrected(world: Any, gateway: Gateway, plans: Any) -> None:
    gateway.follower.poll()
    world.publish(plans(2))
    gateway.follower.poll()
    world.source.acknowledged[:] = [TAKEN]
    world.clock.seconds += 10
    gateway.follower.poll()
    gateway.follower.poll()
    assert world.source.acknowledged == [TAKEN, ("flight_late", 2)]


@pytest.mark.parametrize("healed", [False, True])
def test_on_an_older_schema_it_serves_and_warns_once(
    world: Any, gateway: Gateway, plans: Any, caplog: pytest.LogCaptureFixture, *, healed: bool
) -> None:
    world.source.no_presence = BEHIND
    with caplog.at_level(logging.WARNING, "tenure.gateway.follow.presence"):
        for generation in (1, 2, 3):
            world.publish(plans(generation))
            gateway.follower.poll()
            world.clock.seconds += 10
    assert (world.source.renewals, world.source.acknowledged[-1]) == (3, ("flight_late", 3))
    assert caplog.messages == ["presence=unknown cause=no alive_at"]
    assert gateway.follower.view.models["flight_late"].is_ready
    if healed:
        world.source.no_presence = None
        gateway.follower.poll()
    gateway.follower.close()
    assert world.source.left == healed


def test_it_leaves_when_it_ends(world: Any) -> None:
    gateway = world.gateway()
    gateway.follower.poll()
    assert world.source.left == 0
    gateway.close()
    assert world.source.left == 1


@pytest.mark.parametrize("polls", [0, 1], ids=["never there", "away now"])
def test_it_waits_for_no_database_when_it_ends(world: Any, polls: int) -> None:
    gateway = world.gateway()
    for _ in range(polls):
        gateway.follower.poll()
    world.source.error = AWAY
    gateway.follower._look()
    gateway.close()
    assert world.source.left == 0
