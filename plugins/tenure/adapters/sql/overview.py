"""What the first page shows: every model and every dataset at a glance. Reads only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select, text, true
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql import tables as t
from tenure.adapters.sql.incidents import Incident, unclosed
from tenure.adapters.sql.rows import as_row
from tenure.verdicts import Verdict
from tenure.vocabulary import State


@dataclass(frozen=True)
class VersionLine:
    """A version: what it may do, how well it did on the holdout, who trained it."""

    id: int
    model: str
    version: int
    state: State
    artifact_digest: str | None
    evaluation_report: str | None
    bias_report: str | None
    metrics: Mapping[str, object]
    trained_by: str
    created_at: datetime


@dataclass(frozen=True)
class PlanLine:
    """A traffic plan: who serves which share, until when without a renewal of lease or approval."""

    model: str
    generation: int
    fence: int
    champion_id: int
    canary_id: int | None
    share_bp: int
    lease_until: datetime | None
    champion_until: datetime
    canary_until: datetime | None
    reason: str


@dataclass(frozen=True)
class VerdictLine:
    """A stored report in one sentence; `kind` is what monitoring looked at, else empty."""

    model: str | None
    stage: str
    kind: str
    subject: str
    verdict: Verdict
    summary: str
    digest: str
    created_at: datetime


@dataclass(frozen=True)
class ModelLine:
    """A registered model."""

    name: str
    owner: str
    risk_tier: str
    purpose: str
    watermark: datetime | None


@dataclass(frozen=True)
class ModelOverview:
    """A model with its versions (newest first), the plan in force, verdicts, open incidents."""

    about: ModelLine
    versions: Sequence[VersionLine]
    plan: PlanLine | None
    verdicts: Sequence[VerdictLine]
    incidents: Sequence[Incident]

    @property
    def name(self) -> str:
        """Of the model."""
        return self.about.name

    @property
    def asks_for_approval(self) -> bool:
        """Whether a version waits for approvers, and no canary is in the way."""
        states = {version.state for version in self.versions}
        return State.VALIDATED in states and State.CANARY not in states


@dataclass(frozen=True)
class OverviewBatch:
    """How a batch was judged last; judgements are numbered as they come."""

    id: int
    dataset: str
    batch: str
    verdict: Verdict
    rows_in: int
    rows_ok: int
    rows_quarantined: int
    report_digest: str
    created_at: datetime

    @property
    def published(self) -> int:
        """Rows that readers see: none of a batch that did not pass."""
        return self.rows_ok if self.verdict is Verdict.PASSED else 0


@dataclass(frozen=True)
class DatasetOverview:
    """A dataset with its last batches, in the order of their names."""

    name: str
    steward: str
    batches: Sequence[OverviewBatch]


_KIND = func.coalesce(t.report.c.body["facts"]["kind"].astext, "")


def models(connection: Connection) -> list[ModelOverview]:
    """Every model, by name."""
    rows = connection.execute(select(*columns_of(ModelLine, t.model)).order_by(t.model.c.name))
    return _overviews(connection, [as_row(ModelLine, row) for row in rows.mappings()])


def model(connection: Connection, name: str) -> ModelOverview | None:
    """One model, or None when there is none of the name."""
    query = select(*columns_of(ModelLine, t.model)).where(t.model.c.name == name)
    row = connection.execute(query).mappings().first()
    return _overviews(connection, [as_row(ModelLine, row)])[0] if row else None


def datasets(connection: Connection, most: int) -> list[DatasetOverview]:
    """Every dataset, by name, with so many batches of the greatest names.

    The index of (dataset, batch, id) is read from its end, however many batches there were.
    """
    known, judged = t.dataset, t.validation
    last = (
        select(*columns_of(OverviewBatch, judged))
        .where(judged.c.dataset == known.c.name)
        .ext(distinct_on(judged.c.batch))
        .order_by(judged.c.batch.desc(), judged.c.id.desc())
        .limit(most)
        .lateral()
    )
    rows = connection.execute(
        select(last).select_from(known).join(last, true()).order_by(last.c.batch)
    )
    batches = defaultdict[str, list[OverviewBatch]](list)
    for row in rows.mappings():
        batches[row["dataset"]].append(as_row(OverviewBatch, row))
    names = connection.execute(select(known.c.name, known.c.steward).order_by(known.c.name))
    return [DatasetOverview(row.name, row.steward, batches[row.name]) for row in names]


def verdict_lines() -> Select[Any]:
    """The query for any `VerdictLine`."""
    return select(*columns_of(VerdictLine, t.report), _KIND.label("kind"))


def columns_of(kind: type[object], table: Any) -> list[Any]:
    """Columns of a table that the dataclass has fields for."""
    return [table.c[name] for name in kind.__dataclass_fields__ if name in table.c]  # type: ignore[attr-defined]


def _overviews(connection: Connection, found: Sequence[ModelLine]) -> list[ModelOverview]:
    names = [one.name for one in found]
    versions = _versions(connection, names)
    plans = {plan.model: plan for plan in _newest_plans(connection, names)}
    verdicts = _newest_verdicts(connection, names)
    incidents = unclosed(connection)
    return [
        ModelOverview(
            about=one,
            versions=versions[one.name],
            plan=plans.get(one.name),
            verdicts=verdicts[one.name],
            incidents=[incident for incident in incidents if incident.concerns(one.name)],
        )
        for one in found
    ]


def _versions(connection: Connection, names: Sequence[str]) -> Mapping[str, list[VersionLine]]:
    table = t.model_version
    metrics = func.coalesce(table.c.facts["metrics"], text("'{}'::jsonb")).label("metrics")
    rows = connection.execute(
        select(*columns_of(VersionLine, table), metrics)
        .where(table.c.model.in_(names))
        .order_by(table.c.version.desc())
    )
    found = defaultdict[str, list[VersionLine]](list)
    for row in rows.mappings():
        found[row["model"]].append(as_row(VersionLine, row))
    return found


def _newest_plans(connection: Connection, names: Sequence[str]) -> list[PlanLine]:
    plan = t.traffic_plan
    query: Select[Any] = (
        select(*columns_of(PlanLine, plan))
        .where(plan.c.model.in_(names))
        .ext(distinct_on(plan.c.model))
        .order_by(plan.c.model, plan.c.generation.desc())
    )
    return [as_row(PlanLine, row) for row in connection.execute(query).mappings()]


def _newest_verdicts(
    connection: Connection, names: Sequence[str]
) -> Mapping[str, list[VerdictLine]]:
    """The last report of each stage and kind of monitoring; failure cards are no verdicts."""
    report = t.report
    rows = connection.execute(
        verdict_lines()
        .where(report.c.model.in_(names), report.c.stage != "failure")
        .ext(distinct_on(report.c.model, report.c.stage, _KIND))
        .order_by(report.c.model, report.c.stage, _KIND, report.c.id.desc())
    )
    found = defaultdict[str, list[VerdictLine]](list)
    for row in rows.mappings():
        found[row["model"]].append(as_row(VerdictLine, row))
    return found
