"""Errors of a regression by what it predicted: what a page draws of residuals and intervals."""

from typing import Any

import numpy as np

from tenure.lifecycle.training.evaluation.gate import Appraisal
from tenure.lifecycle.training.evaluation.metrics import Bools, Floats, Z
from tenure.lifecycle.training.evaluation.prediction_intervals import Interval

BINS = 10
"""Parts of the predictions, by deciles; fewer where many rows have the same prediction."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the errors of a part."""


def appraise_residuals(
    outcomes: Floats, predictions: Floats, found: Interval | None = None
) -> Appraisal:
    """The rows cut by deciles of their predictions, with errors and intervals of each part.

    Args:
        outcomes: What came true, shape (n,).
        predictions: Of the version, shape (n,).
        found: Its intervals; None where it gives none.

    Returns:
        Facts alone. `mean_error` (prediction minus outcome) has a 95% normal interval, null below
        two rows.
    """
    if not len(outcomes):
        return Appraisal(facts={"residuals": []})
    edges = np.unique(np.quantile(predictions, np.linspace(0, 1, BINS + 1)[1:-1]))
    parts = np.searchsorted(edges, predictions, side="right")
    bins = [_part(parts == part, outcomes, predictions, found) for part in np.unique(parts)]
    return Appraisal(facts={"residuals": bins})


def _part(
    inside: Bools, outcomes: Floats, predictions: Floats, found: Interval | None
) -> dict[str, Any]:
    predicted, came = predictions[inside], outcomes[inside]
    errors = predicted - came
    mean, rows = float(errors.mean()), len(errors)
    half = float(Z * errors.std(ddof=1) / np.sqrt(rows)) if rows > 1 else None
    stated: dict[str, Any] = {
        "from": float(predicted.min()),
        "to": float(predicted.max()),
        "rows": rows,
        "mean_prediction": float(predicted.mean()),
        "mean_outcome": float(came.mean()),
        "mean_error": mean,
        "interval": None if half is None else [mean - half, mean + half],
        "mean_absolute_error": float(np.abs(errors).mean()),
        "error_quantiles": {
            f"{q:g}": float(value)
            for q, value in zip(QUANTILES, np.quantile(errors, QUANTILES), strict=True)
        },
    }
    if found is None:
        return stated
    lower, upper = found.lower[inside], found.upper[inside]
    return stated | {
        "mean_lower": float(lower.mean()),
        "mean_upper": float(upper.mean()),
        "covered": float(found.holds(outcomes)[inside].mean()),
    }
