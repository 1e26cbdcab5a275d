"""What happened so far, in numbers: for the demo's table and `summary.json`."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import (
    canary_analysis,
    ledger_event,
    model_version,
    report,
    retrain_request,
    validation,
)
from tenure.verdicts import Verdict
from tenure.vocabulary import State


@dataclass(frozen=True)
class BatchVerdict:
    """One judgement of a batch."""

    batch: str
    verdict: Verdict
    rows_in: int
    rows_ok: int
    rows_quarantined: int
    report_digest: str


@dataclass(frozen=True)
class VersionState:
    """How far a version is, with its evidence."""

    id: int
    model: str
    version: int
    state: State
    evaluation_report: str | None
    bias_report: str | None
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class RequestState:
    """A retrain request."""

    id: int
    reason_code: str
    reason: str
    state: str


@dataclass(frozen=True)
class AnalysisStep:
    """One analysis of a canary, and the share of traffic that it was made at."""

    number: int
    share_bp: int
    verdict: Verdict
    action: str


@dataclass(frozen=True)
class WrittenReport:
    """A report or a failure card, with the task that wrote it."""

    id: int
    digest: str
    stage: str
    subject: str
    verdict: Verdict
    summary: str
    dag_id: str | None
    task_id: str | None
    facts: Mapping[str, object]


def batches(connection: Connection, dataset: str) -> list[BatchVerdict]:
    """Every judgement of a batch, oldest first."""
    columns = (validation.c[name] for name in BatchVerdict.__dataclass_fields__)
    query = select(*columns).where(validation.c.dataset == dataset).order_by(validation.c.id)
    return [as_row(BatchVerdict, row) for row in connection.execute(query).mappings()]


def versions(connection: Connection, model: str | None = None) -> list[VersionState]:
    """Every version, by model and number."""
    names = ("id", "model", "version", "state", "evaluation_report", "bias_report")
    metrics = func.coalesce(model_version.c.facts["metrics"], text("'{}'::jsonb")).label("metrics")
    query = select(*(model_version.c[name] for name in names), metrics).order_by(
        model_version.c.model, model_version.c.version
    )
    if model is not None:
        query = query.where(model_version.c.model == model)
    return [as_row(VersionState, row) for row in connection.execute(query).mappings()]


def requests(connection: Connection, model: str) -> list[RequestState]:
    """Retrain requests of the model, oldest first."""
    columns = (retrain_request.c[name] for name in RequestState.__dataclass_fields__)
    query = select(*columns).where(retrain_request.c.model == model).order_by(retrain_request.c.id)
    return [as_row(RequestState, row) for row in connection.execute(query).mappings()]


def analyses(connection: Connection, version_id: int) -> list[AnalysisStep]:
    """Analyses of a version's canary, oldest first."""
    columns = (canary_analysis.c[name] for name in AnalysisStep.__dataclass_fields__)
    query = select(*columns).where(canary_analysis.c.model_version_id == version_id)
    rows = connection.execute(query.order_by(canary_analysis.c.number)).mappings()
    return [as_row(AnalysisStep, row) for row in rows]


def reports(connection: Connection, after_id: int = 0) -> list[WrittenReport]:
    """Reports and failure cards written after a row id, oldest first."""
    names = [name for name in WrittenReport.__dataclass_fields__ if name != "facts"]
    facts = func.coalesce(report.c.body["facts"], text("'{}'::jsonb")).label("facts")
    query = select(*(report.c[name] for name in names), facts).where(report.c.id > after_id)
    return [
        as_row(WrittenReport, row)
        for row in connection.execute(query.order_by(report.c.id)).mappings()
    ]


def ledger_length(connection: Connection) -> int:
    """Events of the chain."""
    return int(connection.execute(select(func.count()).select_from(ledger_event)).scalar_one())
