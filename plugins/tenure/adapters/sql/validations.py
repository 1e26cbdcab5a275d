"""What the pages of a dataset read: one validation, those before it, and what hangs on it."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import Connection, cast, func, select
from sqlalchemy.dialects.postgresql import JSONPATH, distinct_on

from tenure.adapters.sql import tables as t
from tenure.adapters.sql.data import DatasetRow, ValidationRow, validation_rows
from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.suites import SuiteRow
from tenure.lifecycle.data.quality import SCHEMA, lost_columns
from tenure.verdicts import Check, Verdict
from tenure.vocabulary import State

_OF_SCHEMA = "$[*] ? (@.rule == $rule)"


@dataclass(frozen=True)
class BatchChecks:
    """The checks of the newest validation of a batch."""

    batch: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class EarlierSuite:
    """A suite's revision that judged before, and the last batch that it judged."""

    digest: str
    name: str
    body: str
    created_at: datetime
    batch: str


@dataclass(frozen=True)
class TrainedVersion:
    """A version that learned from a snapshot."""

    model: str
    version: int
    state: State


def of_report(connection: Connection, digest: str) -> ValidationRow | None:
    """The validation that a report is the evidence of."""
    query = validation_rows().where(t.validation.c.report_digest == digest)
    found = connection.execute(query.order_by(t.validation.c.id)).mappings().first()
    return as_row(ValidationRow, found) if found else None


def partly_usable(connection: Connection, reports: Iterable[str]) -> frozenset[str]:
    """Those of the reports whose batch, although published, stops a model that reads it."""
    return frozenset(lost(connection, reports))


def lost(connection: Connection, reports: Iterable[str]) -> dict[str, frozenset[str]]:
    """Columns that models read and a published batch lacks, by report; whole ones are left out."""
    r, v = t.report, t.validation
    of_schema = func.jsonb_path_query_array(
        r.c.body["checks"], cast(_OF_SCHEMA, JSONPATH), func.jsonb_build_object("rule", SCHEMA)
    )
    rows = connection.execute(
        select(r.c.digest, of_schema.label("checks"))
        .join(v, v.c.report_digest == r.c.digest)
        .where(r.c.digest.in_(list(reports)), v.c.snapshot_id.is_not(None))
    )
    found = {row.digest: lost_columns(map(Check.from_dict, row.checks)) for row in rows}
    return {digest: columns for digest, columns in found.items() if columns}


def history(connection: Connection, dataset: str, until: int, limit: int) -> list[BatchChecks]:
    """The newest validation of each of the last batches, oldest first.

    Args:
        connection: Of the lifecycle database.
        dataset: Its name.
        until: Id of the validation that is the last one to count.
        limit: Batches.
    """
    v, r = t.validation, t.report
    newest = (
        select(v.c.id, v.c.batch, v.c.report_digest)
        .where(v.c.dataset == dataset, v.c.id <= until)
        .ext(distinct_on(v.c.batch))
        .order_by(v.c.batch, v.c.id.desc())
        .subquery()
    )
    last = select(newest).order_by(newest.c.id.desc()).limit(limit).subquery()
    query = (
        select(last.c.batch, r.c.body["checks"].label("checks"))
        .join(r, r.c.digest == last.c.report_digest)
        .ext(distinct_on(last.c.id))
        .order_by(last.c.id)
    )
    return [as_row(BatchChecks, row) for row in connection.execute(query).mappings()]


def suite(connection: Connection, digest: str) -> SuiteRow | None:
    """A suite's revision."""
    table = t.suite_revision
    found = connection.execute(select(table).where(table.c.digest == digest)).mappings().first()
    return as_row(SuiteRow, found) if found else None


def suite_before(connection: Connection, validation: ValidationRow) -> EarlierSuite | None:
    """The revision that judged before the one of this validation; None when it is the first."""
    v = t.validation
    query = (
        select(t.suite_revision, v.c.batch)
        .join(v, v.c.suite_digest == t.suite_revision.c.digest)
        .where(v.c.dataset == validation.dataset, v.c.id < validation.id)
        .where(v.c.suite_digest != validation.suite_digest)
        .order_by(v.c.id.desc())
        .limit(1)
    )
    found = connection.execute(query).mappings().first()
    return as_row(EarlierSuite, found) if found else None


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


def trained_on(connection: Connection, snapshot_id: int | None) -> list[TrainedVersion]:
    """The versions that learned from a snapshot."""
    if snapshot_id is None:
        return []
    v, link = t.model_version, t.training_snapshot
    query = (
        select(v.c.model, v.c.version, v.c.state)
        .join(link, link.c.model_version_id == v.c.id)
        .where(link.c.snapshot_id == snapshot_id)
        .order_by(v.c.model, v.c.version.desc())
    )
    return [as_row(TrainedVersion, row) for row in connection.execute(query).mappings()]


def dataset(connection: Connection, name: str) -> DatasetRow | None:
    """The dataset as it was registered."""
    query = select(t.dataset).where(t.dataset.c.name == name)
    found = connection.execute(query).mappings().first()
    return as_row(DatasetRow, found) if found else None


@dataclass(frozen=True)
class JudgedFileChecks:
    """The newest judgement of a landed file, with its checks; a repaired batch has several."""

    batch: str
    source_digest: str
    verdict: Verdict
    rows_in: int
    rows_quarantined: int
    report_digest: str
    created_at: datetime
    checks: tuple[Check, ...]


def last_files(connection: Connection, dataset: str, limit: int) -> list[JudgedFileChecks]:
    """The files that landed last, also those that were refused and repaired, oldest first."""
    v, r = t.validation, t.report
    of_file = func.min(v.c.id).over(partition_by=(v.c.batch, v.c.source_digest))
    judged = select(v, of_file.label("landed")).where(v.c.dataset == dataset).subquery("judged")
    newest = (
        select(judged)
        .ext(distinct_on(judged.c.landed))
        .order_by(judged.c.landed, judged.c.id.desc())
        .subquery("newest")
    )
    last = select(newest).order_by(newest.c.landed.desc()).limit(limit).subquery("last")
    named = [last.c[one.name] for one in fields(JudgedFileChecks) if one.name != "checks"]
    query = (
        select(*named, r.c.body["checks"].label("checks"))
        .join(r, r.c.digest == last.c.report_digest)
        .ext(distinct_on(last.c.landed))
        .order_by(last.c.landed)
    )
    return [as_row(JudgedFileChecks, row) for row in connection.execute(query).mappings()]
