"""The metrics of a scored sample, whatever its task is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.costs import measure_kpis
from tenure.lifecycle.training.evaluation.gate import MetricEstimate
from tenure.lifecycle.training.evaluation.policy import DecisionCosts, GateMetric
from tenure.lifecycle.training.evaluation.regression import measure_errors


def measure_answers(
    scores: NDArray[np.float64],
    outcomes: NDArray[Any],
    *,
    threshold: float | None,
    costs: DecisionCosts | None,
) -> dict[GateMetric, MetricEstimate]:
    """Every metric that the task has, by name.

    Args:
        scores: Probabilities of the positive label, or predicted values; shape (n,).
        outcomes: Booleans, or numbers of a regression; shape (n,).
        threshold: Scores at or above it decide `positive`; None of a regression.
        costs: Of the two kinds of error; a regression has none.
    """
    if threshold is None:
        return {name: one for name, one in measure_errors(scores, outcomes).items()}  # noqa: C416
    return measure_kpis(scores, outcomes, threshold=threshold, costs=costs)
