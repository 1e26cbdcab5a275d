"""Suites as the database knows them: what was judged by which revision."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import snapshot, suite_revision, validation
from tenure.verdicts import Verdict


@dataclass(frozen=True)
class SuiteRow:
    """A suite's revision, kept since it was accepted or judged first."""

    digest: str
    name: str
    body: str
    created_at: datetime


@dataclass(frozen=True)
class QuarantinedFile:
    """A file that was judged, and where its quarantined rows lie.

    `is_replaced` says that another file of its batch was judged later.
    """

    batch: str
    source_key: str
    source_digest: str
    quarantine_key: str | None
    is_replaced: bool


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


def last_batches(
    connection: Connection, dataset: str, limit: int, *, with_refused: bool = False
) -> list[QuarantinedFile]:
    """The file that was judged last of each of the batches that landed last, oldest first.

    A batch that was repaired landed when the repaired file did; judging an old file again by new
    rules does not make it newer.

    Args:
        connection: Of the lifecycle database.
        dataset: Its name.
        limit: How many.
        with_refused: Also files that failed and that another file of their batch replaced.
    """
    v = validation
    of_file = func.min(v.c.id).over(partition_by=(v.c.batch, v.c.source_digest))
    of_batch = func.max(v.c.id).over(partition_by=v.c.batch)
    judged = (
        select(v, of_file.label("landed"), (v.c.id != of_batch).label("is_replaced"))
        .where(v.c.dataset == dataset)
        .subquery()
    )
    newest = (
        select(judged)
        .ext(distinct_on(judged.c.landed))
        .order_by(judged.c.landed, judged.c.id.desc())
        .subquery()
    )
    is_wanted = ~newest.c.is_replaced
    if with_refused:
        is_wanted |= newest.c.verdict == str(Verdict.FAILED)
    named = [newest.c[one.name] for one in fields(QuarantinedFile)]
    rows = connection.execute(
        select(*named).where(is_wanted).order_by(newest.c.landed.desc()).limit(limit)
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
