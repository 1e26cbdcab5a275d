"""Datasets, validations and snapshots."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import dataset, snapshot, suite_revision, validation
from tenure.lifecycle.data.schema import Shape
from tenure.lifecycle.data.sources import Rules
from tenure.verdicts import Verdict


@dataclass(frozen=True)
class DatasetRow:
    """A dataset as it was described when it was ingested last."""

    name: str
    owner: str
    steward: str
    sensitivity: str
    created_at: datetime


@dataclass(frozen=True)
class SnapshotRow:
    """A published batch; `time_min` and `time_max` are the ends of its time column."""

    id: int
    dataset: str
    batch: str
    digest: str
    rows: int
    manifest_digest: str
    suite_digest: str
    time_min: datetime | None
    time_max: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class ValidationRow:
    """The judgement of a landed file; `digest` is that of the snapshot, when it was published."""

    id: int
    dataset: str
    batch: str
    source_key: str
    source_digest: str
    suite_digest: str
    config_digest: str
    verdict: Verdict
    rows_in: int
    rows_ok: int
    rows_quarantined: int
    quarantine_key: str | None
    snapshot_id: int | None
    report_digest: str
    created_at: datetime
    digest: str | None


@dataclass(frozen=True)
class NewValidation:
    """The row of a judgement that is about to be committed; `shape` is that of the snapshot."""

    batch: str
    source_key: str
    source_digest: str
    verdict: Verdict
    rows_in: int
    rows_ok: int
    rows_quarantined: int
    quarantine_key: str | None
    report_digest: str
    shape: Shape | None


@dataclass(frozen=True)
class NewSnapshot:
    """The row of a published batch."""

    digest: str
    rows: int
    manifest_digest: str
    time_min: datetime | None
    time_max: datetime | None


def register_dataset(
    connection: Connection, *, name: str, owner: str, steward: str, sensitivity: str
) -> None:
    """Insert the dataset or bring its description up to date, and hold its row until the commit."""
    values = {"owner": owner, "steward": steward, "sensitivity": sensitivity}
    connection.execute(
        upsert(dataset)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


def remember_suite(connection: Connection, *, digest: str, name: str, body: str) -> None:
    """Keep the text of a suite under its digest, so that every judgement can be replayed."""
    connection.execute(
        upsert(suite_revision).values(digest=digest, name=name, body=body).on_conflict_do_nothing()
    )


def validation_rows() -> Select[tuple[object, ...]]:
    """The query for any `ValidationRow`."""
    columns = (c for c in validation.c if c.name != "shape")
    return select(*columns, snapshot.c.digest).outerjoin(
        snapshot, snapshot.c.id == validation.c.snapshot_id
    )


def judged(connection: Connection, dataset_name: str) -> list[ValidationRow]:
    """The newest judgement of each landed file."""
    rows = connection.execute(
        validation_rows()
        .where(validation.c.dataset == dataset_name)
        .ext(distinct_on(validation.c.source_key))
        .order_by(validation.c.source_key, validation.c.id.desc())
    )
    return [as_row(ValidationRow, row) for row in rows.mappings()]


def previous(
    connection: Connection, dataset_name: str, batch: str, source_digest: str
) -> ValidationRow | None:
    """The newest judgement of another file of this batch."""
    row = connection.execute(
        validation_rows()
        .where(
            validation.c.dataset == dataset_name,
            validation.c.batch == batch,
            validation.c.source_digest != source_digest,
        )
        .order_by(validation.c.id.desc())
        .limit(1)
    )
    found = row.mappings().first()
    return as_row(ValidationRow, found) if found else None


def snapshot_of(connection: Connection, dataset_name: str, digest: str) -> SnapshotRow | None:
    """The snapshot with this content."""
    query = select(snapshot).where(snapshot.c.dataset == dataset_name, snapshot.c.digest == digest)
    found = connection.execute(query).mappings().first()
    return as_row(SnapshotRow, found) if found else None


def publish(
    connection: Connection, dataset_name: str, batch: str, suite_digest: str, new: NewSnapshot
) -> int:
    """Insert the row of a snapshot, or find the one with the same content; returns its id."""
    connection.execute(
        upsert(snapshot)
        .values(dataset=dataset_name, batch=batch, suite_digest=suite_digest, **vars(new))
        .on_conflict_do_nothing(index_elements=["dataset", "digest"])
    )
    query = select(snapshot.c.id).where(
        snapshot.c.dataset == dataset_name, snapshot.c.digest == new.digest
    )
    return int(connection.execute(query).scalar_one())


def record(
    connection: Connection,
    dataset_name: str,
    rules: Rules,
    new: NewValidation,
    *,
    snapshot_id: int | None,
) -> int:
    """Insert the judgement; who does so holds the dataset's row. Returns its number."""
    shape = new.shape.to_dict() if new.shape else None
    values = {**vars(new), "verdict": str(new.verdict), "shape": shape, **vars(rules)}
    made = insert(validation).values(dataset=dataset_name, snapshot_id=snapshot_id, **values)
    return int(connection.execute(made.returning(validation.c.id)).scalar_one())


def published_from(connection: Connection, source_key: str) -> int | None:
    """Id of the snapshot that was published last from a landed file; None when none was."""
    query = (
        select(validation.c.snapshot_id)
        .where(validation.c.source_key == source_key, validation.c.snapshot_id.is_not(None))
        .order_by(validation.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def snapshots(connection: Connection, dataset_name: str) -> list[SnapshotRow]:
    """Every snapshot of every batch, in the order in which it passed last.

    So of the several snapshots of a batch that was repaired the last one is in force, also when
    the repair was taken back. The same rows in two files are one snapshot of two batches.
    """
    passed = func.max(validation.c.id)
    rows = connection.execute(
        select(*(c for c in snapshot.c if c.name != "batch"), validation.c.batch)
        .join(validation, validation.c.snapshot_id == snapshot.c.id)
        .where(snapshot.c.dataset == dataset_name)
        .group_by(snapshot.c.id, validation.c.batch)
        .order_by(passed)
    )
    return [as_row(SnapshotRow, row) for row in rows.mappings()]


def in_force(connection: Connection, dataset_name: str) -> list[SnapshotRow]:
    """The snapshot of each batch, by when its rows were published first; no rows twice."""
    of_batch = {row.batch: row for row in snapshots(connection, dataset_name)}
    once = {row.id: row for row in reversed(of_batch.values())}
    return [once[number] for number in sorted(once)]


def newest(connection: Connection, dataset_name: str) -> SnapshotRow | None:
    """The snapshot in force that was published last."""
    return next(reversed(in_force(connection, dataset_name)), None)


def validations(
    connection: Connection, dataset_name: str, batch: str | None = None, limit: int = 100
) -> list[ValidationRow]:
    """Judgements, newest first."""
    query = validation_rows().where(validation.c.dataset == dataset_name)
    if batch is not None:
        query = query.where(validation.c.batch == batch)
    rows = connection.execute(query.order_by(validation.c.id.desc()).limit(limit))
    return [as_row(ValidationRow, row) for row in rows.mappings()]


def registered(connection: Connection) -> dict[str, DatasetRow]:
    """Every dataset that was ever ingested, by name."""
    rows = connection.execute(select(dataset).order_by(dataset.c.name)).mappings()
    return {row["name"]: as_row(DatasetRow, row) for row in rows}
