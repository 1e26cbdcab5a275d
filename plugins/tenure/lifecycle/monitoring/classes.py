"""How good the champion of several classes is by now, and for whom: counts of mature decisions."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np

from tenure.lifecycle.monitoring.fairness import as_live, unclear, why_unclear
from tenure.lifecycle.monitoring.performance import decay_check, label_coverage_check
from tenure.lifecycle.monitoring.policy import MonitoringPolicy
from tenure.lifecycle.training.bias import BiasPolicy
from tenure.lifecycle.training.bias.class_audit import audit_classes
from tenure.lifecycle.training.evaluation.classes import (
    measure_confusion,
    unseen_check,
    unseen_classes,
)
from tenure.ports import ClassCounts
from tenure.verdicts import Report, Verdict


def judge_classes(
    counts: ClassCounts,
    policy: MonitoringPolicy,
    *,
    holdout: Mapping[str, float],
    known: Mapping[str, int],
    seed: int,
    subject: str,
    facts: Mapping[str, Any],
) -> Report:
    """Compare the window with the holdout of the same version, as `judge_performance` does.

    Outcomes of a class that training did not see count as wrong answers, and are said.

    Args:
        counts: Of a window of mature decisions.
        policy: Metric (one that counts define), limits.
        holdout: Metrics of the version's holdout.
        known: Rows that were learned from, by class.
        seed: Of the bootstrap.
        subject: What is judged.
        facts: Goes into the report.
    """
    pairs = counts.pairs
    others = {name for pair in pairs for name in pair} - known.keys()
    names = [*sorted(known), *sorted(others)]
    at = {name: place for place, name in enumerate(names)}
    cells = np.zeros((len(names), len(names)), dtype=np.int64)
    for (answer, label), rows in pairs.items():
        cells[at[label], at[answer]] = rows
    measured = measure_confusion(cells, known=len(known), confidence=policy.confidence, seed=seed)
    checks = [label_coverage_check(counts, policy)]
    if checks[0].verdict is Verdict.PASSED:
        checks.append(decay_check(measured, holdout, policy))
    decisive = checks[-1]
    what = f"{policy.metric} {decisive.observed}" if len(checks) > 1 else decisive.observed
    true = dict(zip(names, cells.sum(axis=1).tolist(), strict=True))
    unseen = unseen_classes(true, known)
    said = [unseen_check(unseen)] if unseen else []
    also = "".join(f" {check.observed}." for check in said)
    body = {
        **facts,
        "decisions": counts.decisions,
        "answered": counts.answered,
        "labelled": counts.labelled,
        "cells": list(counts.cells),
        "confusion": {"true_by_answered": cells.tolist(), "classes": names},
        "unseen_classes": unseen,
        "ambiguous_outcomes": counts.ambiguous,
        "metrics": {k: m.value for k, m in measured.items() if m.value is not None},
        "intervals": {k: [m.low, m.high] for k, m in measured.items() if m.low is not None},
        "holdout": dict(holdout),
    }
    return Report(
        stage="monitoring",
        subject=subject,
        verdict=decisive.verdict,
        summary=f"Performance {decisive.verdict}: {what}; allowed {decisive.allowed}.{also}",
        checks=(*reversed(checks), *said),
        facts=body,
        enforced=False,
    )


def judge_class_fairness(
    counts: ClassCounts,
    policy: BiasPolicy,
    *,
    visible: Sequence[str],
    min_label_coverage: float,
    seed: int,
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
        seed: Of the audit's bootstrap.
        subject: What is judged.
        today: Decides whether an excuse still holds.
        facts: Goes into the report.
    """
    if why := why_unclear(counts, policy.attributes, visible, min_label_coverage):
        return unclear(why, subject, facts, counts)
    found = audit_classes(visible, counts.groups, policy, subject=subject, seed=seed, today=today)
    return as_live(found, policy.attributes, visible, facts)
