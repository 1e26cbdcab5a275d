"""What the page of one model shows, newest first. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, func, or_, select

from tenure.adapters.sql import overview, presence
from tenure.adapters.sql import tables as t
from tenure.adapters.sql.overview import ModelOverview, VerdictLine, columns_of
from tenure.adapters.sql.rows import as_row
from tenure.lifecycle.audit.ledger import Event
from tenure.lifecycle.retirement.decommission import DecommissionStep
from tenure.lifecycle.serving.presence import Fleet
from tenure.verdicts import Verdict

EVENTS = 200
"""Ledger events, analyses and results that the page shows, newest first."""
_ABOUT_VERSION = ("mv", "canary", "approval", "decommission")
_ABOUT_MODEL = ("model", "promotion", "training")
"""Kinds of ledger subjects, before the colon."""
_DECISIONS = 30

T = TypeVar("T")


@dataclass(frozen=True)
class ApprovalLine:
    """What a person answered when a version asked for traffic."""

    version: int
    approver: str
    answer: str
    action: str
    note: str
    artifact_digest: str
    evidence_digest: str
    expires_at: datetime


@dataclass(frozen=True)
class AnalysisLine:
    """One look at a canary and what was done then; the numbers stand in `facts`."""

    version: int
    number: int
    share_bp: int
    verdict: Verdict
    action: str
    facts: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class WindowLine:
    """What one kind of monitoring found in one window."""

    version: int
    kind: str
    verdict: Verdict
    window_start: datetime
    window_end: datetime
    decisions: int
    report_digest: str
    facts: Mapping[str, object]


@dataclass(frozen=True)
class RetrainLine:
    """A retrain request."""

    state: str
    reason_code: str
    reason: str
    requested_by: str
    created_at: datetime


@dataclass(frozen=True)
class RetirementLine:
    """How far the retirement of a version is; `items` and `verified` count its archive."""

    version: int
    step: DecommissionStep
    reason: str
    requested_by: str
    second_person: str | None
    legal_hold: bool
    notified_at: datetime | None
    revoked_at: datetime | None
    archive_digest: str | None
    deleted_at: datetime | None
    retain_until: datetime | None
    record_digest: str | None
    items: int
    verified: int


@dataclass(frozen=True)
class ModelPage:
    """Everything about one model; `fleet` is None before its first traffic plan."""

    overview: ModelOverview
    events: Sequence[Event]
    approvals: Sequence[ApprovalLine]
    analyses: Sequence[AnalysisLine]
    monitoring: Sequence[WindowLine]
    decommissions: Sequence[RetirementLine]
    retrains: Sequence[RetrainLine]
    decisions: Sequence[VerdictLine]
    fleet: Fleet | None


def model_page(connection: Connection, name: str) -> ModelPage | None:
    """The page of a model; None when there is no such model."""
    found = overview.model(connection, name)
    if found is None:
        return None
    ids = [version.id for version in found.versions]
    return ModelPage(
        overview=found,
        events=_events(connection, name, ids),
        approvals=_of_versions(connection, ApprovalLine, t.approval, ids),
        analyses=_of_versions(connection, AnalysisLine, t.canary_analysis, ids),
        monitoring=_of_versions(connection, WindowLine, t.monitoring_result, ids),
        decommissions=_of_versions(connection, RetirementLine, t.decommission, ids, *_archived()),
        retrains=_retrains(connection, name),
        decisions=_decisions(connection, name),
        fleet=next(iter(presence.fleets(connection, name)), None),
    )


def _of_versions(
    connection: Connection, kind: type[T], table: Any, ids: Sequence[int], *more: Any
) -> list[T]:
    rows = connection.execute(
        select(*columns_of(kind, table), t.model_version.c.version, *more)
        .join_from(table, t.model_version, t.model_version.c.id == table.c.model_version_id)
        .where(table.c.model_version_id.in_(ids))
        .order_by(table.c.id.desc())
        .limit(EVENTS)
    )
    return [as_row(kind, row) for row in rows.mappings()]


def _archived() -> tuple[Any, Any]:
    """Items of an archive: all, and those that were read back."""
    item = t.archive_item
    of_this = item.c.decommission_id == t.decommission.c.id
    return (
        select(func.count()).where(of_this).scalar_subquery().label("items"),
        select(func.count(item.c.verified_at)).where(of_this).scalar_subquery().label("verified"),
    )


def _retrains(connection: Connection, name: str) -> list[RetrainLine]:
    table = t.retrain_request
    query = select(*columns_of(RetrainLine, table)).where(table.c.model == name)
    rows = connection.execute(query.order_by(table.c.id.desc()).limit(EVENTS))
    return [as_row(RetrainLine, row) for row in rows.mappings()]


def _events(connection: Connection, name: str, ids: Sequence[int]) -> list[Event]:
    event = t.ledger_event
    subjects = [f"{kind}:{one}" for one in ids for kind in _ABOUT_VERSION]
    subjects += [f"{kind}:{name}" for kind in _ABOUT_MODEL]
    rows = connection.execute(
        select(*columns_of(Event, event))
        .where(or_(event.c.subject.in_(subjects), event.c.body["model"].astext == name))
        .order_by(event.c.seq.desc())
        .limit(EVENTS)
    )
    return [as_row(Event, row) for row in rows.mappings()]


def _decisions(connection: Connection, name: str) -> list[VerdictLine]:
    """What the retraining controller decided."""
    report = t.report
    rows = connection.execute(
        overview.verdict_lines()
        .where(report.c.stage == "retraining")
        .where(or_(report.c.model == name, report.c.subject == name))
        .order_by(report.c.id.desc())
        .limit(_DECISIONS)
    )
    return [as_row(VerdictLine, row) for row in rows.mappings()]
