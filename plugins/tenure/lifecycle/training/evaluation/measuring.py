"""The metrics of a scored sample, whatever its task is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.class_costs import expected_class_cost
from tenure.lifecycle.training.evaluation.classes import (
    answer_names,
    class_scores,
    measure_classes,
)
from tenure.lifecycle.training.evaluation.costs import measure_kpis
from tenure.lifecycle.training.evaluation.gate import MetricEstimate
from tenure.lifecycle.training.evaluation.policy import (
    ClassErrorCosts,
    DecisionCosts,
    GateMetric,
)
from tenure.lifecycle.training.evaluation.regression import measure_errors


def measure_answers(
    scores: NDArray[np.float64],
    outcomes: NDArray[Any],
    *,
    threshold: float | None,
    costs: DecisionCosts | ClassErrorCosts | None,
    classes: Sequence[str] = (),
) -> dict[GateMetric, MetricEstimate]:
    """Every metric that the task has, by name.

    Args:
        scores: Probabilities of the positive label, or predicted values, shape (n,); of several
            classes the probability of each, shape (n, classes).
        outcomes: Booleans, classes (texts) or numbers; shape (n,).
        threshold: Scores at or above it decide `positive`; None unless the model is binary.
        costs: Of the two kinds of error, or of wrong answers of several classes.
        classes: Of a multiclass model, sorted: those of the scores.
    """
    if classes:
        return _of_classes(
            classes, scores, outcomes, costs if isinstance(costs, ClassErrorCosts) else None
        )
    if threshold is None:
        return {name: one for name, one in measure_errors(scores, outcomes).items()}  # noqa: C416
    assert not isinstance(costs, ClassErrorCosts)  # the task of the YAML has others
    return measure_kpis(scores, outcomes, threshold=threshold, costs=costs)


def _of_classes(
    classes: Sequence[str],
    scores: NDArray[np.float64],
    outcomes: NDArray[Any],
    costs: ClassErrorCosts | None,
) -> dict[GateMetric, MetricEstimate]:
    scored = class_scores(classes, scores, outcomes, answer_names(classes, scores, costs))
    found = measure_classes(scored)
    return found if costs is None else found | {"expected_cost": expected_class_cost(scored, costs)}
