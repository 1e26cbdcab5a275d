"""Retirements and their archive items."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import (
    archive_item,
    config_revision,
    consumer,
    decommission,
    model,
    model_version,
    suite_revision,
    traffic_plan,
)
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.retirement.decommission import DecommissionStep, Item, Progress
from tenure.lifecycle.training.registry import file_keys
from tenure.vocabulary import State


@dataclass(frozen=True)
class ArchivedItem:
    """One thing of an archive, and when its original was deleted."""

    key: str
    archive_key: str
    sha256: str
    size: int
    deleted_at: datetime | None


_OWN = tuple(
    decommission.c[name]
    for name in Progress.__dataclass_fields__
    if name not in {"version_id", "model", "version", "state"}
)
_PROGRESS = select(
    *_OWN,
    model_version.c.id.label("version_id"),
    model_version.c.model,
    model_version.c.version,
    model_version.c.state,
).join_from(decommission, model_version, decommission.c.model_version_id == model_version.c.id)


def get(connection: Connection, version_id: int, *, lock: bool = False) -> Progress | None:
    """How far the retirement of a version is; `lock` holds the row until the transaction ends.

    None when nobody asked for it.
    """
    query = _PROGRESS.where(decommission.c.model_version_id == version_id)
    locking = query.with_for_update(of=decommission) if lock else query
    row = connection.execute(locking).mappings().first()
    return as_row(Progress, row) if row else None


def unfinished(connection: Connection) -> list[Progress]:
    """Retirements that were neither recorded nor given up, oldest first."""
    ended = [
        str(DecommissionStep.REFUSED),
        str(DecommissionStep.WITHDRAWN),
        str(DecommissionStep.RECORDED),
    ]
    query = _PROGRESS.where(decommission.c.step.not_in(ended)).order_by(decommission.c.id)
    return [as_row(Progress, row) for row in connection.execute(query).mappings()]


def request(
    connection: Connection,
    *,
    version_id: int,
    reason: str,
    successor: str,
    requested_by: str,
    at: datetime,
) -> None:
    """Register the wish to retire a version; one that was refused or withdrawn begins anew."""
    values: dict[str, object] = {
        "created_at": at,
        "step": str(DecommissionStep.REQUESTED),
        "reason": reason,
        "successor": successor,
        "requested_by": requested_by,
    }
    fresh = {"second_person": None, "notified_at": None}
    connection.execute(
        upsert(decommission)
        .values(model_version_id=version_id, **values)
        .on_conflict_do_update(
            index_elements=["model_version_id"],
            set_=values | fresh,
            where=decommission.c.step.in_(
                [str(DecommissionStep.REFUSED), str(DecommissionStep.WITHDRAWN)]
            ),
        )
    )


def set_columns(connection: Connection, decommission_id: int, **columns: object) -> None:
    """Note how far it is."""
    query = update(decommission).where(decommission.c.id == decommission_id)
    connection.execute(query.values(**columns))


def put_item(connection: Connection, decommission_id: int, item: Item, *, at: datetime) -> None:
    """Note an item whose copy was written and read back."""
    values = {
        "archive_key": item.archive_key,
        "size": item.size,
        "sha256": item.sha256,
        "delete_after": item.delete_after,
        "copied_at": at,
        "verified_at": at,
    }
    connection.execute(
        upsert(archive_item)
        .values(decommission_id=decommission_id, key=item.key, **values)
        .on_conflict_do_update(index_elements=["decommission_id", "key"], set_=values)
    )


def mark_deleted(connection: Connection, decommission_id: int, key: str, *, at: datetime) -> None:
    """Note that an original is gone."""
    connection.execute(
        update(archive_item)
        .where(archive_item.c.decommission_id == decommission_id, archive_item.c.key == key)
        .values(deleted_at=at)
    )


def archived_items(connection: Connection, decommission_id: int) -> list[ArchivedItem]:
    """Every item of the archive, by key."""
    query = select(*(archive_item.c[name] for name in ArchivedItem.__dataclass_fields__))
    query = query.where(archive_item.c.decommission_id == decommission_id)
    rows = connection.execute(query.order_by(archive_item.c.key)).mappings()
    return [as_row(ArchivedItem, row) for row in rows]


def undeleted_keys(connection: Connection, decommission_id: int) -> list[str]:
    """Keys of originals that are to go and have not gone yet."""
    query = select(archive_item.c.key).where(
        archive_item.c.decommission_id == decommission_id,
        archive_item.c.delete_after,
        archive_item.c.deleted_at.is_(None),
    )
    return list(connection.execute(query.order_by(archive_item.c.key)).scalars())


def in_live_plan(connection: Connection, version_id: int) -> bool:
    """Whether the newest traffic plan of its model names the version."""
    newest = (
        select(traffic_plan.c.champion_id, traffic_plan.c.canary_id)
        .join(model_version, model_version.c.model == traffic_plan.c.model)
        .where(model_version.c.id == version_id)
        .order_by(traffic_plan.c.generation.desc())
        .limit(1)
    )
    row = connection.execute(newest).first()
    return row is not None and version_id in {row.champion_id, row.canary_id}


def shared_artifact_keys(connection: Connection, version_id: int) -> list[str]:
    """Where artifacts lie that versions other than this one, not deleted yet, still need."""
    query = select(*columns_of(VersionRecord, model_version)).where(
        model_version.c.id != version_id,
        model_version.c.artifact_digest.is_not(None),
        model_version.c.state != str(State.DELETED),
    )
    rows = [as_row(VersionRecord, row) for row in connection.execute(query)]
    return [key for row in rows for key in file_keys(row)]


def owner_of(connection: Connection, model_name: str) -> str | None:
    """Owner of the model."""
    query = select(model.c.owner).where(model.c.name == model_name)
    return connection.execute(query).scalar_one_or_none()


def sync_consumers(
    connection: Connection, model_name: str, consumers: Sequence[tuple[str, str | None]]
) -> None:
    """Make the consumers of a model those of its config: name and webhook."""
    names = [name for name, _ in consumers]
    connection.execute(
        delete(consumer).where(consumer.c.model == model_name, consumer.c.name.not_in(names))
    )
    for name, webhook in consumers:
        connection.execute(
            upsert(consumer)
            .values(model=model_name, name=name, webhook=webhook)
            .on_conflict_do_update(index_elements=["model", "name"], set_={"webhook": webhook})
        )


def consumers_of(connection: Connection, model_name: str) -> list[tuple[str, str | None]]:
    """Name and webhook of each consumer, by name."""
    query = select(consumer.c.name, consumer.c.webhook).where(consumer.c.model == model_name)
    return [(row.name, row.webhook) for row in connection.execute(query.order_by(consumer.c.name))]


def texts(connection: Connection, digests: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Kind and body of the configs and suites with these digests, by digest."""
    found: dict[str, tuple[str, str]] = {}
    query = select(config_revision.c.digest, config_revision.c.kind, config_revision.c.body)
    for row in connection.execute(query.where(config_revision.c.digest.in_(digests))):
        found[row.digest] = (row.kind, row.body)
    suites = select(suite_revision.c.digest, suite_revision.c.body)
    for row in connection.execute(suites.where(suite_revision.c.digest.in_(digests))):
        found[row.digest] = ("suite", row.body)
    return found
