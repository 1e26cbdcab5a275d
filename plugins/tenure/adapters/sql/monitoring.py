"""Windows that were judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import model, monitoring_result, report, traffic_plan
from tenure.verdicts import Verdict


@dataclass(frozen=True)
class JudgedWindow:
    """What one kind of monitoring found in one window of a version's decisions."""

    id: int
    model: str
    model_version_id: int
    window_start: datetime
    window_end: datetime
    kind: str
    verdict: Verdict
    decisions: int
    selection: str
    facts: Mapping[str, object]
    report_digest: str
    created_at: datetime


@dataclass(frozen=True)
class JudgedBefore:
    """What the windows of one kind that passed or failed hold together.

    Args:
        until: End of the last of them.
        decisions: How many decisions they judged.
        selections: What each of them judged, oldest first.
    """

    until: datetime
    decisions: int
    selections: tuple[str, ...]


def watermark(connection: Connection, model_name: str) -> datetime | None:
    """The moment up to which outcomes are complete; None before the first."""
    query = select(model.c.watermark).where(model.c.name == model_name)
    found: datetime | None = connection.execute(query).scalar_one_or_none()
    return found


def serving_since(connection: Connection, version_id: int) -> datetime | None:
    """When the first traffic plan named the version (wall clock)."""
    first = select(func.min(traffic_plan.c.created_at)).where(
        or_(traffic_plan.c.champion_id == version_id, traffic_plan.c.canary_id == version_id)
    )
    found: datetime | None = connection.execute(first).scalar_one()
    return found


def judged_before(
    connection: Connection, version_id: int, *, before: int | None = None
) -> dict[str, JudgedBefore]:
    """What was judged (passed or failed) of each kind; `before` a result, by its id."""
    mine = monitoring_result.c
    query = select(
        mine.kind,
        func.max(mine.window_end).label("until"),
        func.sum(mine.decisions).label("decisions"),
        func.array_agg(aggregate_order_by(mine.selection, mine.id)).label("selections"),
    ).where(mine.model_version_id == version_id, mine.verdict != str(Verdict.INCONCLUSIVE))
    if before is not None:
        query = query.where(mine.id < before)
    return {
        row.kind: JudgedBefore(row.until, int(row.decisions), tuple(row.selections))
        for row in connection.execute(query.group_by(mine.kind))
    }


def is_stored(connection: Connection, version_id: int, kind: str, selection: str) -> bool:
    """Whether the very decisions have a result already."""
    mine = monitoring_result.c
    query = select(mine.id).where(
        mine.model_version_id == version_id, mine.kind == kind, mine.selection == selection
    )
    return connection.execute(query).first() is not None


def add(
    connection: Connection,
    *,
    model_name: str,
    version_id: int,
    window: tuple[datetime, datetime],
    kind: str,
    verdict: str,
    decisions: int,
    selection: str,
    facts: Mapping[str, object],
    report_digest: str,
    at: datetime,
) -> bool:
    """Append the result of a window; False when it stands already."""
    row = connection.execute(
        upsert(monitoring_result)
        .values(
            model=model_name,
            model_version_id=version_id,
            window_start=window[0],
            window_end=window[1],
            kind=kind,
            verdict=verdict,
            decisions=decisions,
            selection=selection,
            facts=dict(facts),
            report_digest=report_digest,
            created_at=at,
        )
        .on_conflict_do_nothing()
        .returning(monitoring_result.c.id)
    ).first()
    return row is not None


def results(connection: Connection, version_id: int) -> list[JudgedWindow]:
    """Every result of the version, the newest window first."""
    rows = connection.execute(
        select(monitoring_result)
        .where(monitoring_result.c.model_version_id == version_id)
        .order_by(monitoring_result.c.window_end.desc(), monitoring_result.c.id.desc())
    )
    return [as_row(JudgedWindow, row) for row in rows.mappings()]


def of_reports(connection: Connection, dag_id: str, run_id: str) -> list[JudgedWindow]:
    """Results whose reports the Airflow run wrote, oldest first."""
    rows = connection.execute(
        select(monitoring_result)
        .join(report, report.c.digest == monitoring_result.c.report_digest)
        .where(report.c.dag_id == dag_id, report.c.run_id == run_id)
        .order_by(monitoring_result.c.id)
    )
    return [as_row(JudgedWindow, row) for row in rows.mappings()]
