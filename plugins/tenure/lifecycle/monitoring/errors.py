"""How good the champion of a regression is by now, and for whom: errors of mature decisions."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from tenure.lifecycle.monitoring.fairness import as_live, unclear, why_unclear
from tenure.lifecycle.monitoring.performance import decay_check, label_coverage_check
from tenure.lifecycle.monitoring.policy import MonitoringPolicy
from tenure.lifecycle.training.bias import ErrorBiasPolicy
from tenure.lifecycle.training.bias.errors import audit_errors
from tenure.lifecycle.training.evaluation.conformal import coverage_check
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy
from tenure.lifecycle.training.evaluation.regression import measure_sums
from tenure.ports import ErrorCounts
from tenure.verdicts import Check, Report, Verdict


def judge_errors(
    counts: ErrorCounts,
    policy: MonitoringPolicy,
    *,
    holdout: Mapping[str, float],
    promised: ConformalPolicy | None,
    subject: str,
    facts: Mapping[str, Any],
) -> Report:
    """Compare the window with the holdout of the same version, as `judge_performance` does.

    Args:
        counts: Of a window of mature decisions.
        policy: Metric (`mae` or `rmse`), limits.
        holdout: Metrics of the version's holdout.
        promised: Share of outcomes that its intervals promise to hold; None where it gives none.
        subject: What is judged.
        facts: Goes into the report.
    """
    measured = measure_sums(counts.sums, confidence=policy.confidence)
    checks = [label_coverage_check(counts, policy)]
    if checks[0].verdict is Verdict.PASSED:
        checks += _intervals(counts, promised, policy.confidence)
        checks.append(decay_check(measured, holdout, policy))
    decisive = max(reversed(checks), key=lambda check: _SEVERITY.index(check.verdict))
    named = f"{decisive.rule} " if decisive.rule != checks[0].rule else ""
    what = f"{named}{decisive.observed}"
    body = {
        **facts,
        "decisions": counts.decisions,
        "answered": counts.answered,
        "labelled": counts.labelled,
        "with_interval": counts.with_interval,
        "covered": counts.covered,
        "cells": list(counts.cells),
        "ambiguous_outcomes": counts.ambiguous,
        "metrics": {k: m.value for k, m in measured.items() if m.value is not None},
        "intervals": {k: [m.low, m.high] for k, m in measured.items() if m.low is not None},
        "holdout": dict(holdout),
    }
    return Report(
        stage="monitoring",
        subject=subject,
        verdict=decisive.verdict,
        summary=f"Performance {decisive.verdict}: {what}; allowed {decisive.allowed}.",
        checks=tuple(reversed(checks)),
        facts=body,
        enforced=False,
    )


def _intervals(
    counts: ErrorCounts, promised: ConformalPolicy | None, confidence: float
) -> list[Check]:
    """Whether the share of outcomes in their intervals is still what was promised."""
    if promised is None or not counts.with_interval:
        return []
    said = "mature outcomes lie in their interval"
    share = (counts.covered, counts.with_interval)
    return [
        coverage_check(
            promised, *share, said, rule="interval coverage", confidence=confidence, min_rows=1
        )
    ]


_SEVERITY = (Verdict.PASSED, Verdict.INCONCLUSIVE, Verdict.FAILED)


def judge_error_fairness(
    counts: ErrorCounts,
    policy: ErrorBiasPolicy,
    *,
    visible: Sequence[str],
    min_label_coverage: float,
    subject: str,
    today: date,
    facts: Mapping[str, Any],
) -> Report:
    """The bias audit of the mature decisions that have an outcome, as `judge_fairness`.

    Args:
        counts: Of a window; the keys of its groups are the values of `visible`, in order.
        policy: The model's bias gate.
        visible: Protected attributes that decisions carry (those that are features).
        min_label_coverage: Share of mature decisions with an outcome below which it is
            inconclusive.
        subject: What is judged.
        today: Decides whether an excuse still holds.
        facts: Goes into the report.
    """
    if why := why_unclear(counts, policy.attributes, visible, min_label_coverage):
        return unclear(why, subject, facts, counts)
    found = audit_errors(visible, counts.groups, policy, subject=subject, today=today)
    return as_live(found, policy.attributes, visible, facts)
