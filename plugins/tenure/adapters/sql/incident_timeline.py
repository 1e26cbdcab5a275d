"""The timeline of an incident, and what of it nobody was told yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, func, insert, select, update

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import incident, incident_event, outbox
from tenure.lifecycle.incidents.alert_text import ALERT, PAGING
from tenure.lifecycle.incidents.kinds import IncidentSeverity

_e, _i = incident_event.c, incident.c


@dataclass(frozen=True)
class TimelineEvent:
    """What happened to an incident; `actor` is a person, a role of the database, or None.

    `kind` is opened, joined, escalated, acknowledged, snoozed, restored, remediation, remediated,
    closed, alerted, not_alerted or acted.
    """

    id: int
    kind: str
    actor: str | None
    note: str
    at: datetime


def of_incident(connection: Connection, incident_id: int) -> list[TimelineEvent]:
    """All of it, in the order in which it was noted."""
    query = (
        select(*columns_of(TimelineEvent, incident_event))
        .where(_e.incident_id == incident_id)
        .order_by(_e.id)
    )
    return [as_row(TimelineEvent, row) for row in connection.execute(query).mappings()]


def note(
    connection: Connection,
    incident_id: int,
    kind: str,
    text: str,
    *,
    at: datetime,
    actor: str | None = None,
) -> None:
    """Append what no column of the incident says: whether somebody was told, who did what."""
    connection.execute(
        insert(incident_event).values(
            incident_id=incident_id, kind=kind, note=text, at=at, actor=actor
        )
    )


def untold(connection: Connection) -> list[int]:
    """Incidents that somebody may have to be told of, oldest first."""
    return list(connection.execute(select(_i.id).where(_i.untold).order_by(_i.id)).scalars())


def untold_events(connection: Connection, incident_id: int) -> list[TimelineEvent]:
    """Events that page and are not in the outbox; none unless the incident says that it has some.

    Call it with the incident locked.
    """
    query = (
        select(*columns_of(TimelineEvent, incident_event))
        .join(incident, _i.id == _e.incident_id)
        .where(_i.id == incident_id, _i.untold, _e.id > _i.told_event, _e.kind.in_(PAGING))
        .order_by(_e.id)
    )
    return [as_row(TimelineEvent, row) for row in connection.execute(query).mappings()]


def told(connection: Connection, incident_id: int, events: Sequence[TimelineEvent]) -> None:
    """These are in the outbox, or need not be."""
    values: dict[str, object] = {"untold": False}
    if events:
        values["told_event"] = events[-1].id
    connection.execute(update(incident).where(_i.id == incident_id).values(**values))


def escalate(
    connection: Connection, *, severity: IncidentSeverity, before: datetime, why: str
) -> int:
    """Say why of open incidents that were opened before a moment and nobody acknowledged; once."""
    found = connection.execute(
        update(incident)
        .where(
            _i.state == "open",
            _i.severity == str(severity),
            _i.acknowledged_at.is_(None),
            _i.created_at <= before,
            _i.escalation.is_distinct_from(why),
        )
        .values(escalation=why)
    )
    return found.rowcount


def wake(connection: Connection, *, at: datetime) -> int:
    """End the snooze of incidents whose moment has come."""
    found = connection.execute(
        select(_i.id, _i.snoozed_until).where(_i.state != "closed", _i.snoozed_until <= at)
    ).all()
    for number, until in found:
        moment = f"{until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        connection.execute(
            update(incident)
            .where(_i.id == number, _i.state != "closed")
            .values(snoozed_until=None, escalation=f"It was snoozed until {moment} and lasts.")
        )
    return len(found)


@dataclass(frozen=True)
class WaitingAlerts:
    """Alerts that no receiver took yet: how many, since when, and what it said last."""

    number: int
    since: datetime | None
    last_error: str | None


def waiting_alerts(connection: Connection) -> WaitingAlerts:
    """What is promised and not delivered."""
    query = select(
        func.count().label("number"),
        func.min(outbox.c.created_at).label("since"),
        func.max(outbox.c.last_error).label("last_error"),
    ).where(outbox.c.topic == ALERT, outbox.c.delivered_at.is_(None))
    return as_row(WaitingAlerts, connection.execute(query).one())
