"""Traffic plans: append-only, compare-and-swap on generation and fence."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select

from tenure.adapters.sql.ledger import SqlLedger
from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import traffic_plan
from tenure.errors import StateConflict
from tenure.lifecycle.audit.ledger import row_digest
from tenure.lifecycle.serving import TrafficPlan
from tenure.vocabulary import op_key


@dataclass(frozen=True)
class PlanRow(TrafficPlan):
    """A traffic plan with who published it, and why."""

    reason: str
    actor: str
    created_at: datetime


_COLUMNS = columns_of(PlanRow, traffic_plan)


def newest(connection: Connection, model: str) -> PlanRow | None:
    """The plan in force, or None before the first champion."""
    row = connection.execute(
        select(*_COLUMNS)
        .where(traffic_plan.c.model == model)
        .order_by(traffic_plan.c.generation.desc())
        .limit(1)
    ).first()
    return as_row(PlanRow, row) if row else None


def champion_until(connection: Connection, version_id: int) -> datetime | None:
    """The end of a version's authorization by the newest plan that it was champion of."""
    query = select(traffic_plan.c.champion_until).where(traffic_plan.c.champion_id == version_id)
    found: datetime | None = connection.execute(
        query.order_by(traffic_plan.c.id.desc()).limit(1)
    ).scalar_one_or_none()
    return found


def ended_since(
    connection: Connection, model: str, generation: int, *, now: datetime
) -> tuple[tuple[int, datetime], ...]:
    """Generations from this one on in which the authorization of an arm has ended, and when."""
    first = func.least(traffic_plan.c.champion_until, traffic_plan.c.canary_until)
    query = select(traffic_plan.c.generation, first).where(
        traffic_plan.c.model == model, traffic_plan.c.generation >= generation, first <= now
    )
    return tuple((row[0], row[1]) for row in connection.execute(query))


def every(connection: Connection) -> list[PlanRow]:
    """Every plan of every model, oldest first."""
    rows = connection.execute(select(*_COLUMNS).order_by(traffic_plan.c.id))
    return [as_row(PlanRow, row) for row in rows]


def ledger_subject(plan: TrafficPlan) -> str:
    """Whose event says that the plan was published."""
    return f"plan:{plan.model}"


def publish(
    connection: Connection,
    ledger: SqlLedger,
    *,
    model: str,
    seen: PlanRow | None,
    fence: int,
    champion_id: int,
    canary_id: int | None,
    share_bp: int,
    salt: str,
    lease_seconds: int | None,
    champion_until: datetime,
    canary_until: datetime | None,
    now: datetime,
    reason: str,
    actor: str,
    lease_until: datetime | None = None,
) -> PlanRow:
    """Append the next generation after the one that the caller saw, and its ledger event.

    The lease begins now, unless the caller says when the one that runs ends.

    Raises:
        StateConflict: A newer plan or a higher fence stands; the caller is stale.
    """
    ledger.take_turn(connection)
    current = newest(connection, model)
    stale = (current.generation if current else 0) != (seen.generation if seen else 0)
    if stale or (current is not None and fence < current.fence):
        raise StateConflict(
            f"The traffic plan of {model} moved on to generation "
            f"{current.generation if current else 0}, fence {current.fence if current else 0}; "
            f"this writer holds fence {fence}.",
            still_safe="The newer plan is in force; nothing was written.",
            next_step="Nothing, if another run took over. Otherwise clear this task.",
        )
    plan = PlanRow(
        model=model,
        generation=(current.generation if current else 0) + 1,
        fence=fence,
        champion_id=champion_id,
        canary_id=canary_id,
        share_bp=share_bp,
        salt=salt,
        lease_seconds=lease_seconds,
        lease_until=lease_until
        or (now + timedelta(seconds=lease_seconds) if lease_seconds else None),
        champion_until=champion_until,
        canary_until=canary_until,
        reason=reason,
        actor=actor,
        created_at=now,
    )
    connection.execute(insert(traffic_plan).values(asdict(plan)))
    shown = ("generation", "champion_id", "canary_id", "share_bp", "reason")
    ledger.note(
        connection,
        subject=ledger_subject(plan),
        actor=actor,
        body={**{name: getattr(plan, name) for name in shown}, "row": row_digest(asdict(plan))},
        op_key=op_key("plan", ledger_subject(plan), {"generation": plan.generation}),
    )
    return plan
