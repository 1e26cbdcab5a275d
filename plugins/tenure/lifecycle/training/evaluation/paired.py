"""The difference of a metric between two scorings of the *same* rows, with its interval.

What rows have in common (a hard month, a rare class) cancels: the interval is much narrower than
those of the two metrics by themselves.

Source: influence functions (Hampel, JASA 69 (1974)); for roc_auc they are DeLong's components
(DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988)), for a mean its own terms.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np

from tenure.lifecycle.training.evaluation.costs import losses
from tenure.lifecycle.training.evaluation.gate import MetricEstimate
from tenure.lifecycle.training.evaluation.metrics import (
    ECE_BINS,
    Bools,
    Floats,
    Z,
    mean_ranks,
    score_bins,
)
from tenure.lifecycle.training.evaluation.policy import DecisionCosts, GateMetric

MIN_OF_A_CLASS = 10
"""Rows of each class below which no interval is trusted."""
_HIGHER = frozenset({"roc_auc", "accuracy", "precision", "recall"})
assert set(get_args(GateMetric)) >= _HIGHER


@dataclass(frozen=True)
class Scored:
    """Rows as one model scores them: scores of shape (n,), decided at its own threshold, 0…1.

    A regression decides nothing: its threshold is NaN.
    """

    scores: Floats
    threshold: float


@dataclass(frozen=True)
class PairedDifference:
    """One metric of two scorings.

    Args:
        metric: Which.
        value: Of the first.
        other: Of the second.
        better: By how much the first is better, whichever way the metric counts; its interval is
            None where the rows do not define one.
    """

    metric: GateMetric
    value: float
    other: float
    better: MetricEstimate

    def facts(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "metric": self.metric,
            "value": self.value,
            "other": self.other,
            "better_by": self.better.value,
            "interval": None if self.better.low is None else [self.better.low, self.better.high],
        }


def paired_difference(
    metric: GateMetric, labels: Bools, one: Scored, other: Scored, costs: DecisionCosts | None
) -> PairedDifference | None:
    """How much better `one` is than `other` on these rows; None where the metric is not defined.

    Args:
        metric: `expected_cost` needs `costs`.
        labels: What came true, shape (n,).
        one: A scoring of the rows.
        other: Another one.
        costs: Of the two kinds of error.
    """
    found = [_influence(metric, labels, scored, costs) for scored in (one, other)]
    if found[0] is None or found[1] is None:
        return None
    (value, rows), (other_value, other_rows) = found[0], found[1]
    sign = 1.0 if metric in _HIGHER else -1.0
    better, n = sign * (value - other_value), len(labels)
    if n < 2 or fewest_of_a_class(labels) < MIN_OF_A_CLASS:
        return PairedDifference(metric, value, other_value, MetricEstimate(better))
    half = float(Z * (rows - other_rows).std(ddof=1) / np.sqrt(n))
    estimate = MetricEstimate(better, better - half, better + half)
    return PairedDifference(metric, value, other_value, estimate)


def fewest_of_a_class(labels: Bools) -> int:
    """Rows of the rarer class."""
    positives = int(labels.sum())
    return min(positives, len(labels) - positives)


def _influence(
    metric: GateMetric, labels: Bools, scored: Scored, costs: DecisionCosts | None
) -> tuple[float, Floats] | None:
    """The metric, and what each row adds to it to first order, shape (n,), mean 0."""
    scores, decided = scored.scores, scored.scores >= scored.threshold
    if metric == "roc_auc":
        return _of_auc(scores, labels)
    if metric == "ece":
        return calibration_influence(scores, labels) if len(labels) else None
    if metric == "precision":
        return _of_ratio(decided & labels, decided)
    if metric == "recall":
        return _of_ratio(decided & labels, labels)
    if metric == "expected_cost" and costs is None:
        return None
    terms = _terms(metric, scores, decided, labels, costs)
    return (float(terms.mean()), terms - terms.mean()) if len(labels) else None


def _terms(
    metric: GateMetric, scores: Floats, decided: Bools, labels: Bools, costs: DecisionCosts | None
) -> Floats:
    """Of a metric that is a mean over the rows."""
    if metric == "expected_cost" and costs is not None:
        return losses(decided, labels, costs)
    if metric == "brier":
        return np.asarray((scores - labels) ** 2)
    if metric == "log_loss":
        near_one = np.finfo(np.float64).eps
        likelihood = np.where(labels, scores, 1.0 - scores)
        return np.asarray(-np.log(np.clip(likelihood, near_one, 1.0)))
    right = decided == labels if metric == "accuracy" else decided != labels
    return right.astype(np.float64)


def _of_ratio(part: Bools, whole: Bools) -> tuple[float, Floats] | None:
    if not whole.any():
        return None
    value = float(part.sum() / whole.sum())
    return value, np.asarray((part - value * whole) / whole.mean())


def _of_auc(scores: Floats, labels: Bools) -> tuple[float, Floats] | None:
    m = int(labels.sum())
    n = len(labels) - m
    if not m or not n:
        return None
    ranks = mean_ranks(scores)
    value = float((ranks[labels].sum() - m * (m + 1) / 2) / (m * n))
    rows = np.empty(len(labels))
    rows[labels] = ((ranks[labels] - mean_ranks(scores[labels])) / n - value) * len(labels) / m
    below = 1.0 - (ranks[~labels] - mean_ranks(scores[~labels])) / m
    rows[~labels] = (below - value) * len(labels) / n
    return value, rows


def calibration_influence(scores: Floats, labels: Bools) -> tuple[float, Floats]:
    """The calibration error, and what each row adds to it to first order, shape (n,), n > 0."""
    bins = score_bins(scores)
    sums = np.bincount(bins, scores - labels, minlength=ECE_BINS)
    value = float(np.abs(sums).sum() / len(labels))
    return value, np.asarray(np.sign(sums)[bins] * (scores - labels) - value)
