"""Datasets, validations and snapshots; what was judged is never judged twice under equal rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import dataset, snapshot, suite_revision, validation


@dataclass(frozen=True)
class Rules:
    """What a batch is judged by: the digests of the suite's and the dataset's files."""

    suite_digest: str
    config_digest: str


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


def judged(connection: Connection, dataset_name: str, rules: Rules) -> set[str]:
    """SHA-256 of every source file that was judged by these rules."""
    query = select(validation.c.source_digest).where(_by(dataset_name, rules))
    return set(connection.execute(query).scalars())


def validation_of(
    connection: Connection, dataset_name: str, source_digest: str, rules: Rules
) -> dict[str, Any] | None:
    """The judgement of a file by these rules, with the `digest` of its snapshot or None."""
    row = connection.execute(
        select(validation, snapshot.c.digest)
        .outerjoin(snapshot, snapshot.c.id == validation.c.snapshot_id)
        .where(_by(dataset_name, rules), validation.c.source_digest == source_digest)
    )
    found = row.mappings().first()
    return dict(found) if found else None


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
) -> bool:
    """Insert the judgement; False when another run was first."""
    row = connection.execute(
        upsert(validation)
        .values(dataset=dataset_name, snapshot_id=snapshot_id, **vars(rules), **values)
        .on_conflict_do_nothing()
        .returning(validation.c.id)
    )
    return row.first() is not None


def snapshots(connection: Connection, dataset_name: str) -> list[dict[str, Any]]:
    """Published snapshots, by batch, oldest first; of a repaired batch there are several."""
    query = select(snapshot).where(snapshot.c.dataset == dataset_name)
    rows = connection.execute(query.order_by(snapshot.c.batch, snapshot.c.id))
    return [dict(row) for row in rows.mappings()]


def newest(connection: Connection, dataset_name: str) -> dict[str, Any] | None:
    """The snapshot that was published last."""
    query = select(snapshot).where(snapshot.c.dataset == dataset_name)
    found = connection.execute(query.order_by(snapshot.c.id.desc()).limit(1)).mappings().first()
    return dict(found) if found else None


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


def _by(dataset_name: str, rules: Rules) -> Any:
    return and_(
        validation.c.dataset == dataset_name,
        validation.c.suite_digest == rules.suite_digest,
        validation.c.config_digest == rules.config_digest,
    )
