"""Windows that were judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, union_all
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql import versions
from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import (
    log_segment,
    model,
    monitoring_result,
    report,
    traffic_plan,
)
from tenure.layout import OUTCOMES, log_prefix
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.monitoring import LABELLED, LATE_OUTCOMES, UNLABELLED
from tenure.verdicts import Verdict
from tenure.vocabulary import State


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


@dataclass(frozen=True)
class ServedVersion:
    """A version that served and serves no more, and when it began to (wall clock)."""

    row: VersionRow
    since: datetime


@dataclass(frozen=True)
class JudgedKind:
    """What the windows of one kind judged of one version."""

    model: str
    version_id: int
    kind: str
    judged: JudgedBefore


@dataclass(frozen=True)
class LabelsThen:
    """The outcomes of judged decisions as they were when they were looked at last.

    Args:
        id: Of the last result.
        cells: True and false positives, false and true negatives.
        since: Begin of the first window.
        at: When the last result was stored.
    """

    id: int
    cells: tuple[int, ...]
    since: datetime
    at: datetime


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


def served_before(connection: Connection, model_name: str) -> list[ServedVersion]:
    """Versions that a traffic plan named and that serve no more, newest first."""
    mine = traffic_plan.c
    named = union_all(
        *(
            select(column.label("id"), mine.created_at).where(mine.model == model_name)
            for column in (mine.champion_id, mine.canary_id)
        )
    ).subquery()
    query = select(named.c.id, func.min(named.c.created_at)).where(named.c.id.is_not(None))
    since = {row[0]: row[1] for row in connection.execute(query.group_by(named.c.id))}
    rows = [versions.row_by_id(connection, number) for number in sorted(since, reverse=True)]
    live = {State.CHAMPION, State.CANARY}
    return [ServedVersion(row, since[row.id]) for row in rows if row.state not in live]


def judged_before(
    connection: Connection, version_id: int, *, before: int | None = None
) -> dict[str, JudgedBefore]:
    """What was judged (passed or failed) of each kind; `before` a result, by its id."""
    mine = monitoring_result.c
    return {
        one.kind: one.judged
        for one in _judged(
            connection,
            mine.model_version_id == version_id,
            True if before is None else mine.id < before,
        )
    }


def every_judged(connection: Connection) -> list[JudgedKind]:
    """What was judged (passed or failed) of each version and kind."""
    return _judged(connection)


def _judged(connection: Connection, *where: Any) -> list[JudgedKind]:
    mine = monitoring_result.c
    keys = (mine.model, mine.model_version_id, mine.kind)
    query = select(
        *keys,
        func.max(mine.window_end).label("until"),
        func.sum(mine.decisions).label("decisions"),
        func.array_agg(aggregate_order_by(mine.selection, mine.id)).label("selections"),
    ).where(
        mine.verdict != str(Verdict.INCONCLUSIVE), mine.kind.in_([*UNLABELLED, *LABELLED]), *where
    )
    return [
        JudgedKind(
            row.model,
            row.model_version_id,
            row.kind,
            JudgedBefore(row.until, int(row.decisions), tuple(row.selections)),
        )
        for row in connection.execute(query.group_by(*keys).order_by(*keys))
    ]


def labels_then(connection: Connection, version_id: int) -> LabelsThen | None:
    """The outcomes of what was judged for performance; None when nothing was."""
    mine = monitoring_result.c
    judged = and_(mine.kind == "performance", mine.verdict != str(Verdict.INCONCLUSIVE))
    rows = connection.execute(
        select(mine.id, mine.kind, mine.facts["cells"], mine.window_start, mine.created_at)
        .where(mine.model_version_id == version_id, or_(judged, mine.kind == LATE_OUTCOMES))
        .order_by(mine.id)
    ).all()
    cells = (0, 0, 0, 0)
    for _, kind, counted, _, _ in rows:
        held = (0, 0, 0, 0) if kind == LATE_OUTCOMES else cells  # these counted all anew
        tp, fp, fn, tn = (int(a) + int(b) for a, b in zip(held, counted, strict=True))
        cells = (tp, fp, fn, tn)
    if not rows:
        return None
    return LabelsThen(rows[-1].id, cells, min(r.window_start for r in rows), rows[-1].created_at)


def outcomes_came_since(connection: Connection, model_name: str, moment: datetime) -> bool:
    """Whether an outcome file of the model was recorded since then."""
    query = select(log_segment.c.id).where(
        log_segment.c.key.startswith(log_prefix(OUTCOMES, model_name), autoescape=True),
        log_segment.c.replaces.is_(None),
        log_segment.c.recorded_at > moment,
    )
    return connection.execute(query.limit(1)).first() is not None


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
