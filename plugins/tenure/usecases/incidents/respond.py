"""Answers to an incident: a person takes it, or asks for silence until a moment."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tenure.errors import StateConflict
from tenure.installation import Installation
from tenure.usecases.incidents.close_incident import in_utc, not_open, require_acting

if TYPE_CHECKING:
    from tenure.adapters.sql.incidents import Incident

LONGEST_SNOOZE = timedelta(days=7)
"""How long an incident may be silent."""


def acknowledge(platform: Installation, incident_id: int, *, user: str) -> "Incident":
    """Take an incident: it is hers, and is not announced for want of an answer.

    Who takes it after another one owns it from then on. The same person again changes nothing.

    Raises:
        NotPermitted: The person may not act on it.
        StateConflict: There is none, or it is closed.
    """
    return _answer(platform, incident_id, user, None)


def snooze(platform: Installation, incident_id: int, *, user: str, until: datetime) -> "Incident":
    """Take it, and have nobody told of it until a moment; then it is announced if it lasts.

    That it closes is told all the same.

    Args:
        platform: The installation.
        incident_id: Its number.
        user: Who asks.
        until: At most seven days from now.

    Raises:
        NotPermitted: The person may not act on it.
        StateConflict: There is none, it is closed, or the moment is past or too far.
    """
    now = platform.clock.now()
    if not now < until <= now + LONGEST_SNOOZE:
        raise StateConflict(
            f"{in_utc(until)} is not within the next {LONGEST_SNOOZE.days} days.",
            still_safe="The incident stays as it is.",
            next_step="Name a moment to come; after it, the incident can be snoozed again.",
        )
    return _answer(platform, incident_id, user, until)


def _answer(
    platform: Installation, incident_id: int, user: str, until: datetime | None
) -> "Incident":
    from tenure.adapters.sql import incidents

    with platform.database.begin() as connection:
        found = incidents.locked(connection, incident_id)
        require_acting(platform, user, found)
        if found is None or found.state == "closed":
            raise not_open(incident_id, found)
        if found.owner != user or until is not None:
            incidents.acknowledge(
                connection,
                incident_id,
                user=user,
                at=found.acknowledged_at
                if found.acknowledged_at and found.owner == user
                else platform.clock.now(),
                snoozed_until=until,
            )
        answered = incidents.locked(connection, incident_id)
    assert answered is not None
    return answered
