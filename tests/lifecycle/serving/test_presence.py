"""Who is there, and who serves by the plan in force."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.serving.presence import (
    ALIVE_SECONDS,
    RENEW_SECONDS,
    Fleet,
    GatewayHealth,
    Presence,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TAKEN, HEARD = NOON - timedelta(hours=2), NOON - timedelta(seconds=20)


def seen(name: str = "gw-a", generation: int = 7, quiet: float = 1) -> Presence:
    return Presence(name, generation, 7, TAKEN, HEARD, timedelta(seconds=quiet))


@pytest.mark.parametrize(
    ("quiet", "is_alive"),
    [(-3, True), (0, True), (29.999, True), (30, False), (30.001, False), (1e7, False)],
)
def test_alive(quiet: float, is_alive: bool) -> None:
    assert seen(quiet=quiet).is_alive is is_alive


@pytest.mark.parametrize(
    ("generation", "quiet", "standing", "since"),
    [
        pytest.param(6, 1, "behind", TAKEN, id="below"),
        pytest.param(7, 1, "current", TAKEN, id="at"),
        pytest.param(8, 1, "current", TAKEN, id="above: published while we looked"),
        pytest.param(7, 31, "silent", HEARD, id="silent at the newest"),
        pytest.param(6, 31, "silent", HEARD, id="silent behind"),
    ],
)
def test_standing(generation: int, quiet: float, standing: str, since: datetime) -> None:
    one = seen(generation=generation, quiet=quiet)
    assert (one.standing, one.since) == (GatewayHealth(standing), since)


CURRENT, BEHIND, SILENT = seen("a"), seen("b", generation=6), seen("c", quiet=31)


@pytest.mark.parametrize(
    ("gateways", "alive", "is_current"),
    [
        pytest.param((), "", False, id="none ever"),
        pytest.param((SILENT,), "", False, id="none alive"),
        pytest.param((CURRENT,), "a", True, id="one"),
        pytest.param((CURRENT, SILENT), "a", True, id="the silent one is no matter"),
        pytest.param((CURRENT, BEHIND), "ab", False, id="one behind"),
        pytest.param((BEHIND, SILENT), "b", False, id="all that are alive behind"),
    ],
)
def test_fleet(gateways: tuple[Presence, ...], alive: str, is_current: bool) -> None:
    fleet = Fleet("flight_late", 7, gateways)
    assert (fleet.alive, fleet.is_current) == (frozenset(alive), is_current)


def test_two_of_three_words_may_get_lost() -> None:
    assert RENEW_SECONDS * 3 <= ALIVE_SECONDS
