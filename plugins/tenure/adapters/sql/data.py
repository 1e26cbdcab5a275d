"""Datasets, validations and snapshots."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import dataset, snapshot, suite_revision, validation
from tenure.lifecycle.data.sources import Rules


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


def judged(connection: Connection, dataset_name: str) -> list[dict[str, Any]]:
    """The newest judgement of each landed file, with the `digest` of its snapshot or None."""
    rows = connection.execute(
        select(*(c for c in validation.c if c.name != "shape"), snapshot.c.digest)
        .outerjoin(snapshot, snapshot.c.id == validation.c.snapshot_id)
        .where(validation.c.dataset == dataset_name)
        .ext(distinct_on(validation.c.source_key))
        .order_by(validation.c.source_key, validation.c.id.desc())
    )
    return [dict(row) for row in rows.mappings()]


def previous(
    connection: Connection, dataset_name: str, batch: str, source_digest: str
) -> dict[str, Any] | None:
    """The newest judgement of another file of this batch, with the `digest` of its snapshot."""
    row = connection.execute(
        select(validation, snapshot.c.digest)
        .outerjoin(snapshot, snapshot.c.id == validation.c.snapshot_id)
        .where(
            validation.c.dataset == dataset_name,
            validation.c.batch == batch,
            validation.c.source_digest != source_digest,
        )
        .order_by(validation.c.id.desc())
        .limit(1)
    )
    found = row.mappings().first()
    return dict(found) if found else None


def snapshot_of(connection: Connection, dataset_name: str, digest: str) -> dict[str, Any] | None:
    """The snapshot with this content."""
    query = select(snapshot).where(snapshot.c.dataset == dataset_name, snapshot.c.digest == digest)
    found = connection.execute(query).mappings().first()
    return dict(found) if found else None


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
    *,
    snapshot_id: int | None,
    values: Mapping[str, Any],
) -> None:
    """Insert the judgement; who does so holds the dataset's row and knows that none stands."""
    connection.execute(
        insert(validation).values(
            dataset=dataset_name, snapshot_id=snapshot_id, **vars(rules), **values
        )
    )


def snapshots(connection: Connection, dataset_name: str) -> list[dict[str, Any]]:
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
    return [dict(row) for row in rows.mappings()]


def in_force(connection: Connection, dataset_name: str) -> list[dict[str, Any]]:
    """The snapshot of each batch, by when its rows were published first; no rows twice."""
    of_batch = {row["batch"]: row for row in snapshots(connection, dataset_name)}
    once = {row["id"]: row for row in reversed(of_batch.values())}
    return [once[number] for number in sorted(once)]


def newest(connection: Connection, dataset_name: str) -> dict[str, Any] | None:
    """The snapshot in force that was published last."""
    return next(reversed(in_force(connection, dataset_name)), None)


def validations(
    connection: Connection, dataset_name: str, batch: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Judgements, newest first, each with the `digest` of its snapshot or None."""
    query = (
        select(validation, snapshot.c.digest)
        .outerjoin(snapshot, snapshot.c.id == validation.c.snapshot_id)
        .where(validation.c.dataset == dataset_name)
    )
    if batch is not None:
        query = query.where(validation.c.batch == batch)
    rows = connection.execute(query.order_by(validation.c.id.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def registered(connection: Connection) -> dict[str, dict[str, str]]:
    """Every dataset that was ever ingested: its sensitivity, owner and steward."""
    names = ("sensitivity", "owner", "steward")
    rows = connection.execute(select(dataset).order_by(dataset.c.name)).mappings()
    return {row["name"]: {name: row[name] for name in names} for row in rows}
