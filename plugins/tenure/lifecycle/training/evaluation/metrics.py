"""Metrics of a scored sample with intervals, in numpy alone."""

import math
from statistics import NormalDist
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, MetricEstimate
from tenure.lifecycle.training.evaluation.policy import ClassMetric, Metric

ECE_BINS = 10
"""Equal bins of the score."""

_DRAWS = 1000
_SEED = 2013
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
"""Standard errors on each side of an interval."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def measure(scores: Floats, labels: Bools, *, threshold: float) -> dict[Metric, MetricEstimate]:
    """Every metric of a scored sample.

    Args:
        scores: Probabilities of the positive label, shape (n,).
        labels: What came true, shape (n,).
        threshold: Scores at or above it decide `positive`.

    Returns:
        All metrics by name. Without rows none is defined; precision needs a positive decision,
        recall a positive label, roc_auc both labels.

    Sources: Wilson (1927) for shares; DeLong, DeLong and Clarke-Pearson (1988) for roc_auc;
        the normal interval of a mean for brier and log_loss; a multinomial bootstrap over
        (bin, label) cells for ece.
    """
    scores = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.bool_)
    if not len(labels):
        return {name: MetricEstimate(None) for name in get_args(ClassMetric)}
    decided = scores >= threshold
    n, right = len(labels), int((decided == labels).sum())
    hits = int((decided & labels).sum())
    near_one = np.finfo(np.float64).eps
    likelihood = np.clip(np.where(labels, scores, 1.0 - scores), near_one, 1.0)
    return {
        "roc_auc": _roc_auc(scores, labels),
        "brier": mean_estimate((scores - labels) ** 2),
        "log_loss": mean_estimate(-np.log(likelihood)),
        "accuracy": _share(right, n),
        "precision": _share(hits, int(decided.sum())),
        "recall": _share(hits, int(labels.sum())),
        "wrong_label_rate": _share(n - right, n),
        "ece": calibration_error(scores, labels),
    }


def wilson(part: int, whole: int, confidence: float) -> tuple[float, float]:
    """Interval of a share; (0, 1) of nothing. Source: Wilson (1927).

    >>> [round(end, 4) for end in wilson(20, 100, 0.95)]
    [0.1334, 0.2888]
    """
    if not whole:
        return 0.0, 1.0
    z, p = NormalDist().inv_cdf(0.5 + confidence / 2), part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    # Exact at the ends, where rounding would put the limit just inside.
    return (middle - half if part else 0.0), (middle + half if part < whole else 1.0)


def _share(part: int, whole: int) -> MetricEstimate:
    return (
        MetricEstimate(part / whole, *wilson(part, whole, CONFIDENCE))
        if whole
        else MetricEstimate(None)
    )


def mean_estimate(losses: Floats, lowest: float | None = 0.0) -> MetricEstimate:
    """A mean with its normal interval, which ends at `lowest`; one row has no interval."""
    value = float(losses.mean())
    if len(losses) < 2:
        return MetricEstimate(value)
    half = float(Z * losses.std(ddof=1) / np.sqrt(len(losses)))
    low = value - half if lowest is None else max(lowest, value - half)
    return MetricEstimate(value, low, value + half)


def score_bins(scores: Floats) -> NDArray[np.int64]:
    """The bin of each score, 0…ECE_BINS - 1."""
    return np.minimum((scores * ECE_BINS).astype(np.int64), ECE_BINS - 1)


def _roc_auc(scores: Floats, labels: Bools) -> MetricEstimate:
    if min(int(labels.sum()), int((~labels).sum())) < 2:
        return MetricEstimate(None)
    value, error = area_and_error(scores, labels)
    return MetricEstimate(value, max(0.0, value - Z * error), min(1.0, value + Z * error))


def area_and_error(scores: Floats, labels: Bools) -> tuple[float, float]:
    """Area under the ROC curve with its standard error by DeLong; two rows of each label, or more.

    >>> area_and_error(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))[0]
    0.75
    """
    positive, negative = scores[labels], scores[~labels]
    m, n = len(positive), len(negative)
    ranks = mean_ranks(scores)
    value = float((ranks[labels].sum() - m * (m + 1) / 2) / (m * n))
    above = (ranks[labels] - mean_ranks(positive)) / n  # share of negatives below each positive
    below = 1.0 - (ranks[~labels] - mean_ranks(negative)) / m
    return value, float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))


def calibration_error(scores: Floats, labels: Bools) -> MetricEstimate:
    """How far scores lie from the share of what came true, mean over the bins of the score.

    Args:
        scores: Probabilities, shape (n,), at least one.
        labels: Whether what they are of came true, shape (n,).
    """
    cell = 2 * score_bins(scores) + labels
    counts = np.bincount(cell, minlength=2 * ECE_BINS)
    sums = np.bincount(cell, weights=scores, minlength=2 * ECE_BINS)
    gain = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    gain[1::2] -= 1.0  # what one row adds to (sum of scores - positives) of its bin
    rng = np.random.default_rng(_SEED)
    draws = rng.multinomial(len(labels), counts / len(labels), size=_DRAWS)

    def error(cells: NDArray[np.int64]) -> Floats:
        gaps = np.abs((cells * gain).reshape(*cells.shape[:-1], ECE_BINS, 2).sum(axis=-1))
        return np.asarray(gaps.sum(axis=-1) / len(labels))

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(error(draws), [tail, 1 - tail])
    return MetricEstimate(float(error(counts)), float(low), float(high))


def mean_ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])
