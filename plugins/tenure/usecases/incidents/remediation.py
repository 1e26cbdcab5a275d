"""What is done about the cause of an incident of severity 1: without it, the incident is not over.

A green run, or whatever ends the trouble, only restores service. A person writes what is done
about the cause, with an owner and a last day; a second entry says that it is done. With the last of
them an incident whose service is restored closes.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.lifecycle.incidents.kinds import IncidentSeverity
from tenure.usecases.incidents.close_incident import (
    incident_facts,
    may_act,
    not_open,
    require_acting,
)
from tenure.vocabulary import REASON, TextRule, op_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from tenure.adapters.sql.incidents import Incident
    from tenure.adapters.sql.remediations import Remediation

LONGEST = timedelta(days=90)
"""How far away the last day of a remediation may be."""
_OWNER = TextRule(250)
_SAFE = "Nothing was written; the incident stays as it is."


@dataclass(frozen=True)
class RemediationState:
    """An incident after an entry, and the number of the remediation that was written or done."""

    id: int
    state: str
    remediation: int


def remediate(
    platform: Installation, incident_id: int, *, user: str, action: str, owner: str, due: date
) -> RemediationState:
    """Write what is done about the cause of an incident of severity 1.

    Args:
        platform: The installation.
        incident_id: Its number; open, or restored.
        user: Who writes.
        action: What is done, in words.
        owner: Who does it.
        due: The last day, in UTC; not past, and at most 90 days away.

    Raises:
        NotPermitted: The person may not act on it.
        TextRefused: The action or the owner cannot be kept.
        StateConflict: There is no such incident, it is closed or less grave, or the day is wrong.
    """
    from tenure.adapters.sql import incidents, remediations

    REASON.require(action, "action", still_safe=_SAFE)
    _OWNER.require(owner, "owner", still_safe=_SAFE)
    now = platform.clock.now()
    _require_day(due, now)
    with platform.database.begin() as connection:
        platform.ledger.take_turn(connection)  # before the row, as whoever closes it does
        found = incidents.locked(connection, incident_id)
        require_acting(platform, user, found)
        if found is None or found.state == "closed":
            raise not_open(incident_id, found)
        if found.severity is not IncidentSeverity.SEV1:
            raise StateConflict(
                f"Incident {incident_id} is {found.severity}: it is over with its trouble.",
                still_safe=_SAFE,
                next_step="Only incidents of severity 1 wait for a remediation.",
            )
        number = remediations.write(
            connection, incident_id, action=action, owner=owner, due=due, user=user, at=now
        )
        written = {"remediation": number, "action": action, "owner": owner, "due": str(due)}
        _record(platform, connection, found, user, "remediate", written)
    return RemediationState(incident_id, found.state, number)


def finish(
    platform: Installation,
    incident_id: int,
    *,
    user: str,
    note: str,
    remediation: int | None = None,
) -> RemediationState:
    """Say that a remediation is done; with the last one a restored incident closes.

    Args:
        platform: The installation.
        incident_id: Number of the incident.
        user: Who says so: who owns the remediation, or may act on the incident.
        note: What was done, and where that can be seen.
        remediation: Which one; may be None where only one is not done.

    Raises:
        NotPermitted: The person is neither.
        TextRefused: The note cannot be kept.
        StateConflict: There is no such incident or remediation, or it is done.
    """
    from tenure.adapters.sql import incidents, remediations

    REASON.require(note, "note", still_safe=_SAFE)
    now = platform.clock.now()
    with platform.database.begin() as connection:
        platform.ledger.take_turn(connection)
        found = incidents.locked(connection, incident_id)
        if found is None:
            require_acting(platform, user, None)
        if found is None or found.state == "closed":
            raise not_open(incident_id, found)
        one = _chosen(incident_id, remediations.of_incident(connection, incident_id), remediation)
        if user != one.owner and not may_act(platform, user, found):
            raise NotPermitted(
                f"{user} may not say that remediation {one.id} is done: that may its owner "
                f"{one.owner}, and who may act on the incident.",
                still_safe=_SAFE,
                next_step=f"Ask {one.owner}.",
            )
        remediations.finish(connection, one.id, note=note, user=user, at=now)
        done = {"remediation": one.id, "action": one.action, "owner": one.owner, "done": note}
        _record(platform, connection, found, user, "remediated", done)
        is_closed = incidents.close_restored(
            connection, incident_id, at=now, by=user, reason=f"Its remediation is done: {note}"
        )
    return RemediationState(incident_id, "closed" if is_closed else found.state, one.id)


def _require_day(due: date, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    if not today <= due <= today + LONGEST:
        raise StateConflict(
            f"{due} is not within the next {LONGEST.days} days.",
            still_safe=_SAFE,
            next_step="Name a day on which somebody will look whether it is done.",
        )


def _chosen(
    incident_id: int, written: "Sequence[Remediation]", number: int | None
) -> "Remediation":
    left = [one for one in written if one.done_at is None]
    chosen = [one for one in left if number in {None, one.id}]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(f"{one.id} ({one.action})" for one in left) or "none"
    which = "" if number is None else f", and {number} is not one of them"
    raise StateConflict(
        f"Of incident {incident_id} {len(left)} remediations are not done{which}: {names}.",
        still_safe=_SAFE,
        next_step="Name the one that is done by its number."
        if left
        else "Write first what is done about the cause.",
    )


def _record(  # noqa: PLR0917 -- an entry of the ledger
    platform: Installation,
    connection: "Connection",
    found: "Incident",
    user: str,
    verb: str,
    said: dict[str, object],
) -> None:
    platform.ledger.note(
        connection,
        subject=f"incident:{found.id}",
        actor=user,
        body={**incident_facts(found), **said},
        op_key=op_key(f"incident.{verb}", f"incident:{found.id}", said),
    )
