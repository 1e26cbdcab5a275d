"""Who takes an incident, who may not, and for how long it may be silent."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tenure.adapters.sql import incident_timeline
from tenure.adapters.sql.incidents import Incident
from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.usecases.incidents.close_incident import close_by_person, close_incident
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.incidents.respond import LONGEST_SNOOZE, acknowledge, snooze

pytestmark = pytest.mark.service


def events(platform: Installation, number: int) -> list[tuple[str, str | None]]:
    with platform.database.begin() as connection:
        found = incident_timeline.of_incident(connection, number)
    return [(one.kind, one.actor) for one in found]


def test_the_timeline_fills_itself(platform: Installation) -> None:
    number = open_incident(platform, "k", "alias_moved", "m", "x", member="one")
    for _ in range(2):
        acknowledge(platform, number, user="olga")
    later = datetime.now(UTC) + timedelta(hours=1)
    snoozed = snooze(platform, number, user="olga", until=later)
    assert (snoozed.owner, snoozed.snoozed_until) == ("olga", later)
    close_by_person(platform, number, user="olga", reason="It was me.")
    assert events(platform, number) == [
        ("opened", "postgres"),
        ("joined", None),
        ("acknowledged", "olga"),
        ("snoozed", "olga"),
        ("closed", "olga"),
    ]


def _late(platform: Installation, number: int, user: str) -> Incident:
    until = platform.clock.now() + LONGEST_SNOOZE + timedelta(minutes=1)
    return snooze(platform, number, user=user, until=until)


def _past(platform: Installation, number: int, user: str) -> Incident:
    return snooze(platform, number, user=user, until=platform.clock.now() - timedelta(seconds=1))


def _take(platform: Installation, number: int, user: str) -> Incident:
    return acknowledge(platform, number, user=user)


@pytest.mark.parametrize(
    ("answer", "user", "facts", "error"),
    [
        pytest.param(_take, "mallory", {}, NotPermitted, id="no operator"),
        pytest.param(_take, "sam", {}, NotPermitted, id="a steward, about no dataset"),
        pytest.param(_take, "sam", {"dataset": "flights"}, None, id="a steward"),
        pytest.param(_late, "olga", {}, StateConflict, id="for too long"),
        pytest.param(_past, "olga", {}, StateConflict, id="until a moment that is past"),
    ],
)
def test_who_may_answer_and_how(
    platform: Installation,
    answer: Callable[[Installation, int, str], Incident],
    user: str,
    facts: dict[str, object],
    error: type[Exception] | None,
) -> None:
    number = open_incident(platform, "k", "landing_not_read", "flights", "x", facts=facts)
    if error is None:
        assert answer(platform, number, user).owner == user
        return
    with pytest.raises(error):
        answer(platform, number, user)
    assert events(platform, number) == [("opened", "postgres")]


def test_what_is_closed_or_never_was_cannot_be_taken(platform: Installation) -> None:
    number = open_incident(platform, "k", "alias_moved", "m", "x")
    close_incident(platform, "k")
    with pytest.raises(StateConflict, match="was closed at"):
        acknowledge(platform, number, user="olga")
    with pytest.raises(StateConflict, match="There is no incident 77"):
        acknowledge(platform, 77, user="olga")
