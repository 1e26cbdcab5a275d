"""What the page of one version shows: its life as rows and as ledger events. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, or_, select

from tenure.adapters.sql import tables as t
from tenure.adapters.sql.overview import VerdictLine, verdict_lines
from tenure.adapters.sql.rows import as_row, columns_of
from tenure.lifecycle.audit.ledger import Anchor, Event
from tenure.lifecycle.model_version import VersionRow

_SUBJECTS = ("mv", "approval", "authorization", "canary", "decommission")
"""Kinds of ledger subjects about one version, before the colon."""
_REPORTS = 200


@dataclass(frozen=True)
class SeatAnswer:
    """What one person answered when the version asked for traffic."""

    approver: str
    answer: str
    action: str
    note: str
    artifact_digest: str
    evidence_digest: str
    expires_at: datetime
    created_at: datetime


@dataclass(frozen=True)
class TrainedOn:
    """A snapshot that the version learned from, and the report of its batch where there is one.

    `time_min` and `time_max` are its first and last moment; None of data without time.
    """

    dataset: str
    batch: str
    digest: str
    rows: int
    time_min: datetime | None
    time_max: datetime | None
    report_digest: str | None


@dataclass(frozen=True)
class VerifiedChain:
    """The newest verification of the ledger that the lifecycle database keeps."""

    anchor: Anchor
    report_digest: str
    at: datetime


def row_of(connection: Connection, model: str, number: int) -> VersionRow | None:
    """Every column of the version, or None."""
    table = t.model_version
    query = select(*columns_of(VersionRow, table))
    found = connection.execute(query.where(table.c.model == model, table.c.version == number))
    row = found.mappings().first()
    return as_row(VersionRow, row) if row else None


@dataclass(frozen=True)
class ModelAbout:
    """What a model is for, and who answers for it."""

    purpose: str
    owner: str
    risk_tier: str


def about(connection: Connection, model: str) -> ModelAbout:
    """The model's row."""
    query = select(*columns_of(ModelAbout, t.model)).where(t.model.c.name == model)
    return as_row(ModelAbout, connection.execute(query).one())


def champion_number(connection: Connection, model: str) -> int | None:
    """Number of the version that serves now; None while there is none."""
    table = t.model_version
    query = select(table.c.version).where(table.c.model == model, table.c.state == "champion")
    return connection.execute(query).scalar_one_or_none()


def risk_tier(connection: Connection, model: str) -> str:
    """The tier that the quorum is counted by."""
    query = select(t.model.c.risk_tier).where(t.model.c.name == model)
    return str(connection.execute(query).scalar_one())


def answers(connection: Connection, version_id: int) -> list[SeatAnswer]:
    """Every answer about the version, oldest first."""
    rows = connection.execute(
        select(*columns_of(SeatAnswer, t.approval))
        .where(t.approval.c.model_version_id == version_id)
        .order_by(t.approval.c.id)
    )
    return [as_row(SeatAnswer, row) for row in rows.mappings()]


def trained_on(connection: Connection, version_id: int) -> list[TrainedOn]:
    """Its snapshots, by name of the batch."""
    snapshot, mine, judged = t.snapshot, t.training_snapshot, t.validation
    report = (
        select(judged.c.report_digest)
        .where(judged.c.snapshot_id == snapshot.c.id)
        .order_by(judged.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            snapshot.c.dataset,
            snapshot.c.batch,
            snapshot.c.digest,
            snapshot.c.rows,
            snapshot.c.time_min,
            snapshot.c.time_max,
            report.label("report_digest"),
        )
        .join(mine, mine.c.snapshot_id == snapshot.c.id)
        .where(mine.c.model_version_id == version_id)
        .order_by(snapshot.c.batch)
    )
    return [as_row(TrainedOn, row) for row in rows.mappings()]


def reports(connection: Connection, name: str, digests: Sequence[str]) -> list[VerdictLine]:
    """Stored reports about `model@version`, and those of the digests, newest first."""
    report = t.report
    rows = connection.execute(
        verdict_lines()
        .where(or_(report.c.subject == name, report.c.digest.in_(digests)))
        .where(report.c.stage != "failure")
        .order_by(report.c.id.desc())
        .limit(_REPORTS)
    )
    newest = {row["digest"]: as_row(VerdictLine, row) for row in reversed(rows.mappings().all())}
    return list(reversed(newest.values()))


def events(connection: Connection, version_id: int) -> list[Event]:
    """Every ledger event about the version, oldest first."""
    event = t.ledger_event
    rows = connection.execute(
        select(*columns_of(Event, event))
        .where(event.c.subject.in_([f"{kind}:{version_id}" for kind in _SUBJECTS]))
        .order_by(event.c.seq)
    )
    return [as_row(Event, row) for row in rows.mappings()]


def record_digest(connection: Connection, version_id: int) -> str | None:
    """The decommission record of a version that was retired."""
    query = select(t.decommission.c.record_digest)
    found = connection.execute(query.where(t.decommission.c.model_version_id == version_id))
    return found.scalar_one_or_none()


def verified(connection: Connection) -> VerifiedChain | None:
    """Where the newest verification of the ledger ended; None before the first."""
    report = t.report
    row = connection.execute(
        select(report.c.digest, report.c.body["facts"].label("facts"), report.c.created_at)
        .where(report.c.stage == "ledger", report.c.verdict == "passed")
        .order_by(report.c.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    anchor = Anchor(int(row.facts["seq"]), str(row.facts["hash"]))
    return VerifiedChain(anchor, row.digest, row.created_at)


def config_text(connection: Connection, digest: str | None) -> str | None:
    """The model's YAML as it was when the version was planned."""
    table = t.config_revision
    query = select(table.c.body).where(table.c.digest == digest)
    return connection.execute(query).scalar_one_or_none()


@dataclass(frozen=True)
class ConfiguredVersion:
    """A version with the model's YAML as it was when the version was planned; None: not known."""

    version: int
    created_at: datetime
    body: str | None


def configured(connection: Connection, model: str) -> list[ConfiguredVersion]:
    """Every version of the model, oldest first."""
    mine, config = t.model_version, t.config_revision
    query = (
        select(mine.c.version, mine.c.created_at, config.c.body)
        .outerjoin(config, config.c.digest == mine.c.config_digest)
        .where(mine.c.model == model)
        .order_by(mine.c.version)
    )
    return [as_row(ConfiguredVersion, row) for row in connection.execute(query)]


def of_evidence(connection: Connection, beginning: str) -> tuple[str, int] | None:
    """Model and number of the only version that was approved with an evidence of this digest."""
    version, given = t.model_version, t.approval
    query = (
        select(version.c.model, version.c.version)
        .join(given, given.c.model_version_id == version.c.id)
        .where(given.c.evidence_digest.startswith(beginning))
        .distinct()
    )
    found = connection.execute(query).all()
    return (found[0].model, found[0].version) if len(found) == 1 else None
