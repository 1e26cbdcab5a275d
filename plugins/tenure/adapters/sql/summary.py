"""What happened so far, in numbers: for the demo's table and `summary.json`."""

from typing import Any

from sqlalchemy import Connection, func, select

from tenure.adapters.sql.tables import (
    canary_analysis,
    ledger_event,
    model_version,
    report,
    retrain_request,
    validation,
)


def batches(connection: Connection, dataset: str) -> list[dict[str, Any]]:
    """Every judgement of a batch, oldest first."""
    columns = ("batch", "verdict", "rows_in", "rows_ok", "rows_quarantined", "report_digest")
    query = select(*(validation.c[name] for name in columns)).where(validation.c.dataset == dataset)
    return [dict(row) for row in connection.execute(query.order_by(validation.c.id)).mappings()]


def versions(connection: Connection, model: str | None = None) -> list[dict[str, Any]]:
    """Model, number, state and evidence of each version."""
    columns = ("id", "model", "version", "state", "evaluation_report", "bias_report", "facts")
    query = select(*(model_version.c[name] for name in columns)).order_by(
        model_version.c.model, model_version.c.version
    )
    if model is not None:
        query = query.where(model_version.c.model == model)
    return [dict(row) for row in connection.execute(query).mappings()]


def requests(connection: Connection, model: str) -> list[dict[str, Any]]:
    """Retrain requests of the model, oldest first."""
    columns = ("id", "reason_code", "reason", "state")
    query = select(*(retrain_request.c[name] for name in columns)).where(
        retrain_request.c.model == model
    )
    return [
        dict(row) for row in connection.execute(query.order_by(retrain_request.c.id)).mappings()
    ]


def analyses(connection: Connection, version_id: int) -> list[dict[str, Any]]:
    """Analyses of a version's canary, oldest first."""
    columns = ("number", "share_bp", "verdict", "action")
    query = select(*(canary_analysis.c[name] for name in columns)).where(
        canary_analysis.c.model_version_id == version_id
    )
    rows = connection.execute(query.order_by(canary_analysis.c.number))
    return [dict(row) for row in rows.mappings()]


def reports(connection: Connection, after_id: int = 0) -> list[dict[str, Any]]:
    """Reports and failure cards written after a row id, oldest first."""
    columns = (
        "id",
        "digest",
        "stage",
        "subject",
        "verdict",
        "summary",
        "dag_id",
        "task_id",
        "body",
    )
    query = select(*(report.c[name] for name in columns)).where(report.c.id > after_id)
    return [dict(row) for row in connection.execute(query.order_by(report.c.id)).mappings()]


def ledger_length(connection: Connection) -> int:
    """Events of the chain."""
    return int(connection.execute(select(func.count()).select_from(ledger_event)).scalar_one())
