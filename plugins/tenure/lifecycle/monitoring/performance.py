"""How good the champion is by now, from counts of mature decisions, against its own holdout."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from tenure.lifecycle.monitoring.policy import MonitoringPolicy
from tenure.lifecycle.training.evaluation import Metric, MetricEstimate
from tenure.lifecycle.training.evaluation.metrics import ECE_BINS, wilson
from tenure.ports import ClassCounts, ErrorCounts, OutcomeCounts, ScoreBin
from tenure.verdicts import Check, Report, Verdict

SCORE_BINS = 20 * ECE_BINS
"""Fine enough for roc_auc: the error is at most half the share of pairs that fall into one bin."""
HIGHER_IS_BETTER = frozenset(
    {"roc_auc", "accuracy", "precision", "recall", "balanced_accuracy", "macro_f1"}
)
_DRAWS = 1000
_EQUAL = 1e-12
"""0.8 less 10% is not quite 0.72 in binary; at the limit is not beyond it."""


def measure(counts: OutcomeCounts, *, confidence: float, seed: int) -> dict[Metric, MetricEstimate]:
    """The metrics of `tenure.lifecycle.training.evaluation`, from sufficient statistics.

    All equal what the rows would give, but for roc_auc and the interval of ece, which take the
    scores of one bin for equal. Of no rows none is defined.

    Args:
        counts: Of one window.
        confidence: Of the intervals.
        seed: Of ece's bootstrap.

    Sources: as `evaluation.measure`; roc_auc's interval is DeLong's on binned scores.
    """
    tp, fp, fn, tn = confusion(counts)
    rows = tp + fp + fn + tn
    if not rows:
        return {}
    bins = counts.score_bins
    squared = sum(b.squared_error for b in bins), sum(b.squared_error_2 for b in bins)
    logs = sum(b.log_loss for b in bins), sum(b.log_loss_2 for b in bins)
    return {
        "roc_auc": _roc_auc(bins, confidence),
        "brier": _mean(*squared, rows, confidence),
        "log_loss": _mean(*logs, rows, confidence),
        "accuracy": _share(tp + tn, rows, confidence),
        "precision": _share(tp, tp + fp, confidence),
        "recall": _share(tp, tp + fn, confidence),
        "wrong_label_rate": _share(fp + fn, rows, confidence),
        "ece": _ece(bins, counts.bins, confidence, seed),
    }


def confusion(counts: OutcomeCounts) -> list[int]:
    """True and false positives, false and true negatives of the labelled."""
    return [sum(cell[i] for cell in counts.cells.values()) for i in range(4)]


def judge_performance(
    counts: OutcomeCounts,
    policy: MonitoringPolicy,
    *,
    holdout: Mapping[str, float],
    subject: str,
    seed: int,
    facts: Mapping[str, Any],
) -> Report:
    """Compare the window with the holdout of the same version.

    Failed when the metric is worse than the holdout's by more than `max_decay` (relative) and its
    whole interval is; inconclusive when only the point is, when too few mature decisions have an
    outcome, or when either side does not define the metric.

    Args:
        counts: Of a window of mature decisions.
        policy: Metric, limits.
        holdout: Metrics of the version's holdout.
        subject: What is judged.
        seed: Of ece's bootstrap.
        facts: Goes into the report.
    """
    measured = measure(counts, confidence=policy.confidence, seed=seed)
    checks = [label_coverage_check(counts, policy)]
    if checks[0].verdict is Verdict.PASSED:
        checks.append(decay_check(measured, holdout, policy))
    decisive = checks[-1]
    what = f"{policy.metric} {decisive.observed}" if len(checks) > 1 else decisive.observed
    summary = f"Performance {decisive.verdict}: {what}; allowed {decisive.allowed}."
    body = {
        **facts,
        "decisions": counts.decisions,
        "answered": counts.answered,
        "labelled": counts.labelled,
        "cells": confusion(counts),
        "ambiguous_outcomes": counts.ambiguous,
        "metrics": {k: m.value for k, m in measured.items() if m.value is not None},
        "intervals": {k: [m.low, m.high] for k, m in measured.items() if m.low is not None},
        "holdout": dict(holdout),
        "score_bins": counts.bins,
    }
    worst_first = tuple(reversed(checks))
    return Report(
        "monitoring", subject, decisive.verdict, summary, worst_first, body, enforced=False
    )


def label_coverage_check(
    counts: OutcomeCounts | ClassCounts | ErrorCounts, policy: MonitoringPolicy
) -> Check:
    """Whether enough of the mature decisions have an outcome."""
    coverage = counts.labelled / counts.answered if counts.answered else 0.0
    enough = counts.labelled > 0 and coverage >= policy.min_label_coverage
    lost = (
        f"; {counts.ambiguous:,} outcomes do not count: they do not say which of several callers "
        "used their request id, or name one who never did"
    )
    return Check(
        rule="label coverage",
        verdict=Verdict.PASSED if enough else Verdict.INCONCLUSIVE,
        observed=f"{counts.labelled:,} of {counts.answered:,} mature decisions have an outcome "
        f"({coverage:.1%}){lost if counts.ambiguous else ''}",
        allowed=f"at least {policy.min_label_coverage:.0%}",
        value=coverage,
        limit=policy.min_label_coverage,
    )


def decay_check(
    measured: Mapping[Metric, MetricEstimate],
    holdout: Mapping[str, float],
    policy: MonitoringPolicy,
) -> Check:
    """Whether the metric is worse than the holdout's by more than is accepted."""
    now, before = measured[policy.metric], holdout.get(policy.metric)
    if now.value is None or now.low is None or now.high is None or before is None:
        missing = "on the holdout" if before is None else "on these decisions"
        return Check(policy.metric, Verdict.INCONCLUSIVE, f"is not defined {missing}", "a number")
    better_up = policy.metric in HIGHER_IS_BETTER
    limit = before * (1 - policy.max_decay if better_up else 1 + policy.max_decay)
    sign = -1.0 if better_up else 1.0
    certain = sign * ((now.high if better_up else now.low) - limit) > _EQUAL
    if certain:
        verdict = Verdict.FAILED
    else:
        worse = sign * (now.value - limit) > _EQUAL
        verdict = Verdict.INCONCLUSIVE if worse else Verdict.PASSED
    change = (now.value - before) / before if before else float(now.value != before)
    return Check(
        rule=policy.metric,
        verdict=verdict,
        observed=f"{now.value:.3f} [{now.low:.3f}, {now.high:.3f}] against {before:.3f} on the "
        f"holdout ({change:+.1%})",
        allowed=f"{'at least' if better_up else 'at most'} {limit:.3f} "
        f"({policy.max_decay:.0%} worse)",
        value=now.value,
        limit=limit,
        interval=(now.low, now.high),
    )


def _share(part: int, whole: int, confidence: float) -> MetricEstimate:
    return (
        MetricEstimate(part / whole, *wilson(part, whole, confidence))
        if whole
        else MetricEstimate(None)
    )


def _mean(total: float, squares: float, rows: int, confidence: float) -> MetricEstimate:
    value = total / rows
    if rows < 2:
        return MetricEstimate(value)
    variance = max(squares - rows * value * value, 0.0) / (rows - 1)
    half = float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(variance / rows))
    return MetricEstimate(value, max(0.0, value - half), value + half)


def _roc_auc(bins: Sequence[ScoreBin], confidence: float) -> MetricEstimate:
    positive = np.array([b.positives for b in bins], dtype=float)
    negative = np.array([b.rows - b.positives for b in bins], dtype=float)
    m, n = positive.sum(), negative.sum()
    if m < 2 or n < 2:
        return MetricEstimate(None)
    below = (np.cumsum(negative) - negative / 2) / n  # share of negatives that a positive beats
    above = 1 - (np.cumsum(positive) - positive / 2) / m  # share of positives that beat a negative
    value = float(np.sum(positive * below) / m)
    spread = np.sum(positive * (below - value) ** 2) / (m - 1) / m
    spread += np.sum(negative * (above - value) ** 2) / (n - 1) / n
    half = float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(spread))
    return MetricEstimate(value, max(0.0, value - half), min(1.0, value + half))


def _ece(bins: Sequence[ScoreBin], fine: int, confidence: float, seed: int) -> MetricEstimate:
    """Bins of one calibration bin are merged; what a row adds is its bin's mean score - label."""
    place = np.array([b.number * ECE_BINS // fine for b in bins])
    rows = np.array([b.rows for b in bins], dtype=float)
    mean = np.array([b.score for b in bins]) / rows
    positives = np.array([b.positives for b in bins], dtype=float)
    counts = np.concatenate([rows - positives, positives])
    gain = np.concatenate([mean, mean - 1.0])
    member = np.equal.outer(np.concatenate([place, place]), np.arange(ECE_BINS)).astype(float)
    total = counts.sum()

    def error(cells: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs((cells * gain) @ member).sum(axis=-1) / total)

    draws = np.random.default_rng(seed).multinomial(int(total), counts / total, size=_DRAWS)
    tail = (1 - confidence) / 2
    low, high = np.quantile(error(draws), [tail, 1 - tail])
    return MetricEstimate(float(error(counts)), float(low), float(high))
