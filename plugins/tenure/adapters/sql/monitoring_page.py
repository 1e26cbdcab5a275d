"""What the monitoring page of a model reads: judged windows with their evidence. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Text, case, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONPATH, distinct_on

from tenure.adapters.sql import tables as t
from tenure.adapters.sql.incidents import Incident
from tenure.adapters.sql.model_page import RetrainLine
from tenure.adapters.sql.overview import VerdictLine, verdict_lines
from tenure.adapters.sql.rows import as_row, columns_of
from tenure.verdicts import Check, Verdict

_HEAVY = (
    "distributions", "confusion", "groups", "comparisons", "outcomes", "score_bins", "segments",
)  # fmt: skip
"""Facts that only the page of one window shows."""
_BROKEN = '$[*] ? (@.verdict != "passed")'


@dataclass(frozen=True)
class WindowEvidence:
    """A result with what its report says; of data quality the list has the broken checks only."""

    id: int
    version: int
    kind: str
    verdict: Verdict
    window_start: datetime
    window_end: datetime
    decisions: int
    report_digest: str
    created_at: datetime
    summary: str
    checks: tuple[Check, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class PerformanceLine:
    """What performance said of one window of a model; the checks are those of its report."""

    id: int
    model: str
    version: int
    window_start: datetime
    window_end: datetime
    summary: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class KindLine:
    """What one kind of monitoring said last about the newest version that it judged."""

    model: str
    version: int
    kind: str
    verdict: Verdict
    summary: str
    created_at: datetime


@dataclass(frozen=True)
class ServedSeat:
    """A version that traffic plans named as champion, and since when by the clock."""

    version: int
    since: datetime


def windows(connection: Connection, model: str, most: int) -> list[WindowEvidence]:
    """The last windows of each kind, oldest first."""
    mine = t.monitoring_result.c
    newest_first = (mine.window_end.desc(), mine.id.desc())
    place = func.row_number().over(partition_by=mine.kind, order_by=newest_first)
    ranked = select(mine.id, place.label("place")).where(mine.model == model).subquery()
    last = select(ranked.c.id).where(ranked.c.place <= most)
    query = _evidence(light=True).where(mine.id.in_(last)).order_by(mine.window_end, mine.id)
    return [as_row(WindowEvidence, row) for row in connection.execute(query).mappings()]


def results_by_kind(connection: Connection, model: str) -> dict[str, int]:
    """How many results there are of each kind."""
    mine = t.monitoring_result.c
    query = select(mine.kind, func.count()).where(mine.model == model).group_by(mine.kind)
    return {row[0]: row[1] for row in connection.execute(query)}


def window(connection: Connection, model: str, number: int) -> list[WindowEvidence]:
    """A result and those of other kinds about the same decisions, with all that they say."""
    mine = t.monitoring_result.c
    one = select(t.monitoring_result).where(mine.model == model, mine.id == number).subquery()
    query = _evidence(light=False).where(
        mine.model_version_id == one.c.model_version_id,
        mine.window_start == one.c.window_start,
        mine.window_end == one.c.window_end,
    )
    rows = connection.execute(query.order_by(mine.id)).mappings()
    return [as_row(WindowEvidence, row) for row in rows]


def _evidence(*, light: bool) -> Select[Any]:
    """Results beside their reports; of a report that two runs wrote the first row."""
    mine, version, report = t.monitoring_result, t.model_version, t.report
    first = (
        select(func.min(report.c.id))
        .where(report.c.digest == mine.c.report_digest)
        .correlate(mine)
        .scalar_subquery()
    )
    checks: Any = report.c.body["checks"]
    facts: Any = report.c.body["facts"]
    if light:
        broken = func.jsonb_path_query_array(checks, cast(_BROKEN, JSONPATH))
        checks = case((mine.c.kind == "quality", broken), else_=checks)
        facts = facts.op("-")(cast(literal(list(_HEAVY), ARRAY(Text)), ARRAY(Text)))
    own = [mine.c[name] for name in WindowEvidence.__dataclass_fields__ if name in mine.c]
    return (
        select(
            *(column for column in own if column.name != "facts"),
            version.c.version,
            report.c.summary,
            checks.label("checks"),
            facts.label("facts"),
        )
        .join(version, version.c.id == mine.c.model_version_id)
        .join(report, report.c.id == first)
    )


def performances(connection: Connection, most: int) -> list[PerformanceLine]:
    """The last windows of performance of every model, oldest first."""
    mine, version, report = t.monitoring_result, t.model_version, t.report
    newest_first = (mine.c.window_end.desc(), mine.c.id.desc())
    place = func.row_number().over(partition_by=mine.c.model, order_by=newest_first)
    ranked = select(mine.c.id, place.label("place")).where(mine.c.kind == "performance").subquery()
    query = (
        select(
            *(mine.c[name] for name in ("id", "model", "window_start", "window_end")),
            version.c.version,
            report.c.summary,
            report.c.body["checks"].label("checks"),
        )
        .join(ranked, ranked.c.id == mine.c.id)
        .join(version, version.c.id == mine.c.model_version_id)
        .join(report, report.c.digest == mine.c.report_digest)
        .where(ranked.c.place <= most)
        .ext(distinct_on(mine.c.window_end, mine.c.id))
        .order_by(mine.c.window_end, mine.c.id)
    )
    return [as_row(PerformanceLine, row) for row in connection.execute(query).mappings()]


def newest_by_kind(connection: Connection) -> list[KindLine]:
    """Of every model the last result of each kind, about its newest version that has one."""
    mine, version = t.monitoring_result, t.model_version
    query = (
        select(
            *(mine.c[name] for name in ("model", "kind", "verdict", "created_at")),
            version.c.version,
            func.coalesce(mine.c.facts["summary"].astext, "").label("summary"),
        )
        .join(version, version.c.id == mine.c.model_version_id)
        .ext(distinct_on(mine.c.model, mine.c.kind))
        .order_by(mine.c.model, mine.c.kind, version.c.version.desc(), mine.c.id.desc())
    )
    return [as_row(KindLine, row) for row in connection.execute(query).mappings()]


def seats(connection: Connection, model: str) -> list[ServedSeat]:
    """Champions in the order in which they first took their seat."""
    plan, version = t.traffic_plan, t.model_version
    since = func.min(plan.c.created_at)
    rows = connection.execute(
        select(version.c.version, since.label("since"))
        .join(version, version.c.id == plan.c.champion_id)
        .where(plan.c.model == model)
        .group_by(version.c.version)
        .order_by(since)
    )
    return [as_row(ServedSeat, row) for row in rows.mappings()]


def incidents_then(connection: Connection, model: str, at: datetime) -> list[Incident]:
    """Incidents of monitoring that were open then: opened, repeated or closed by that result."""
    mine = t.incident.c
    over = func.coalesce(mine.restored_at, mine.closed_at)
    query = select(*columns_of(Incident, t.incident)).where(
        mine.facts["model"].astext == model,
        mine.kind.endswith("_failed"),
        mine.created_at <= at,
        or_(over.is_(None), over >= at),
    )
    rows = connection.execute(query.order_by(mine.id.desc())).mappings()
    return [as_row(Incident, row) for row in rows]


def decision_after(connection: Connection, model: str, at: datetime) -> VerdictLine | None:
    """What the retraining controller decided first after that moment."""
    mine = t.report.c
    query = verdict_lines().where(
        mine.stage == "retraining", mine.model == model, mine.created_at >= at
    )
    found = connection.execute(query.order_by(mine.id).limit(1)).mappings().first()
    return as_row(VerdictLine, found) if found else None


def decision_now(connection: Connection, model: str) -> VerdictLine | None:
    """What the retraining controller decided last."""
    mine = t.report.c
    query = verdict_lines().where(mine.stage == "retraining", mine.model == model)
    found = connection.execute(query.order_by(mine.id.desc()).limit(1)).mappings().first()
    return as_row(VerdictLine, found) if found else None


def request_under_way(connection: Connection, model: str) -> RetrainLine | None:
    """The retrain request that is open or running; there is one at most."""
    mine = t.retrain_request
    query = select(*columns_of(RetrainLine, mine)).where(
        mine.c.model == model, mine.c.state.in_(("open", "running"))
    )
    found = connection.execute(query).mappings().first()
    return as_row(RetrainLine, found) if found else None
