"""Suites as the database knows them: what was judged by which revision."""

from typing import Any

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql.tables import snapshot, suite_revision, validation


def in_force(connection: Connection, datasets: list[str]) -> dict[str, Any] | None:
    """The revision that judged last among the datasets: digest, name, body, since when."""
    newest = (
        select(validation.c.suite_digest)
        .where(validation.c.dataset.in_(datasets))
        .order_by(validation.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    row = connection.execute(select(suite_revision).where(suite_revision.c.digest == newest))
    found = row.mappings().first()
    return dict(found) if found else None


def revisions(connection: Connection, name: str, limit: int) -> list[dict[str, Any]]:
    """Revisions of a suite that judged something, newest first."""
    query = select(suite_revision).where(suite_revision.c.name == name)
    rows = connection.execute(query.order_by(suite_revision.c.created_at.desc()).limit(limit))
    return [dict(row) for row in rows.mappings()]


def last_batches(connection: Connection, dataset: str, limit: int) -> list[dict[str, Any]]:
    """The newest judgement of each of the batches that landed last, oldest first.

    A batch that was repaired landed when the repaired file did; judging an old file again by new
    rules does not make it newer.
    """
    landed = (
        select(
            validation.c.batch, validation.c.source_digest, func.min(validation.c.id).label("id")
        )
        .where(validation.c.dataset == dataset)
        .group_by(validation.c.batch, validation.c.source_digest)
        .subquery()
    )
    newest = (
        select(validation)
        .ext(distinct_on(validation.c.batch))
        .where(validation.c.dataset == dataset)
        .order_by(validation.c.batch, validation.c.id.desc())
        .subquery()
    )
    same = (newest.c.batch == landed.c.batch) & (newest.c.source_digest == landed.c.source_digest)
    rows = connection.execute(
        select(newest).join(landed, same).order_by(landed.c.id.desc()).limit(limit)
    )
    return [dict(row) for row in rows.mappings()][::-1]


def publication(connection: Connection, dataset: str, source_digest: str) -> dict[str, Any] | None:
    """Snapshot `digest` and `quarantine_key` of a landed file that was published at least once."""
    row = connection.execute(
        select(snapshot.c.digest, validation.c.quarantine_key)
        .join(snapshot, snapshot.c.id == validation.c.snapshot_id)
        .where(validation.c.dataset == dataset, validation.c.source_digest == source_digest)
        .order_by(validation.c.id.desc())
        .limit(1)
    )
    found = row.mappings().first()
    return dict(found) if found else None
