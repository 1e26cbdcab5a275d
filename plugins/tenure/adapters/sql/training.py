"""What training reads and writes: published snapshots, retrain requests, the plan of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.data import snapshots
from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import (
    config_revision,
    ledger_event,
    retrain_request,
    snapshot,
    training_snapshot,
)
from tenure.lifecycle.training import PublishedSnapshot

_UNFINISHED = ("open", "running")


@dataclass(frozen=True)
class RetrainRequestRow:
    """A retrain request; `model_version_id` is the version that is trained for it."""

    id: int
    reason_code: str
    reason: str
    requested_by: str
    state: str
    model_version_id: int | None


@dataclass(frozen=True)
class PlannedRow:
    """What a run planned: the version, and the request that it answers."""

    version_id: int
    version: int
    request_id: int


_REQUEST = columns_of(RetrainRequestRow, retrain_request)
_SNAPSHOT = columns_of(PublishedSnapshot, snapshot)


def published(connection: Connection, dataset: str) -> list[PublishedSnapshot]:
    """Every snapshot of each batch, in the order in which it came into force."""
    names = PublishedSnapshot.__dataclass_fields__
    return [
        PublishedSnapshot(**{n: getattr(row, n) for n in names})
        for row in snapshots(connection, dataset)
    ]


def snapshots_of(connection: Connection, version_id: int) -> list[PublishedSnapshot]:
    """The snapshots that a version is trained on, oldest first."""
    rows = connection.execute(
        select(*_SNAPSHOT)
        .join(training_snapshot, training_snapshot.c.snapshot_id == snapshot.c.id)
        .where(training_snapshot.c.model_version_id == version_id)
        .order_by(snapshot.c.time_max.asc().nulls_first(), snapshot.c.batch)
    )
    return [as_row(PublishedSnapshot, row) for row in rows]


def link_snapshots(
    connection: Connection, version_id: int, snapshots: Sequence[PublishedSnapshot]
) -> None:
    """Record what a version is trained on; again is a no-op."""
    connection.execute(
        upsert(training_snapshot)
        .values([{"model_version_id": version_id, "snapshot_id": s.id} for s in snapshots])
        .on_conflict_do_nothing()
    )


def unfinished_request(connection: Connection, model: str) -> RetrainRequestRow | None:
    """The one open or running request of the model, locked until the transaction ends."""
    row = connection.execute(
        select(*_REQUEST)
        .where(retrain_request.c.model == model, retrain_request.c.state.in_(_UNFINISHED))
        .with_for_update()
    ).first()
    return as_row(RetrainRequestRow, row) if row else None


def request_by_id(connection: Connection, request_id: int) -> RetrainRequestRow:
    """The request."""
    row = connection.execute(select(*_REQUEST).where(retrain_request.c.id == request_id)).one()
    return as_row(RetrainRequestRow, row)


def file_request(
    connection: Connection, *, model: str, reason_code: str, reason: str, requested_by: str
) -> RetrainRequestRow:
    """A new open request; the database refuses a second unfinished one of the model."""
    row = connection.execute(
        insert(retrain_request)
        .values(
            model=model,
            reason_code=reason_code,
            reason=reason,
            requested_by=requested_by,
            state="open",
        )
        .returning(*_REQUEST)
    ).one()
    return as_row(RetrainRequestRow, row)


def start_request(connection: Connection, request_id: int, version_id: int) -> None:
    """Open to running, for this version."""
    _change(connection, request_id, state="running", model_version_id=version_id)


def close_request(
    connection: Connection, request_id: int, *, version_id: int, state: str, at: datetime
) -> None:
    """Running to `done` or `failed`, if it still works for this version."""
    connection.execute(
        update(retrain_request)
        .where(
            retrain_request.c.id == request_id,
            retrain_request.c.model_version_id == version_id,
            retrain_request.c.state.in_(_UNFINISHED),
        )
        .values(state=state, closed_at=at)
    )


def plan_of(connection: Connection, op_key: str) -> PlannedRow | None:
    """What the run with this key planned, from its ledger event."""
    body = connection.execute(
        select(ledger_event.c.body).where(ledger_event.c.op_key == op_key)
    ).scalar_one_or_none()
    if body is None:
        return None
    return PlannedRow(**{name: body[name] for name in PlannedRow.__dataclass_fields__})


def config_text(connection: Connection, digest: str) -> str:
    """The YAML that was remembered under this digest."""
    return str(
        connection.execute(
            select(config_revision.c.body).where(config_revision.c.digest == digest)
        ).scalar_one()
    )


def find_config_text(connection: Connection, digest: str) -> str | None:
    """As `config_text`, but None when nothing was remembered under this digest."""
    query = select(config_revision.c.body).where(config_revision.c.digest == digest)
    return connection.execute(query).scalar_one_or_none()


def _change(connection: Connection, request_id: int, **values: object) -> None:
    connection.execute(
        update(retrain_request).where(retrain_request.c.id == request_id).values(**values)
    )
