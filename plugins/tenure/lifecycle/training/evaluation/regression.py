"""Metrics of predicted numbers with intervals: from rows, or from sums of one scan.

An *error* is prediction minus outcome, in the unit of the label: positive where too much was
predicted.
"""

import math
from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, MetricEstimate
from tenure.lifecycle.training.evaluation.policy import Metric
from tenure.ports import ErrorSums

Floats = NDArray[np.float64]
_UNDEFINED = MetricEstimate(None)


def measure_errors(predictions: Floats, outcomes: Floats) -> dict[Metric, MetricEstimate]:
    """Every metric of predicted numbers.

    Args:
        predictions: Shape (n,), in the unit of the label.
        outcomes: What came true, shape (n,).

    Returns:
        All metrics by name, in the unit of the label but r2, which has none. Without rows none is
        defined; r2 needs outcomes that differ. What is not finite (squares that no double holds)
        is not defined.

    Sources: the normal interval of a mean for mae, mean_error and mean squared error, of which
        rmse is the root; the order statistics of a binomial for the median (Conover, 1999);
        the delta method on the two sums of squares for r2.
    """
    predictions = np.asarray(predictions, dtype=np.float64)
    outcomes = np.asarray(outcomes, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = predictions - outcomes
        found = measure_sums(sums_of(errors), confidence=CONFIDENCE)
        every: Mapping[Metric, MetricEstimate] = {
            **found,
            "median_absolute_error": _median(np.abs(errors)),
            "r2": _r2(errors, outcomes),
        }
    return {name: _finite(one) for name, one in every.items()}


def sums_of(errors: Floats) -> ErrorSums:
    """Sufficient statistics of single errors."""
    squares = errors * errors
    totals = (errors.sum(), np.abs(errors).sum(), squares.sum(), (squares * squares).sum())
    return ErrorSums(len(errors), *map(float, totals))


def measure_sums(sums: ErrorSums, *, confidence: float) -> dict[Metric, MetricEstimate]:
    """The metrics that sums define: mae, rmse and mean_error, with normal intervals.

    >>> measure_sums(ErrorSums(4, 0.0, 8.0, 16.0, 64.0), confidence=0.95)["rmse"].value
    2.0
    """
    squared = _mean(sums.squared, sums.fourth, sums.rows, confidence, floor=0.0)
    found: dict[Metric, MetricEstimate] = {
        "mae": _mean(sums.absolute, sums.squared, sums.rows, confidence, floor=0.0),
        "rmse": _root(squared),
        "mean_error": _mean(sums.error, sums.squared, sums.rows, confidence),
    }
    return {name: _finite(one) for name, one in found.items()}


def _mean(
    total: float, squares: float, rows: int, confidence: float, *, floor: float = -math.inf
) -> MetricEstimate:
    """A mean from sum and sum of squares; without interval below two rows."""
    if not rows:
        return _UNDEFINED
    value = total / rows
    if rows < 2:
        return MetricEstimate(value)
    variance = max(squares - rows * value * value, 0.0) / (rows - 1)
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(variance / rows)
    return MetricEstimate(value, max(floor, value - half), value + half)


def _root(squared: MetricEstimate) -> MetricEstimate:
    ends = (squared.value, squared.low, squared.high)
    return MetricEstimate(*(None if end is None else math.sqrt(end) for end in ends))  # type: ignore[arg-type]


def _median(absolute: Floats) -> MetricEstimate:
    """The median, between two order statistics that hold it with the confidence at least."""
    rows = len(absolute)
    if not rows:
        return _UNDEFINED
    ordered = np.sort(absolute)
    value = float(np.median(ordered))
    below = int(stats.binom.ppf((1 - CONFIDENCE) / 2, rows, 0.5))
    if below < 1:  # too few rows for an interval of this confidence
        return MetricEstimate(value)
    return MetricEstimate(value, float(ordered[below - 1]), float(ordered[rows - below]))


def _r2(errors: Floats, outcomes: Floats) -> MetricEstimate:
    """One minus the squared errors over those of the outcomes' own mean."""
    rows = len(outcomes)
    if rows < 2:
        return _UNDEFINED
    squared, spread = errors * errors, (outcomes - outcomes.mean()) ** 2
    total = float(spread.sum())
    if not 0.0 < total < math.inf:
        return _UNDEFINED
    ratio = float(squared.sum()) / total
    influence = (squared - ratio * spread) / spread.mean()
    half = float(
        NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * influence.std(ddof=1) / math.sqrt(rows)
    )
    return MetricEstimate(1.0 - ratio, 1.0 - ratio - half, min(1.0, 1.0 - ratio + half))


def _finite(found: MetricEstimate) -> MetricEstimate:
    """Undefined where a part is no number."""
    parts = (found.value, found.low, found.high)
    return found if all(p is None or math.isfinite(p) for p in parts) else _UNDEFINED
