"""Keeps what was judged: reports, then results and incidents in one transaction."""

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.layout import drawn_key, selection_key
from tenure.lifecycle.monitoring import Kind
from tenure.usecases.monitoring.judge_window import DueWindow
from tenure.usecases.monitoring.window import WatchedModel
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.monitoring import JudgedWindow

_log = logging.getLogger("tenure.monitoring")
_SEVERITY = {"performance": "error", "fairness": "error", "drift": "warning", "quality": "warning"}


def store(
    platform: Installation,
    watched: WatchedModel,
    due: DueWindow,
    reports: dict[Kind, Report],
    run: RunRef,
) -> None:
    """Reports first; then all results of the window and their incidents, or none."""
    from tenure.adapters.sql import monitoring

    model_name, window = watched.row.model, due.window
    _keep_selection(platform, model_name, due)
    digests = {
        kind: platform.reports.save(report, model=model_name, dataset=None, run=run)
        for kind, report in reports.items()
    }
    now = platform.clock.now()
    with platform.database.begin() as connection:
        for kind, report in reports.items():
            fresh = monitoring.add(
                connection,
                model_name=model_name,
                version_id=watched.row.id,
                window=(window.after, window.until),
                kind=kind,
                verdict=str(report.verdict),
                decisions=window.decisions,
                selection=due.selection,
                facts={"summary": report.summary, "drawing": drawn_key(digests[kind])},
                report_digest=digests[kind],
                at=now,
            )
            if fresh:
                _report_incident(
                    connection, watched, kind, report=report, digest=digests[kind], now=now
                )
    for report in reports.values():
        _log.info("window=%s %s", window, report.summary)


def _keep_selection(platform: Installation, model: str, due: DueWindow) -> None:
    """Before the result that names it: the next window must know what to leave out."""
    from tenure.adapters.segment_files import segment_list

    key = selection_key(model, due.selection)
    if not platform.store.exists(key):
        platform.store.put(key, segment_list(due.segments))


def _report_incident(
    connection: "Connection",
    watched: WatchedModel,
    kind: Kind,
    *,
    report: Report,
    digest: str,
    now: datetime,
) -> None:
    """A failed window opens one, the next that passes closes it; inconclusive changes nothing."""
    from tenure.adapters.sql import incidents

    key = f"monitoring:{watched.row.model}:{kind}"
    if report.verdict is Verdict.FAILED:
        incidents.open_incident(
            connection,
            dedupe_key=key,
            kind=f"{kind}_failed",
            subject=watched.name,
            severity=_SEVERITY[kind],
            summary=report.summary,
            facts={"model": watched.row.model, "report": digest},
            at=now,
        )
    elif report.verdict is Verdict.PASSED:
        incidents.close_incident(connection, dedupe_key=key, at=now)


def of_run(platform: Installation, watched: WatchedModel, run: RunRef) -> "list[JudgedWindow]":
    """Results of the model that the Airflow run stored, in whichever try."""
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        rows = monitoring.of_reports(connection, run.dag_id, run.run_id)
    return [row for row in rows if row.model == watched.config.name]
