"""Keeps reports: JSON by digest in the object store, a row for the pages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.database import Database
from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import report as reports
from tenure.layout import report_key
from tenure.ports import ObjectStore
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, canonical_json


@dataclass(frozen=True)
class ReportRow:
    """A stored report, and whose task wrote it; the first fields are those of the report."""

    digest: str
    stage: str
    subject: str
    verdict: Verdict
    summary: str
    report: Report
    model: str | None
    dataset: str | None
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int
    created_at: datetime


class SqlReports:
    """Implements `tenure.ports.Reports`."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    def save(self, report: Report, *, model: str | None, dataset: str | None, run: RunRef) -> str:
        """Object first, then the row: a row never points to nothing."""
        digest = report.digest
        self._store.put(report_key(digest), canonical_json(report.to_dict()))
        with self._database.begin() as connection:
            insert(connection, report, model=model, dataset=dataset, run=run)
        return digest


def insert(
    connection: Connection, report: Report, *, model: str | None, dataset: str | None, run: RunRef
) -> bool:
    """The row alone: for failure cards, which must stand even when the object store is down.

    Returns:
        Whether it is new.
    """
    put = connection.execute(
        upsert(reports)
        .values(
            digest=report.digest,
            stage=report.stage,
            subject=report.subject,
            model=model,
            dataset=dataset,
            verdict=str(report.verdict),
            summary=report.summary,
            body=json.loads(canonical_json(report.to_dict())),
            dag_id=run.dag_id,
            run_id=run.run_id,
            task_id=run.task_id,
            map_index=run.map_index,
        )
        .on_conflict_do_nothing()
        .returning(reports.c.id)
    )
    return put.first() is not None


_COLUMNS = (*(c for c in reports.c if c.name not in {"id", "body"}), reports.c.body.label("report"))


def of_run(connection: Connection, dag_id: str, run_id: str) -> list[ReportRow]:
    """Every report that the run's tasks wrote, newest first."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(reports.c.dag_id == dag_id, reports.c.run_id == run_id)
        .order_by(reports.c.id.desc())
    )
    return [as_row(ReportRow, row) for row in rows.mappings()]


def by_digest(connection: Connection, beginning: str) -> ReportRow | None:
    """Any one row of the only report whose digest begins like this (hexadecimal)."""
    query = select(*_COLUMNS).where(reports.c.digest.startswith(beginning)).order_by(reports.c.id)
    found = connection.execute(query).mappings().all()
    return _only(found)


def _only(found: Sequence[RowMapping]) -> ReportRow | None:
    is_one = len({row["digest"] for row in found}) == 1
    return as_row(ReportRow, found[0]) if is_one else None
