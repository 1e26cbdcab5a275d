"""Regressions with an interval: a prediction and two quantiles in one scikit-learn estimator."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_LINEAR_ROWS = 5_000
"""Rows that linear quantiles are learned from, evenly spread: a linear program is slow beyond."""


def quantile_models(fitted: Any, coverage: float) -> tuple[Any, Any] | None:
    """Unfitted models of the quantiles at either end, of the same family with the same parameters.

    Args:
        fitted: What predicts: an estimator, or a pipeline that ends with one.
        coverage: Share between the two: 0.9 gives the quantiles 0.05 and 0.95.

    Returns:
        None where the family has no quantile loss.
    """
    tails = ((1 - coverage) / 2, (1 + coverage) / 2)
    found = [_quantile(fitted, round(tail, 12)) for tail in tails]
    return None if found[0] is None else (found[0], found[1])


def is_linear(fitted: Any) -> bool:
    """Whether its quantiles are found by a linear program."""
    from sklearn.linear_model import LinearRegression, QuantileRegressor, Ridge

    return type(_last(fitted)) in (LinearRegression, Ridge, QuantileRegressor)


def together(prediction: Any, ends: tuple[Any, Any]) -> Any:
    """One estimator of three fitted ones, which skops keeps: prediction, lower, upper quantile."""
    from sklearn.multioutput import MultiOutputRegressor

    combined = MultiOutputRegressor(prediction)
    combined.estimators_ = [prediction, *ends]
    return combined


def parts(estimator: Any) -> list[Any]:
    """The three models of `together`; of another estimator, itself alone."""
    from sklearn.multioutput import MultiOutputRegressor

    return list(estimator.estimators_) if type(estimator) is MultiOutputRegressor else [estimator]


def predict_ends(estimator: Any, rows: Any) -> NDArray[np.float64]:
    """Prediction, lower and upper quantile, shape (n, 3); without quantiles, thrice the first."""
    found = [
        np.asarray(one.predict(rows), dtype=np.float64).reshape(len(rows))
        for one in parts(estimator)
    ]
    return np.column_stack(found if len(found) > 1 else found * 3)


def _last(estimator: Any) -> Any:
    steps = getattr(estimator, "steps", None)
    return steps[-1][1] if steps else estimator


def _quantile(fitted: Any, quantile: float) -> Any | None:
    from sklearn import clone
    from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor
    from sklearn.linear_model import QuantileRegressor

    last = clone(_last(fitted))
    if type(last) is HistGradientBoostingRegressor:
        made = last.set_params(loss="quantile", quantile=quantile)
    elif type(last) is GradientBoostingRegressor:
        made = last.set_params(loss="quantile", alpha=quantile)
    elif is_linear(fitted):
        made = QuantileRegressor(quantile=quantile, alpha=0.0)
    else:
        return None
    if _last(fitted) is fitted:
        return made
    whole = clone(fitted)
    return whole.set_params(**{whole.steps[-1][0]: made})
