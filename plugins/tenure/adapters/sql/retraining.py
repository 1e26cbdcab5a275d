"""What the retraining controller reads, and the requests whose event may have been lost."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import (
    ledger_event,
    model_version,
    monitoring_result,
    report,
    retrain_request,
    snapshot,
    training_snapshot,
)
from tenure.lifecycle.monitoring import LABELLED, UNLABELLED
from tenure.lifecycle.monitoring.retraining import MonitoringResult, VersionHistory
from tenure.vocabulary import State

RECENT = 200
"""Windows of the champion that are looked at: a longer row of failures began long ago."""


@dataclass(frozen=True)
class FiledRequest:
    """A request, and the Airflow run that filed it."""

    id: int
    model: str
    reason_code: str
    reason: str
    state: str
    created_at: datetime
    run_id: str | None


def versions(connection: Connection, model: str) -> list[VersionHistory]:
    """Number, state, age and snapshot digests of each version, newest first."""
    digests: dict[int, set[str]] = {}
    linked = connection.execute(
        select(training_snapshot.c.model_version_id, snapshot.c.digest)
        .join(snapshot, snapshot.c.id == training_snapshot.c.snapshot_id)
        .join(model_version, model_version.c.id == training_snapshot.c.model_version_id)
        .where(model_version.c.model == model)
    )
    for version_id, digest in linked:
        digests.setdefault(version_id, set()).add(digest)
    mine = model_version.c
    rows = connection.execute(
        select(mine.id, mine.version, mine.state, mine.created_at)
        .where(mine.model == model)
        .order_by(mine.version.desc())
    )
    return [
        VersionHistory(
            version=row.version,
            state=State(row.state),
            snapshots=frozenset(digests.get(row.id, ())),
            at=row.created_at,
        )
        for row in rows
    ]


def champion_results(connection: Connection, model: str) -> list[MonitoringResult]:
    """Monitoring results of the version that is champion now, newest window first."""
    mine = monitoring_result.c
    rows = connection.execute(
        select(
            mine.kind,
            mine.verdict,
            mine.window_end.label("until"),
            func.coalesce(mine.facts["summary"].astext, "").label("summary"),
        )
        .join(model_version, model_version.c.id == mine.model_version_id)
        .where(
            model_version.c.model == model,
            model_version.c.state == str(State.CHAMPION),
            mine.kind.in_([*UNLABELLED, *LABELLED]),
        )
        .order_by(mine.window_end.desc(), mine.id.desc())
        .limit(RECENT)
    )
    return [as_row(MonitoringResult, row) for row in rows.mappings()]


def newest_request(connection: Connection, model: str) -> FiledRequest | None:
    """The last request that was filed, finished or not."""
    found = connection.execute(
        _filed().where(retrain_request.c.model == model).order_by(retrain_request.c.id.desc())
    ).mappings()
    row = found.first()
    return as_row(FiledRequest, row) if row else None


def waiting_requests(connection: Connection) -> list[FiledRequest]:
    """Requests that no training has picked up, oldest first."""
    rows = connection.execute(
        _filed().where(retrain_request.c.state == "open").order_by(retrain_request.c.id)
    )
    return [as_row(FiledRequest, row) for row in rows.mappings()]


def newest_report(connection: Connection, model: str) -> str | None:
    """Digest of the last decision that was stored for the model."""
    found: str | None = connection.execute(
        select(report.c.digest)
        .where(report.c.stage == "retraining", report.c.model == model)
        .order_by(report.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return found


def filing_key(request_id: int) -> str:
    """Key of the ledger event that says who filed the request."""
    return f"retrain_request:{request_id}"


def _filed() -> Select[Any]:
    mine = retrain_request.c
    key = "retrain_request:" + mine.id.cast(ledger_event.c.op_key.type)
    return select(
        mine.id,
        mine.model,
        mine.reason_code,
        mine.reason,
        mine.state,
        mine.created_at,
        ledger_event.c.body["run_id"].astext.label("run_id"),
    ).join(ledger_event, ledger_event.c.op_key == key, isouter=True)
