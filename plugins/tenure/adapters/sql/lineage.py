"""Where a version came from and where a snapshot went: reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, or_, select

from tenure.adapters.sql import tables as t
from tenure.adapters.sql.rows import as_row


@dataclass(frozen=True)
class Origin:
    """A snapshot, and the landed file that it was published from.

    `dag_id` and `run_id` are the run that judged the file; None when a command did. What was
    published before and judged again has the newest judgement.
    """

    snapshot_id: int
    dataset: str
    batch: str
    digest: str
    rows: int
    time_min: datetime | None
    time_max: datetime | None
    published_at: datetime
    source_key: str | None
    source_digest: str | None
    suite: str | None
    suite_digest: str
    rows_quarantined: int | None
    report_digest: str | None
    dag_id: str | None
    run_id: str | None


@dataclass(frozen=True)
class Learner:
    """A version that learned from a snapshot."""

    version_id: int
    model: str
    version: int
    state: str
    trained_by: str
    created_at: datetime


@dataclass(frozen=True)
class TrainingRun:
    """The task whose report judged the version first, and why it was trained."""

    dag_id: str | None
    run_id: str | None
    reason: str | None


@dataclass(frozen=True)
class ScoredBatch:
    """A snapshot that a version scored; `finished_at` is None while shards are missing."""

    model: str
    version: int
    dataset: str
    batch: str
    digest: str
    rows: int
    requested_by: str
    planned_at: datetime
    finished_at: datetime | None
    report_digest: str | None


@dataclass(frozen=True)
class PlanStep:
    """A traffic plan in which a version has a part: champion, or canary with a share."""

    version_id: int
    model: str
    version: int
    is_canary: bool
    share_bp: int
    created_at: datetime
    until: datetime | None
    """When the next plan of the model was published; None for the plan in force."""


@dataclass(frozen=True)
class SnapshotReader:
    """Everybody who opened a snapshot for one purpose, counted."""

    reader: str
    purpose: str
    model: str | None
    times: int
    last_at: datetime


def origins_of_version(connection: Connection, version: int) -> list[Origin]:
    """What the version learned from, by the snapshot's batch."""
    mine = t.training_snapshot
    query = _origins().join(mine, mine.c.snapshot_id == t.snapshot.c.id)
    return _read_origins(connection, query.where(mine.c.model_version_id == version))


def origin(connection: Connection, snapshot: int) -> Origin:
    """Of one snapshot, by its id."""
    (found,) = _read_origins(connection, _origins().where(t.snapshot.c.id == snapshot))
    return found


def _origins() -> Select[tuple[object, ...]]:
    snapshot, judged, suite, report = t.snapshot, t.validation, t.suite_revision, t.report
    newest = (
        select(judged)
        .where(judged.c.snapshot_id == snapshot.c.id)
        .order_by(judged.c.id.desc())
        .limit(1)
        .lateral("newest")
    )
    run = (
        select(report.c.dag_id, report.c.run_id)
        .where(report.c.digest == newest.c.report_digest)
        .order_by(report.c.id)
        .limit(1)
        .lateral("run")
    )
    return (
        select(
            snapshot.c.id.label("snapshot_id"),
            snapshot.c.dataset,
            snapshot.c.batch,
            snapshot.c.digest,
            snapshot.c.rows,
            snapshot.c.time_min,
            snapshot.c.time_max,
            snapshot.c.created_at.label("published_at"),
            newest.c.source_key,
            newest.c.source_digest,
            suite.c.name.label("suite"),
            snapshot.c.suite_digest,
            newest.c.rows_quarantined,
            newest.c.report_digest,
            run.c.dag_id,
            run.c.run_id,
        )
        .select_from(snapshot)
        .outerjoin(newest, newest.c.snapshot_id == snapshot.c.id)
        .outerjoin(run, run.c.dag_id.is_not(None))
        .outerjoin(suite, suite.c.digest == snapshot.c.suite_digest)
    )


def _read_origins(connection: Connection, query: Select[tuple[object, ...]]) -> list[Origin]:
    rows = connection.execute(query.order_by(t.snapshot.c.dataset, t.snapshot.c.batch))
    return [as_row(Origin, row) for row in rows.mappings()]


def training_run(connection: Connection, version: int) -> TrainingRun:
    """Of a version that was judged; all None before, or when a command trained it."""
    judged, report, asked = t.model_version, t.report, t.retrain_request
    row = connection.execute(
        select(report.c.dag_id, report.c.run_id)
        .join(judged, judged.c.evaluation_report == report.c.digest)
        .where(judged.c.id == version)
        .order_by(report.c.id)
        .limit(1)
    ).first()
    reason = connection.execute(
        select(asked.c.reason).where(asked.c.model_version_id == version).limit(1)
    ).scalar_one_or_none()
    return TrainingRun(row.dag_id if row else None, row.run_id if row else None, reason)


def learners(connection: Connection, snapshot: int) -> list[Learner]:
    """Versions that learned from the snapshot, by model and number."""
    table, mine = t.model_version, t.training_snapshot
    rows = connection.execute(
        select(
            table.c.id.label("version_id"),
            table.c.model,
            table.c.version,
            table.c.state,
            table.c.trained_by,
            table.c.created_at,
        )
        .join(mine, mine.c.model_version_id == table.c.id)
        .where(mine.c.snapshot_id == snapshot)
        .order_by(table.c.model, table.c.version)
    )
    return [as_row(Learner, row) for row in rows.mappings()]


def scored(
    connection: Connection, *, version: int | None = None, snapshot: int | None = None
) -> list[ScoredBatch]:
    """Batches that were scored, by this version or of this snapshot, oldest first."""
    run, table, of = t.scoring_run, t.model_version, t.snapshot
    wanted = run.c.model_version_id == version if version else run.c.snapshot_id == snapshot
    rows = connection.execute(
        select(
            table.c.model,
            table.c.version,
            of.c.dataset,
            of.c.batch,
            of.c.digest,
            run.c.rows,
            run.c.requested_by,
            run.c.planned_at,
            run.c.finished_at,
            run.c.report_digest,
        )
        .join(table, table.c.id == run.c.model_version_id)
        .join(of, of.c.id == run.c.snapshot_id)
        .where(wanted)
        .order_by(run.c.id)
    )
    return [as_row(ScoredBatch, row) for row in rows.mappings()]


def plan_steps(connection: Connection, versions: Sequence[int]) -> list[PlanStep]:
    """Traffic plans in which the versions have a part, oldest first."""
    plan, version = t.traffic_plan, t.model_version
    until = (
        func.lead(plan.c.created_at)
        .over(partition_by=plan.c.model, order_by=plan.c.generation)
        .label("until")
    )
    models = select(version.c.model).where(version.c.id.in_(versions))
    every = select(plan, until).where(plan.c.model.in_(models)).subquery()
    part = or_(version.c.id == every.c.champion_id, version.c.id == every.c.canary_id)
    rows = connection.execute(
        select(
            version.c.id.label("version_id"),
            version.c.model,
            version.c.version,
            (version.c.id == func.coalesce(every.c.canary_id, 0)).label("is_canary"),
            every.c.share_bp,
            every.c.created_at,
            every.c.until,
        )
        .join(every, part)
        .where(version.c.id.in_(versions))
        .order_by(version.c.model, version.c.version, every.c.generation)
    )
    return [as_row(PlanStep, row) for row in rows.mappings()]


def readers(connection: Connection, dataset: str, digest: str) -> list[SnapshotReader]:
    """Who opened the snapshot, for what, how often; who read last comes first."""
    table = t.snapshot_read.c
    last = func.max(table.created_at)
    rows = connection.execute(
        select(
            table.reader,
            table.purpose,
            table.model,
            func.count().label("times"),
            last.label("last_at"),
        )
        .where(table.dataset == dataset, table.digest == digest)
        .group_by(table.reader, table.purpose, table.model)
        .order_by(last.desc(), table.reader, table.purpose)
    )
    return [as_row(SnapshotReader, row) for row in rows.mappings()]
