"""Who opened which snapshot or quarantined rows, and in which shape a snapshot was published."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import snapshot_read, validation
from tenure.lifecycle.data.schema import Shape
from tenure.vocabulary import RunRef


@dataclass(frozen=True)
class SnapshotRead:
    """Somebody opened a snapshot."""

    created_at: datetime
    reader: str
    purpose: str
    model: str | None
    dag_id: str | None
    run_id: str | None


def note_read(
    connection: Connection,
    dataset: str,
    digest: str,
    *,
    purpose: str,
    model: str | None,
    run: RunRef,
) -> None:
    """Record that somebody opens a snapshot; such a row is never changed or removed."""
    _note(connection, run, dataset=dataset, digest=digest, purpose=purpose, model=model)


def note_quarantine_read(
    connection: Connection, dataset: str, key: str, *, purpose: str, run: RunRef
) -> None:
    """The same of quarantined rows, by the key of their file."""
    _note(connection, run, dataset=dataset, quarantine_key=key, purpose=purpose)


def _note(connection: Connection, run: RunRef, **what: object) -> None:
    connection.execute(
        insert(snapshot_read).values(
            **what,
            reader=run.user or run.dag_id,
            dag_id=run.dag_id,
            run_id=run.run_id,
            task_id=run.task_id,
            map_index=run.map_index,
        )
    )


@dataclass(frozen=True)
class DatasetReads:
    """What somebody opened of a dataset for one purpose: how much, how often, when last.

    `snapshots` and `quarantined` are numbers of different snapshots and quarantine files.
    """

    reader: str
    purpose: str
    model: str | None
    dag_id: str | None
    snapshots: int
    quarantined: int
    times: int
    last_at: datetime


def readers_of(connection: Connection, dataset: str, limit: int = 200) -> list[DatasetReads]:
    """Who opened something of the dataset, and what for; who did last comes first."""
    table = snapshot_read.c
    who = (table.reader, table.purpose, table.model, table.dag_id)
    last = func.max(table.created_at)
    rows = connection.execute(
        select(
            *who,
            func.count(table.digest.distinct()).label("snapshots"),
            func.count(table.quarantine_key.distinct()).label("quarantined"),
            func.count().label("times"),
            last.label("last_at"),
        )
        .where(table.dataset == dataset)
        .group_by(*who)
        .order_by(last.desc(), table.reader, table.purpose)
        .limit(limit)
    )
    return [as_row(DatasetReads, row) for row in rows.mappings()]


def reads_of(
    connection: Connection, dataset: str, digest: str, limit: int = 100
) -> list[SnapshotRead]:
    """The newest reads of a snapshot, newest first."""
    table = snapshot_read.c
    rows = connection.execute(
        select(*(table[one.name] for one in fields(SnapshotRead)))
        .where(table.dataset == dataset, table.digest == digest)
        .order_by(table.id.desc())
        .limit(limit)
    )
    return [as_row(SnapshotRead, row) for row in rows.mappings()]


def shapes_of(connection: Connection, snapshot_ids: Collection[int]) -> dict[int, Shape]:
    """The shape of each snapshot as it was judged last; those without one are left out."""
    table = validation.c
    rows = connection.execute(
        select(table.snapshot_id, table.shape)
        .where(table.snapshot_id.in_(snapshot_ids), table.shape.is_not(None))
        .ext(distinct_on(table.snapshot_id))
        .order_by(table.snapshot_id, table.id.desc())
    )
    return {row.snapshot_id: Shape.from_dict(row.shape) for row in rows}
