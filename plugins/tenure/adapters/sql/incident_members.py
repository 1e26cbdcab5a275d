"""What an incident is made of: task instances with their failure cards, or items of a list."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import incident, incident_member
from tenure.vocabulary import RunRef, digest_json, storable

_LONGEST = 1_000
"""Characters of a member's name."""
_t = incident_member.c


@dataclass(frozen=True)
class Member:
    """What joins an incident.

    Args:
        item: What the task or the part was at: a file, a model; empty for the whole task.
        run: The task instance; None for an item of a list.
        report_digest: Its failure card.
    """

    item: str = ""
    run: RunRef | None = None
    report_digest: str | None = None

    @property
    def name(self) -> str:
        """By which the same one is known again."""
        run = self.run
        full = storable(f"{run.dag_id} {run.run_id} {run.task_name}" if run else self.item)
        if len(full) <= _LONGEST:
            return full
        return f"{full[: _LONGEST - 13]} {digest_json(full)[:12]}"


@dataclass(frozen=True)
class MemberLine:
    """A member as it is stored; `repaired_at` once it was green again."""

    name: str
    item: str
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int
    report_digest: str | None
    seen: int
    first_at: datetime
    last_at: datetime
    repaired_at: datetime | None


def join(connection: Connection, incident_id: int, member: Member, at: datetime) -> None:
    """Let it join the incident; a member that joins again is counted, and not repaired any more."""
    run = member.run
    fresh = upsert(incident_member).values(
        incident_id=incident_id,
        name=member.name,
        item=storable(member.item),
        dag_id=run and run.dag_id,
        run_id=run and run.run_id,
        task_id=run and run.task_id,
        map_index=run.map_index if run else -1,
        report_digest=member.report_digest,
        first_at=at,
        last_at=at,
    )
    connection.execute(
        fresh.on_conflict_do_update(
            index_elements=["incident_id", "name"],
            set_={
                "seen": _t.seen + 1,
                "last_at": at,
                "repaired_at": None,
                "report_digest": fresh.excluded.report_digest,
            },
        )
    )


def of_task(run: RunRef, item: str = "") -> ColumnElement[bool]:
    """Members that a green run of the task repairs.

    A task without copies repairs all earlier runs of itself. A copy repairs those that were at the
    same item, in whichever run; without an item only itself.
    """
    same = (_t.dag_id == run.dag_id) & (_t.task_id == run.task_id)
    if item:
        return same & (_t.item == storable(item))
    if run.map_index < 0:
        return same & (_t.map_index == run.map_index)
    return same & (_t.run_id == run.run_id) & (_t.map_index == run.map_index)


def of_item(dedupe_key: str, item: str) -> ColumnElement[bool]:
    """The member of the open incident of the key that is this item."""
    whole = incident.alias()
    ids = select(whole.c.id).where(whole.c.dedupe_key == dedupe_key, whole.c.state == "open")
    return _t.incident_id.in_(ids) & (_t.name == Member(item=item).name)


def repaired_now(connection: Connection, which: ColumnElement[bool], at: datetime) -> list[int]:
    """Note that members of open incidents are repaired; incidents that have no other left.

    The incidents are locked first, so that whoever joins meanwhile joins before or after this.
    """
    holds = (_t.incident_id == incident.c.id) & _t.repaired_at.is_(None)
    of_these = select(_t.id).where(holds & which).exists()
    found = connection.execute(
        select(incident.c.id)
        .where(incident.c.state == "open", of_these)
        .order_by(incident.c.id)
        .with_for_update()
    ).scalars()
    ids = list(found)
    if not ids:
        return []
    connection.execute(
        update(incident_member)
        .where(_t.incident_id.in_(ids), _t.repaired_at.is_(None), which)
        .values(repaired_at=at)
    )
    left = select(_t.id).where(holds).exists()
    query = select(incident.c.id).where(incident.c.id.in_(ids), ~left)
    return list(connection.execute(query).scalars())


def of_incident(connection: Connection, incident_id: int) -> list[MemberLine]:
    """Its members: those that are not repaired first, then in the order in which they joined."""
    query = (
        select(*columns_of(MemberLine, incident_member))
        .where(_t.incident_id == incident_id)
        .order_by(_t.repaired_at.is_not(None), _t.id)
    )
    return [as_row(MemberLine, row) for row in connection.execute(query).mappings()]


@dataclass(frozen=True)
class TaskIncident:
    """The newest incident that a task instance is a member of; `repaired_at` once it was green."""

    id: int
    state: str
    repaired_at: datetime | None


def of_run(connection: Connection, run: RunRef) -> TaskIncident | None:
    """The newest incident of the task instance, or None."""
    query = (
        select(incident.c.id, incident.c.state, _t.repaired_at)
        .join(incident, incident.c.id == _t.incident_id)
        .where(_t.name == Member(run=run).name, _t.dag_id == run.dag_id)
        .order_by(incident.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else as_row(TaskIncident, row)


def red_tasks(connection: Connection, incident_id: int) -> list[tuple[RunRef, str]]:
    """Task instances that are not green again, each with what it was at; the newest first."""
    query = (
        select(_t.dag_id, _t.run_id, _t.task_id, _t.map_index, _t.item)
        .where(_t.incident_id == incident_id, _t.repaired_at.is_(None), _t.dag_id.is_not(None))
        .order_by(_t.last_at.desc(), _t.id.desc())
    )
    rows = connection.execute(query)
    return [(RunRef(r.dag_id, r.run_id, r.task_id, r.map_index), r.item) for r in rows]


def number(connection: Connection, incident_id: int) -> int:
    """How many it has, repaired ones included."""
    query = select(func.count()).where(_t.incident_id == incident_id)
    return connection.execute(query).scalar_one()
