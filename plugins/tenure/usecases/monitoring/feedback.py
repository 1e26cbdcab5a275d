"""Looks where people object to the champion's decisions; one incident a model tells its owner."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.monitoring import FEEDBACK
from tenure.usecases.monitoring.judge_window import reference_file
from tenure.usecases.monitoring.results import report_incident, result_facts
from tenure.usecases.monitoring.window import WatchedModel
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, digest_json

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine

_log = logging.getLogger("tenure.monitoring")
_QUARTERS = (0.25, 0.5, 0.75)


def judge_objections(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel, run: RunRef
) -> None:
    """Judge feedback about the decisions of the last days, if there is any that is new.

    It is judged once: again only with other feedback, or `min_decisions` decisions later.
    """
    from tenure.adapters.sql import feedback, monitoring

    with platform.database.begin() as connection:
        if not feedback.is_given(connection, watched.row.id):
            return
    tally = engine.tally(watched.decisions(platform.clock.now()))
    policy, until = watched.config.monitoring.feedback, tally.due.last
    if until is None:
        return
    after = until - timedelta(days=policy.days)
    with platform.database.begin() as connection:
        every = feedback.objections(connection, watched.row.id)
        accepted = feedback.accepted(connection, watched.row.id, after=after, until=until)
        mine = [one for one in every if one.decided_at is not None and one.decided_at > after]
        steps = tally.due.rows // watched.config.monitoring.min_decisions
        selection = digest_json([sorted(one.feedback_id for one in mine), accepted, steps])
        if monitoring.is_stored(connection, watched.row.id, FEEDBACK, selection):
            return
    ids = sorted({one.decision_id for one in mine if one.decision_id})
    window = _FeedbackWindow(after, until, ids, accepted, selection)
    report = _judge(platform, engine, watched, window)
    _store(platform, watched, window, report=report, run=run)


@dataclass(frozen=True)
class _FeedbackWindow:
    """Decisions in (after, until], those objected to, how many were accepted, and their digest."""

    after: datetime
    until: datetime
    ids: Sequence[str]
    accepted: int
    selection: str


def _judge(
    platform: Installation,
    engine: "IbisEngine",
    watched: WatchedModel,
    window: _FeedbackWindow,
) -> Report:
    from tenure.lifecycle.monitoring.feedback import judge_feedback, segments

    ids = window.ids
    decisions = replace(watched.decisions(window.until), after=window.after)
    reference = [reference_file(platform, watched.row.facts)]
    numeric = [f"f_{name}" for name in watched.numeric]
    quantiles = engine.quantiles(reference, numeric, _QUARTERS)
    edges = {name: sorted(set(ends)) for name, ends in quantiles.items() if ends}
    said = {"binary": ["decision"], "multiclass": ["answer"]}.get(watched.config.task, [])
    texts = [*(f"f_{name}" for name in watched.categorical), *said, "fallback_level"]
    counts = engine.features(reference, decisions, edges=edges, categorical=texts)[1]
    objected = engine.coded(decisions, ids, edges=edges, categorical=texts) if ids else []
    erased = len(ids) - len(objected)
    remarks = (
        f"{erased:,} of {len(ids):,} decisions that people objected to are not counted: their "
        "subjects were erased, or the log does not hold them any more."
    )
    return judge_feedback(
        segments(counts, objected, edges),
        watched.config.monitoring.feedback,
        of=(counts.rows, len(objected)),
        confidence=watched.config.monitoring.confidence,
        subject=watched.name,
        facts={
            "kind": FEEDBACK,
            "model": watched.row.model,
            "version": watched.row.version,
            "window": [window.after.isoformat(), window.until.isoformat()],
            "decisions": counts.rows,
            "accepted": window.accepted,
            "objections": len(objected),
            "not_counted": erased,
            "remarks": remarks if erased else "",
            "config_digest": watched.config_digest,
            "artifact_digest": watched.row.artifact_digest,
        },
    )


def _store(
    platform: Installation,
    watched: WatchedModel,
    window: _FeedbackWindow,
    *,
    report: Report,
    run: RunRef,
) -> None:
    from tenure.adapters.sql import monitoring, versions

    digest = platform.reports.save(report, model=watched.row.model, dataset=None, run=run)
    now = platform.clock.now()
    with platform.database.begin() as connection:
        versions.lock(connection, watched.row.id)
        is_fresh = monitoring.add(
            connection,
            model_name=watched.row.model,
            version_id=watched.row.id,
            window=(window.after, window.until),
            kind=FEEDBACK,
            verdict=str(report.verdict),
            decisions=int(str(report.facts["decisions"])),
            selection=window.selection,
            facts=result_facts(report, digest),
            report_digest=digest,
            at=now,
        )
        if is_fresh:
            report_incident(connection, watched, FEEDBACK, report=report, digest=digest, now=now)
    _log.info("feedback=%s %s", watched.name, report.summary)
