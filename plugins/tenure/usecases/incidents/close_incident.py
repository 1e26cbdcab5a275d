"""Closes incidents: when they are over, or by a person who says why."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.lifecycle.incidents.kinds import IncidentSeverity
from tenure.usecases.incidents.open_incident import dedupe_key
from tenure.vocabulary import REASON, Role, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.incidents import Incident

_ORDERS = {"canary_stopped"}
"""Kinds by which maintenance knows what it has to do."""
_SAFE = "The incident stays as it is; nothing else was touched."


def list_open(platform: Installation, *, model: str | None = None) -> "list[Incident]":
    """Incidents that are not closed: open ones first; those about one model when it is named."""
    from tenure.adapters.sql import incidents

    with platform.database.begin() as connection:
        found = incidents.unclosed(connection)
    return [one for one in found if model is None or one.concerns(model)]


def close_incident(platform: Installation, key: str) -> None:
    """Close what is over, if it is open; one of severity 1 waits for its remediation."""
    from tenure.adapters.sql import incidents

    with platform.database.begin() as connection:
        incidents.close_incident(connection, dedupe_key=dedupe_key(key), at=platform.clock.now())


def close_others(platform: Installation, prefix: str, broken: Iterable[str]) -> None:
    """Close those open incidents of a kind of key (`prefix:name`) whose name is not broken now."""
    from tenure.adapters.sql import maintenance

    with platform.database.begin() as connection:
        still_open = maintenance.open_incidents(connection, f"{prefix}:")
    for key in {*still_open} - {dedupe_key(f"{prefix}:{name}") for name in broken}:
        close_incident(platform, key)


def close_item(connection: "Connection", key: str, item: str, at: datetime) -> None:
    """An item of the incident works again; the incident closes with its last one.

    Args:
        connection: Of the lifecycle database.
        key: The incident's, as `dedupe_key` gives it.
        item: The member.
        at: Now.
    """
    from tenure.adapters.sql import incidents
    from tenure.adapters.sql.incident_members import of_item

    incidents.close_repaired(connection, of_item(key, item), at)


def may_act(platform: Installation, user: str, found: "Incident") -> bool:
    """Operators may act on every incident, stewards on those about a dataset."""
    return any(platform.config.allows(user, role) for role in found.roles)


def require_acting(platform: Installation, user: str, found: "Incident | None") -> None:
    """Refuse who may not act on it; of one that does not exist only operators are told so.

    Raises:
        NotPermitted: The person may not.
    """
    allowed = (
        platform.config.allows(user, Role.OPERATOR)
        if found is None
        else may_act(platform, user, found)
    )
    if not allowed:
        raise NotPermitted(
            f"{user} may not act on incidents: that needs the role operator, or steward for one "
            "about a dataset.",
            still_safe=_SAFE,
            next_step="Ask an operator, or add the name to `roles.operator` in "
            "include/configs/platform.yaml.",
        )


def close_by_person(
    platform: Installation, incident_id: int, *, user: str, reason: str
) -> "Incident":
    """Close an incident in a person's name; the reason stands in the ledger.

    What still holds opens a new one as soon as somebody sees it again.

    Raises:
        NotPermitted: The person may not act on it.
        TextRefused: The reason cannot be kept.
        StateConflict: There is none, it is closed, it is an order that must be carried out, or it
            is of severity 1 and its remediation is not done.
    """
    from tenure.adapters.sql import incidents

    REASON.require(reason, "reason", still_safe=_SAFE)
    with platform.database.begin() as connection:
        platform.ledger.take_turn(connection)  # before the row, as a move does: else both wait
        found = incidents.locked(connection, incident_id)
        require_acting(platform, user, found)
        if found is None or found.state != "open" or found.kind in _ORDERS:
            raise not_open(incident_id, found)
        if found.severity is IncidentSeverity.SEV1 and found.remediated_at is None:
            raise _not_remediated(found)
        platform.ledger.note(
            connection,
            subject=f"incident:{incident_id}",
            actor=user,
            body={**incident_facts(found), "reason": reason},
            op_key=op_key("incident.close_by_person", f"incident:{incident_id}", {}),
        )
        at = platform.clock.now()
        incidents.close_incident(
            connection, dedupe_key=found.dedupe_key, at=at, by=user, reason=reason
        )
    return replace(found, state="closed", closed_at=at, closed_by=user, closed_reason=reason)


def in_utc(moment: datetime) -> str:
    """To the minute; sessions of the database may speak of another zone."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def incident_facts(found: "Incident") -> dict[str, str]:
    """What the ledger says of it; its model where it is about a version and not a gateway."""
    name, at, _ = found.subject.partition("@")
    model = found.model or (name if at else "")
    said = {"kind": found.kind, "about": found.subject, "summary": found.summary}
    return {"model": model, **said} if model else said


def _not_remediated(found: "Incident") -> StateConflict:
    what = (
        "nobody wrote what is done about its cause"
        if found.remediation_due is None
        else f"its remediation is not done; it is due on {found.remediation_due}"
    )
    return StateConflict(
        f"Incident {found.id} is of severity 1: it is over when its remediation is done, and "
        f"{what}.",
        still_safe=_SAFE,
        next_step="Write it (`tenure incident remediate`, or on its page), and say when it is done "
        "(`tenure incident remediated`).",
    )


def not_open(incident_id: int, found: "Incident | None") -> StateConflict:
    """Why nothing can be done about it: there is none, it is closed, or it is an order."""
    step = "Compare the number with `tenure incident list`."
    if found is None:
        what = f"There is no incident {incident_id}."
    elif found.closed_at is not None:
        what = f"Incident {incident_id} was closed at {in_utc(found.closed_at)}."
    elif found.state == "restored":
        return _not_remediated(found)
    else:
        what = (
            f"Incident {incident_id} orders that the canary {found.subject} be rolled back; it "
            "closes when that is done."
        )
        step = "Run `tenure reconcile`, or wait for maintenance."
    return StateConflict(what, still_safe=_SAFE, next_step=step)
