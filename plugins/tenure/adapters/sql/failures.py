"""Failure cards: report rows of the stage `failure`, keyed by the task that failed."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import report as reports
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, canonical_json

STAGE = "failure"


def insert(
    connection: Connection, report: Report, *, model: str | None, dataset: str | None, run: RunRef
) -> str:
    """Write the card as a row alone, so that it stands even when the object store is down."""
    digest = report.digest
    connection.execute(
        upsert(reports)
        .values(
            digest=digest,
            stage=STAGE,
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
    )
    return digest


def of_run(connection: Connection, dag_id: str, run_id: str) -> Sequence[dict[str, Any]]:
    """Every report that the run's tasks wrote, newest first."""
    rows = connection.execute(
        select(reports)
        .where(reports.c.dag_id == dag_id, reports.c.run_id == run_id)
        .order_by(reports.c.id.desc())
    )
    return [dict(row) for row in rows.mappings()]
