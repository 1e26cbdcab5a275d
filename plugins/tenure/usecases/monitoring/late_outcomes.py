"""Outcomes that came after their decisions were judged: these are judged once more."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.monitoring import LATE_OUTCOMES
from tenure.ports import ClassCounts, DecisionFilter, ErrorCounts, OutcomeCounts
from tenure.usecases.monitoring.judge_window import promised_coverage
from tenure.usecases.monitoring.results import report_incident, result_facts
from tenure.usecases.monitoring.window import (
    CLOCKS_DIFFER,
    WatchedModel,
    judged_rows,
    outcome_files,
)
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, digest_json

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.sql.monitoring import JudgedBefore, LabelsThen
    from tenure.ports import OutcomeSum

_log = logging.getLogger("tenure.monitoring")


def judge_late_outcomes(platform: Installation, watched: WatchedModel, run: RunRef) -> None:
    """Judge performance over all that was judged before, if its outcomes are others than then.

    They are stored once: the next look compares with these.
    """
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        before = monitoring.judged_before(connection, watched.row.id).get("performance")
        then = monitoring.labels_then(connection, watched.row.id)
        may_differ = then is not None and (
            watched.serves
            or monitoring.outcomes_came_since(
                connection, watched.row.model, then.at - CLOCKS_DIFFER
            )
        )
    if before is None or then is None or not may_differ:
        return
    engine, files = IbisEngine(), outcome_files(platform, watched.row.model)  # opens no features
    rest = watched.decisions(None, judged_rows(platform, watched.row.model, before))
    counts = _counted(engine, watched, replace(rest, again=True), files)
    if _cells(counts) == then.cells:
        return
    found = engine.outcome_sum(rest, files, watched.every)
    sums = replace(found, waiting=found.waiting + found.judged_here, judged_here=0)
    report = _judge(watched, counts, before, then, sums)
    _store(platform, watched, report, (before, then), run)


def _counted(
    engine: "IbisEngine", watched: WatchedModel, rest: DecisionFilter, files: Sequence[Path]
) -> OutcomeCounts | ClassCounts | ErrorCounts:
    from tenure.lifecycle.monitoring.performance import SCORE_BINS

    if watched.config.task == "regression":
        return engine.errors(rest, files, attributes=())
    if watched.config.task == "multiclass":
        return engine.classes(rest, files, attributes=())
    return engine.outcomes(rest, files, attributes=(), bins=SCORE_BINS)


def _cells(counts: OutcomeCounts | ClassCounts | ErrorCounts) -> tuple[int, ...]:
    from tenure.lifecycle.monitoring.performance import confusion

    return tuple(confusion(counts)) if isinstance(counts, OutcomeCounts) else counts.cells


def _judge(
    watched: WatchedModel,
    counts: OutcomeCounts | ClassCounts | ErrorCounts,
    before: "JudgedBefore",
    then: "LabelsThen",
    outcomes: "OutcomeSum",
) -> Report:
    from tenure.lifecycle.monitoring.classes import judge_classes
    from tenure.lifecycle.monitoring.errors import judge_errors
    from tenure.lifecycle.monitoring.performance import judge_performance

    policy, holdout = watched.config.monitoring, watched.row.facts.metrics
    facts = {
        "kind": LATE_OUTCOMES,
        "model": watched.row.model,
        "version": watched.row.version,
        "window": [then.since.isoformat(), before.until.isoformat()],
        "outcomes": asdict(outcomes),
        "remarks": outcomes.remarks(),
        "cells_then": list(then.cells),
        "config_digest": watched.config_digest,
        "reference_digest": watched.row.facts.holdout_digest,
        "artifact_digest": watched.row.artifact_digest,
    }
    if isinstance(counts, ErrorCounts):
        found = judge_errors(
            counts,
            policy,
            holdout=holdout,
            promised=promised_coverage(watched),
            subject=watched.name,
            facts=facts,
        )
    elif isinstance(counts, ClassCounts):
        found = judge_classes(
            counts,
            policy,
            holdout=holdout,
            known=watched.row.facts.classes,
            seed=watched.config.training.seed,
            subject=watched.name,
            facts=facts,
        )
    else:
        found = judge_performance(
            counts,
            policy,
            holdout=holdout,
            seed=watched.config.training.seed,
            subject=watched.name,
            facts=facts,
        )
    say = _errors if isinstance(counts, ErrorCounts) else _labels
    if isinstance(counts, ClassCounts):
        say = _classes
    summary = (
        f"Late outcomes {found.verdict}: of {before.decisions:,} decisions that were judged "
        f"before, {say(then.cells)} then and {say(_cells(counts))} now. Judged again: "
        f"{found.summary}"
    )
    return replace(found, summary=summary)


def _errors(cells: Sequence[int]) -> str:
    """Of rows, errors and absolute errors, the last two in millionths."""
    rows, _, absolute, _ = cells
    mean = f"{absolute / rows / 1e6:.4g}" if rows else "none"
    return f"{rows:,} had an outcome (mean absolute error {mean})"


def _classes(cells: Sequence[int]) -> str:
    """Of right ones and wrong ones."""
    right, wrong = cells[:2]
    return f"{right + wrong:,} had an outcome (the answer was wrong in {wrong:,})"


def _labels(cells: Sequence[int]) -> str:
    """Of (tp, fp, fn, tn)."""
    return f"{sum(cells):,} had an outcome (the decision was wrong in {cells[1] + cells[2]:,})"


def _store(
    platform: Installation,
    watched: WatchedModel,
    report: Report,
    known: "tuple[JudgedBefore, LabelsThen]",
    run: RunRef,
) -> None:
    from tenure.adapters.sql import monitoring, versions

    before, then = known

    digest = platform.reports.save(report, model=watched.row.model, dataset=None, run=run)
    now = platform.clock.now()
    with platform.database.begin() as connection:
        versions.lock(connection, watched.row.id)
        if monitoring.labels_then(connection, watched.row.id) != then:
            return  # another run was faster: the next look compares with what it found
        monitoring.add(
            connection,
            model_name=watched.row.model,
            version_id=watched.row.id,
            window=(then.since, before.until),
            kind=LATE_OUTCOMES,
            verdict=str(report.verdict),
            decisions=before.decisions,
            selection=digest_json([then.id, report.facts["cells"]]),
            facts=result_facts(report, digest),
            report_digest=digest,
            at=now,
        )
        report_incident(connection, watched, LATE_OUTCOMES, report=report, digest=digest, now=now)
    _log.info("late_outcomes=%s %s", watched.name, report.summary)
