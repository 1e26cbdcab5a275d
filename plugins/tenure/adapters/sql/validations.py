"""What the pages of a dataset read: one validation, those before it, and what hangs on it."""

from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql import tables as t

Row = dict[str, Any]


def of_report(connection: Connection, digest: str) -> Row | None:
    """The validation that a report is the evidence of, with the `digest` of its snapshot."""
    query = (
        select(t.validation, t.snapshot.c.digest)
        .outerjoin(t.snapshot, t.snapshot.c.id == t.validation.c.snapshot_id)
        .where(t.validation.c.report_digest == digest)
        .order_by(t.validation.c.id)
    )
    return _first(connection, query)


def history(connection: Connection, dataset: str, until: int, limit: int) -> list[Row]:
    """The newest validation of each of the last batches, oldest first, with its `checks`.

    Args:
        connection: Of the lifecycle database.
        dataset: Its name.
        until: Id of the validation that is the last one to count.
        limit: Batches.
    """
    v, r = t.validation, t.report
    newest = (
        select(v.c.id, v.c.batch, v.c.verdict, v.c.report_digest)
        .where(v.c.dataset == dataset, v.c.id <= until)
        .ext(distinct_on(v.c.batch))
        .order_by(v.c.batch, v.c.id.desc())
        .subquery()
    )
    last = select(newest).order_by(newest.c.id.desc()).limit(limit).subquery()
    query = (
        select(last, r.c.body["checks"].label("checks"))
        .join(r, r.c.digest == last.c.report_digest)
        .ext(distinct_on(last.c.id))
        .order_by(last.c.id)
    )
    return _rows(connection, query)


def suite(connection: Connection, digest: str) -> Row | None:
    """Name and body of a suite's revision."""
    table = t.suite_revision
    return _first(connection, select(table).where(table.c.digest == digest))


def suite_before(connection: Connection, dataset: str, validation: Row) -> Row | None:
    """The revision that judged before the one of this validation; None when it is the first."""
    v = t.validation
    query = (
        select(t.suite_revision, v.c.batch)
        .join(v, v.c.suite_digest == t.suite_revision.c.digest)
        .where(v.c.dataset == dataset, v.c.id < validation["id"])
        .where(v.c.suite_digest != validation["suite_digest"])
        .order_by(v.c.id.desc())
        .limit(1)
    )
    return _first(connection, query)


def config(connection: Connection, digest: str) -> str | None:
    """The text of a config's revision."""
    table = t.config_revision
    return connection.scalar(select(table.c.body).where(table.c.digest == digest))


def newest_config(connection: Connection, dataset: str) -> str | None:
    """The text of the config that judged last."""
    v, c = t.validation, t.config_revision
    return connection.scalar(
        select(c.c.body)
        .join(v, v.c.config_digest == c.c.digest)
        .where(v.c.dataset == dataset)
        .order_by(v.c.id.desc())
        .limit(1)
    )


def trained_on(connection: Connection, snapshot_id: int | None) -> list[Row]:
    """Model, version and state of the versions that learned from a snapshot."""
    v, link = t.model_version, t.training_snapshot
    query = (
        select(v.c.model, v.c.version, v.c.state)
        .join(link, link.c.model_version_id == v.c.id)
        .where(link.c.snapshot_id == snapshot_id)
        .order_by(v.c.model, v.c.version.desc())
    )
    return _rows(connection, query) if snapshot_id is not None else []


def dataset(connection: Connection, name: str) -> Row | None:
    """The dataset as it was registered."""
    return _first(connection, select(t.dataset).where(t.dataset.c.name == name))


def _rows(connection: Connection, query: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _first(connection: Connection, query: Any) -> Row | None:
    found = connection.execute(query).mappings().first()
    return dict(found) if found else None
