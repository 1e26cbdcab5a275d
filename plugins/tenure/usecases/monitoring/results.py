"""Keeps what was judged: reports, then results and incidents in one transaction."""

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.layout import drawn_key, selection_key
from tenure.lifecycle.incidents.kinds import IncidentSeverity
from tenure.lifecycle.monitoring import Kind
from tenure.usecases.monitoring.judge_window import DueWindow
from tenure.usecases.monitoring.window import WatchedModel
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.sql.monitoring import JudgedWindow

_log = logging.getLogger("tenure.monitoring")
_NO_MORE = "Of a version that serves no more, shipped or labelled later: "


def store(
    platform: Installation,
    watched: WatchedModel,
    due: DueWindow,
    reports: dict[Kind, Report],
    run: RunRef,
) -> None:
    """Reports first; then all results of the window and their incidents, or none.

    None as well when another run judged other decisions meanwhile: no decision is judged twice.
    """
    from tenure.adapters.sql import monitoring, versions

    model_name, window = watched.row.model, due.window
    _keep_selection(platform, model_name, due)
    digests = {
        kind: platform.reports.save(report, model=model_name, dataset=None, run=run)
        for kind, report in reports.items()
    }
    failpoint("monitoring.judged")
    now = platform.clock.now()
    with platform.database.begin() as connection:
        versions.lock(connection, watched.row.id)
        known = monitoring.judged_before(connection, watched.row.id)
        if any(known.get(kind) != due.before for kind in reports):
            _log.warning("window=%s judged-meanwhile version=%s", window, watched.name)
            return
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
                facts=result_facts(report, digests[kind]),
                report_digest=digests[kind],
                at=now,
            )
            if fresh:
                report_incident(
                    connection, watched, kind, report=report, digest=digests[kind], now=now
                )
    failpoint("monitoring.recorded")
    for report in reports.values():
        _log.info("window=%s %s", window, report.summary)


def result_facts(report: Report, digest: str) -> dict[str, object]:
    """What a result says beside its verdict; `cells` where outcomes were counted."""
    cells = {"cells": report.facts["cells"]} if "cells" in report.facts else {}
    return {
        "summary": report.summary,
        "remarks": report.facts["remarks"],
        "drawing": drawn_key(digest),
        **cells,
    }


def _keep_selection(platform: Installation, model: str, due: DueWindow) -> None:
    """Before the result that names it: the next window must know what to leave out."""
    from tenure.adapters.segment_files import segment_list

    key = selection_key(model, due.selection)
    if not platform.store.exists(key):
        platform.store.put(key, segment_list(due.segments))


def report_incident(
    connection: "Connection",
    watched: WatchedModel,
    kind: Kind,
    *,
    report: Report,
    digest: str,
    now: datetime,
) -> None:
    """A failed window opens one, the next that passes closes it; inconclusive changes nothing.

    That of a version that serves no more is one of its own: it says nothing about the champion.
    """
    from tenure.adapters.sql import incidents

    key = f"monitoring:{watched.row.model}:{kind}"
    own = f"{key}:{watched.row.version}"
    whose = "" if watched.serves else _NO_MORE
    if report.verdict is Verdict.FAILED:
        incidents.open_incident(
            connection,
            dedupe_key=own if whose else key,
            kind=f"{kind}_failed",
            subject=watched.name,
            severity=IncidentSeverity.SEV3 if whose else None,
            summary=f"{whose}{report.summary}",
            facts={"model": watched.row.model, "report": digest},
            at=now,
        )
    elif report.verdict is Verdict.PASSED:
        for over in {own, own if whose else key}:  # who serves again has both behind it
            incidents.close_incident(connection, dedupe_key=over, at=now)


def of_run(platform: Installation, model: str, run: RunRef) -> "list[JudgedWindow]":
    """Results of the model that the Airflow run stored, in whichever try."""
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        rows = monitoring.of_reports(connection, run.dag_id, run.run_id)
    return [row for row in rows if row.model == model]
