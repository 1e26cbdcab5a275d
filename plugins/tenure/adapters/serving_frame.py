"""Turns rows of a request into what an estimator reads, and asks it for scores."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.lifecycle.serving import RowAnswer, Score, Value
from tenure.lifecycle.serving.date_parts import PARTS, date_parts
from tenure.lifecycle.training.evaluation.prediction_intervals import widened

Matrix = NDArray[np.float64]
_TWO = 2


def scorer(
    estimator: Any,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    examples: Sequence[Sequence[Value]],
    margin: float | None = None,
) -> Score:
    """A function from rows (numeric features, then categorical ones) to scores.

    Most of a call is scikit-learn looking at the frame. Where the pipeline is of the kind that we
    build ourselves, its codes are looked up directly instead; that way is taken only when it gives
    the very same scores on the examples.

    Args:
        estimator: A fitted classifier or regressor over a frame of the features.
        numeric: Features that are float64 in the frame; null is NaN.
        categorical: Features that are texts (objects); null is None.
        examples: Rows to compare both ways on; they also warm the estimator up.
        margin: Of a regression's intervals, which then stand beside each prediction; None: scores
            alone.
    """
    models = _models(estimator, with_ends=margin is not None)
    answers = partial(_answers, margin=margin)
    by_frame = _by_frame(partial(answers, models), numeric, categorical)
    expected = by_frame(examples)
    parts = [by_matrix(one, [*numeric, *categorical]) for one in models]
    found = [one for one in parts if one is not None]
    if len(found) == len(models):  # their codes are of the same rows, so one reads for all
        direct = found[0].scorer(partial(answers, [one.boosting for one in found]))
        if direct(examples) == expected:
            return direct
    return by_frame


@dataclass(frozen=True)
class ByMatrix:
    """A pipeline in two: how rows become a matrix of numbers, and the boosting that reads it."""

    read: Callable[[Sequence[Sequence[Value]]], Matrix]
    boosting: Any

    def scorer(self, boost: Callable[[Matrix], Matrix]) -> Score:
        """The pipeline, with something else for its boosting: from a matrix to its scores."""

        def score(rows: Sequence[Sequence[Value]]) -> list[RowAnswer]:
            scores: list[RowAnswer] = boost(self.read(rows)).tolist()
            return scores

        return score


def _by_frame(
    answers: Callable[[Any], Matrix], numeric: Sequence[str], categorical: Sequence[str]
) -> Score:
    names = [*numeric, *categorical]

    def score(rows: Sequence[Sequence[Value]]) -> list[RowAnswer]:
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        data: dict[str, NDArray[Any]] = {n: np.array(columns[n], dtype=float) for n in numeric}
        data |= {n: _texts(columns[n]) for n in categorical}
        frame = pd.DataFrame(data, columns=names, copy=False)
        scores: list[RowAnswer] = answers(frame).tolist()
        return scores

    return score


def _models(estimator: Any, *, with_ends: bool) -> list[Any]:
    """What predicts, and what gives the quantiles where the estimator holds them."""
    from sklearn.multioutput import MultiOutputRegressor

    if type(estimator) is not MultiOutputRegressor:
        return [estimator]
    return list(estimator.estimators_) if with_ends else [estimator.estimators_[0]]


def _answers(models: Sequence[Any], rows: Any, *, margin: float | None) -> Matrix:
    """Of one model as `_values`; with a margin (n, 3): prediction, lower and upper end."""
    values = [_values(one, rows) for one in models]
    if margin is None:
        return values[0]
    found = widened(np.column_stack(values if len(values) > 1 else values * 3), margin)
    return np.column_stack([values[0], found.lower, found.upper])


def _values(model: Any, rows: Any) -> Matrix:
    """Probabilities of the positive label, of several classes of each; or the predicted values."""
    if hasattr(model, "predict_proba"):
        probabilities: Matrix = np.asarray(model.predict_proba(rows))
        return probabilities[:, 1] if probabilities.shape[1] == _TWO else probabilities
    return np.asarray(model.predict(rows), dtype=float).reshape(len(rows))


def by_matrix(estimator: Any, names: Sequence[str]) -> ByMatrix | None:
    """Numbers passed through and ordinal codes before a boosting; None for other pipelines.

    Args:
        estimator: A fitted classifier or regressor.
        names: Features in the order in which rows have them.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    steps = [step for _, step in getattr(estimator, "steps", ())]
    kinds = [type(step) for step in steps]
    known = (
        [ColumnTransformer, HistGradientBoostingClassifier],
        [ColumnTransformer, HistGradientBoostingRegressor],
    )
    if type(estimator) is not Pipeline or kinds not in known:
        return None
    found = [_columns(step, list(columns)) for _, step, columns in steps[0].transformers_]
    if any(part is None for part in found):
        return None
    readers = [(names.index(name), read) for part in found if part for name, read in part]

    def read(rows: Sequence[Sequence[Value]]) -> Matrix:
        columns = list(zip(*rows, strict=True))
        matrix: Matrix = np.empty((len(rows), len(readers)))
        for target, (source, column) in enumerate(readers):
            matrix[:, target] = column(columns[source])
        return matrix

    return ByMatrix(read, steps[1])


_Read = Callable[[Sequence[Value]], Matrix]


def _columns(step: Any, names: list[str]) -> list[tuple[str, _Read]] | None:
    """How each output column of a transformer is read from its input; None for unknown kinds."""
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    if isinstance(step, str):
        return [] if step == "drop" else None
    if type(step) is FunctionTransformer and step.func is None:
        return [(name, _numbers) for name in names]
    if type(step) is FunctionTransformer and step.func is date_parts:
        return [(name, _part(place)) for name in names for place in range(len(PARTS))]
    if type(step) is OrdinalEncoder and _is_nan(step.unknown_value):
        return [(n, _codes(c)) for n, c in zip(names, step.categories_, strict=True)]
    return None


def _codes(categories: Sequence[object]) -> _Read:
    """Position of a text among the categories; what is not there, as null, is NaN."""
    known = {value: float(code) for code, value in enumerate(categories) if isinstance(value, str)}

    def read(values: Sequence[Value]) -> Matrix:
        return np.array([known.get(value, math.nan) for value in values])  # type: ignore[arg-type]

    return read


def _part(place: int) -> _Read:
    """One part of each date."""

    def read(values: Sequence[Value]) -> Matrix:
        return date_parts([[value] for value in values])[:, place]

    return read


def _numbers(values: Sequence[Value]) -> Matrix:
    return np.array(values, dtype=float)


def _texts(values: Sequence[Value]) -> NDArray[Any]:
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    return texts


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
