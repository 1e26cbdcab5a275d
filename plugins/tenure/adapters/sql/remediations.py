"""What is done about the cause of a grave incident: who, until when, and whether it is done."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, insert, or_, select, update

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import incident, remediation

_r, _i = remediation.c, incident.c


@dataclass(frozen=True)
class Remediation:
    """An entry, and the second one that says what was done; `due` is the last day (UTC)."""

    id: int
    action: str
    owner: str
    due: date
    written_by: str
    written_at: datetime
    done_at: datetime | None
    done_by: str | None
    done_note: str | None


def of_incident(connection: Connection, incident_id: int) -> list[Remediation]:
    """Those of an incident, in the order in which they were written."""
    query = (
        select(*columns_of(Remediation, remediation))
        .where(_r.incident_id == incident_id)
        .order_by(_r.id)
    )
    return [as_row(Remediation, row) for row in connection.execute(query).mappings()]


def write(
    connection: Connection,
    incident_id: int,
    *,
    action: str,
    owner: str,
    due: date,
    user: str,
    at: datetime,
) -> int:
    """Append one; returns its number."""
    fresh = insert(remediation).values(
        incident_id=incident_id,
        action=action,
        owner=owner,
        due=due,
        written_by=user,
        written_at=at,
    )
    return connection.execute(fresh.returning(_r.id)).scalar_one()


def finish(
    connection: Connection, remediation_id: int, *, note: str, user: str, at: datetime
) -> None:
    """Say that it is done."""
    connection.execute(
        update(remediation)
        .where(_r.id == remediation_id)
        .values(done_at=at, done_by=user, done_note=note)
    )


def escalate(connection: Connection, *, at: datetime, write_within: timedelta) -> int:
    """Say once of restored incidents that the remediation is overdue, or that nobody wrote one.

    Snoozed ones wait until the snooze ends.
    """
    today = at.astimezone(UTC).date()
    found = connection.execute(
        select(_i.id, _i.restored_at, _i.escalation, _r.action, _r.owner, _r.due)
        .outerjoin(remediation, (_r.incident_id == _i.id) & _r.done_at.is_(None))
        .where(
            _i.state == "restored",
            or_(_i.snoozed_until.is_(None), _i.snoozed_until <= at),
            or_(
                _i.remediation_due < today,
                _i.remediation_due.is_(None) & (_i.restored_at <= at - write_within),
            ),
            or_(_r.due.is_(None), _r.due == _i.remediation_due),
        )
        .order_by(_i.id, _r.id)
    ).all()
    whys: dict[int, str] = {}
    for row in found:
        why = (
            f"Service was restored at {row.restored_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC, and "
            "nobody wrote what is done about the cause."
            if row.due is None
            else f"The remediation of {row.owner} was due on {row.due}: {row.action}"
        )
        whys.setdefault(row.id, why)
    told = {row.id: row.escalation for row in found}
    return sum(_say(connection, one, why) for one, why in whys.items() if told[one] != why)


def _say(connection: Connection, incident_id: int, why: str) -> int:
    said = connection.execute(
        update(incident).where(_i.id == incident_id, _i.state == "restored").values(escalation=why)
    )
    return said.rowcount
