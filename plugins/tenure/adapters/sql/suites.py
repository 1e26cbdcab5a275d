"""Suites as the database knows them: what was judged by which revision."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import snapshot, suite_revision, validation


@dataclass(frozen=True)
class SuiteRow:
    """A suite's revision, kept since it was accepted or judged first."""

    digest: str
    name: str
    body: str
    created_at: datetime


@dataclass(frozen=True)
class QuarantinedFile:
    """A file that was judged, and where its quarantined rows lie."""

    batch: str
    source_key: str
    source_digest: str
    quarantine_key: str | None


@dataclass(frozen=True)
class Publication:
    """The snapshot that was made of a landed file, and where the rows lie that it lost."""

    digest: str
    quarantine_key: str | None


def judged_last(connection: Connection, datasets: list[str]) -> SuiteRow | None:
    """The revision that judged last among the datasets."""
    newest = (
        select(validation.c.suite_digest)
        .where(validation.c.dataset.in_(datasets))
        .order_by(validation.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    row = connection.execute(select(suite_revision).where(suite_revision.c.digest == newest))
    found = row.mappings().first()
    return as_row(SuiteRow, found) if found else None


def revisions(connection: Connection, name: str, limit: int) -> list[SuiteRow]:
    """Revisions of a suite that were accepted or judged something, newest first."""
    query = select(suite_revision).where(suite_revision.c.name == name)
    rows = connection.execute(query.order_by(suite_revision.c.created_at.desc()).limit(limit))
    return [as_row(SuiteRow, row) for row in rows.mappings()]


def last_batches(connection: Connection, dataset: str, limit: int) -> list[QuarantinedFile]:
    """The file that was judged last of each of the batches that landed last, oldest first.

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
    named = [newest.c[one.name] for one in fields(QuarantinedFile)]
    rows = connection.execute(
        select(*named).join(landed, same).order_by(landed.c.id.desc()).limit(limit)
    )
    return [as_row(QuarantinedFile, row) for row in rows.mappings()][::-1]


def publication(connection: Connection, dataset: str, source_digest: str) -> Publication | None:
    """Of a landed file that was published at least once."""
    row = connection.execute(
        select(snapshot.c.digest, validation.c.quarantine_key)
        .join(snapshot, snapshot.c.id == validation.c.snapshot_id)
        .where(validation.c.dataset == dataset, validation.c.source_digest == source_digest)
        .order_by(validation.c.id.desc())
        .limit(1)
    )
    found = row.mappings().first()
    return as_row(Publication, found) if found else None
