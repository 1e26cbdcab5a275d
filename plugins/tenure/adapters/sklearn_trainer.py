"""Fits scikit-learn estimators from a policy; the same rows and seed give the same model."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.errors import ConfigInvalid
from tenure.lifecycle.serving.date_parts import date_parts
from tenure.lifecycle.task import Task
from tenure.lifecycle.training.fitness import UnfitRows, learning_faults

_TWO = 2
_SAFE = "No version was made; whatever serves now keeps serving."


def build(
    estimator: str,
    parameters: Mapping[str, float | int | str | bool],
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    dates: Sequence[str] = (),
    seed: int,
    task: Task = "binary",
) -> Any:
    """An unfitted estimator that reads a frame of the features.

    Args:
        estimator: A name of `config.estimators`, or `package.module:function`.
        parameters: Keyword arguments of the classifier (or of the function).
        numeric: Columns with numbers; NaN is missing.
        categorical: Columns with texts; None is missing. A category that training never saw
            counts as missing (boosting, forest) or as no category at all (logistic regression).
        dates: Columns with moments as texts, of which an estimator by name reads the parts; an
            entry point gets the texts.
        seed: Every `random_state` that is not set.
        task: Whether a classifier or a regressor is wanted.

    Raises:
        ConfigInvalid: Unknown estimator, entry point or parameter.
    """
    try:
        if ":" in estimator:
            made = _entry_point(estimator)(**parameters)
        elif estimator in _BUILDERS[task]:
            made = _BUILDERS[task][estimator](parameters, numeric, categorical, task)
            _read_dates(made, dates)
        else:
            raise _invalid(f"training.estimator {estimator!r} is not known")
    except (ImportError, AttributeError, TypeError) as error:
        raise _invalid(f"training.estimator {estimator!r}: {error}") from error
    if not (hasattr(made, "fit") and hasattr(made, "get_params")):
        raise _invalid(f"training.estimator {estimator!r} gave a {type(made).__name__}")
    return _seeded(made, seed)


def fit(
    estimator: Any,
    frame: Any,
    labels: NDArray[Any],
    *,
    label: str = "the label",
    task: Task = "binary",
    weights: NDArray[np.float64] | None = None,
    of_a_part: bool = False,
) -> Any:
    """Fit in place and return it.

    Args:
        estimator: From `build`.
        frame: The features, shape (n, features).
        labels: Booleans, classes (texts), or numbers of a regression; shape (n,).
        label: The name of their column.
        task: What the estimator is to predict.
        weights: What each row counts, shape (n,); None where all count the same.
        of_a_part: Whether a search only tries these rows: then a class may have any number of them.

    Raises:
        ConfigInvalid: The estimator refuses its parameters or the rows, a feature has no value at
            all, there is one class (or one number) only, or it is of the other task.
    """
    from sklearn.utils._param_validation import InvalidParameterError

    if weights is not None:  # a row that counts nothing teaches nothing
        frame, labels, weights = frame[weights > 0], labels[weights > 0], weights[weights > 0]
    values = {str(name): int(number) for name, number in frame.notna().sum().items()}
    squared = frame.select_dtypes("float64").abs().max().dropna() if _squares(estimator) else {}
    faults = learning_faults(
        labels, values, label=label, squared=dict(squared), of_a_part=of_a_part
    )
    if found := list(faults):
        raise UnfitRows(found, still_safe=_SAFE)
    try:
        estimator.fit(frame, labels, **_weighted(estimator, weights))
    except InvalidParameterError as error:
        raise _invalid(f"training.parameters: {error}") from error
    except TypeError as error:
        if weights is None:
            raise
        raise _invalid(f"{type(estimator).__name__} takes no weights of rows ({error})") from error
    except ValueError as error:
        cause = str(error).splitlines()[0].rstrip(".")
        raise _invalid(
            f"{type(estimator).__name__} cannot learn from these rows: {cause}"
        ) from error
    _require_task(estimator, task, labels)
    forget_threads(estimator)
    return estimator


def _require_task(estimator: Any, task: Task, labels: NDArray[Any]) -> None:
    gives_probabilities = hasattr(estimator, "predict_proba")
    if task != "regression" and not gives_probabilities:
        raise _invalid(f"{type(estimator).__name__} gives no probabilities")
    if task == "regression" and gives_probabilities:
        raise _invalid(f"{type(estimator).__name__} is a classifier, and the task is a regression")
    if task == "multiclass":
        known = [str(one) for one in getattr(estimator, "classes_", ())]
        if known != np.unique(labels).tolist():
            raise _invalid(
                f"{type(estimator).__name__} does not say in classes_ that its probabilities are "
                "of the classes of the label, sorted"
            )


def score(estimator: Any, frame: Any) -> NDArray[np.float64]:
    """Probability of the positive label for each row; of a regressor, the predicted value.

    Of three classes or more the probability of each, shape (n, classes).
    """
    if hasattr(estimator, "predict_proba"):
        probabilities = np.asarray(estimator.predict_proba(frame), dtype=np.float64)
        return probabilities[:, 1] if probabilities.shape[1] == _TWO else probabilities
    one = estimator.estimators_[0] if _has_interval(estimator) else estimator
    return np.asarray(one.predict(frame), dtype=np.float64).reshape(len(frame))


def score_classes(estimator: Any, frame: Any) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """The classes that a classifier knows, sorted, and the probability of each for each row."""
    names = tuple(str(name) for name in estimator.classes_)
    return names, np.asarray(estimator.predict_proba(frame), dtype=np.float64)


def _has_interval(estimator: Any) -> bool:
    """Whether it is a regression with its quantiles (`interval_models.together`)."""
    from sklearn.multioutput import MultiOutputRegressor

    return type(estimator) is MultiOutputRegressor


def _weighted(estimator: Any, weights: NDArray[np.float64] | None) -> dict[str, Any]:
    """The argument that takes the weights: of a pipeline, its last step has it."""
    if weights is None:
        return {}
    steps = getattr(estimator, "steps", None)
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weights}


def _boosting(
    parameters: Mapping[str, Any], numeric: Sequence[str], categorical: Sequence[str], task: Task
) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline

    # Codes are read as numbers: native categories would put a `functools.partial` into the
    # artifact, which the allow-list refuses. Without early stopping every row is trained on.
    defaults = {"categorical_features": None, "early_stopping": False}
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    model = kind(**(defaults | dict(parameters)))
    return Pipeline([("columns", _coded(numeric, categorical)), ("model", model)])


def _additive(
    parameters: Mapping[str, Any], numeric: Sequence[str], categorical: Sequence[str], task: Task
) -> Any:
    """Each tree reads one feature: log-odds, or the value, are a sum of one function a feature."""
    additive = dict(parameters) | {"interaction_cst": "no_interactions"}
    return _boosting(additive, numeric, categorical, task)


def _forest(
    parameters: Mapping[str, Any], numeric: Sequence[str], categorical: Sequence[str], task: Task
) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import Pipeline

    # Leaves of one row would make an artifact larger than the data, and scores of 0 and 1.
    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    model = kind(**({"min_samples_leaf": 20} | dict(parameters)))
    return Pipeline([("columns", _coded(numeric, categorical)), ("model", model)])


def _coded(numeric: Sequence[str], categorical: Sequence[str]) -> Any:
    """Numbers as they are, categories as their place in the alphabet; NaN is missing."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    return ColumnTransformer(
        [("numeric", "passthrough", list(numeric)), ("categorical", codes, list(categorical))]
    )


def _logistic(
    parameters: Mapping[str, Any], numeric: Sequence[str], categorical: Sequence[str], _task: Task
) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(**({"max_iter": 1000} | dict(parameters)))
    return _scaled(model, numeric, categorical)


def _linear(
    parameters: Mapping[str, Any], numeric: Sequence[str], categorical: Sequence[str], _task: Task
) -> Any:
    """Least squares with a small ridge: one-hot categories are collinear with the intercept."""
    from sklearn.linear_model import Ridge

    return _scaled(Ridge(**parameters), numeric, categorical)


def _scaled(model: Any, numeric: Sequence[str], categorical: Sequence[str]) -> Any:
    """Numbers imputed and scaled, categories one-hot, before a linear model."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    columns = ColumnTransformer(
        [
            ("numeric", numbers, list(numeric)),
            ("categorical", OneHotEncoder(handle_unknown="ignore"), list(categorical)),
        ]
    )
    return Pipeline([("columns", columns), ("model", model)])


_CLASSIFIERS: dict[str, Any] = {
    "hist_gradient_boosting": _boosting,
    "random_forest": _forest,
    "logistic_regression": _logistic,
    "additive_boosting": _additive,
}


def _read_dates(pipeline: Any, dates: Sequence[str]) -> None:
    """Numbers more for its model: the parts of each date, scaled where it scales numbers."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    if not dates:
        return
    parts: Any = FunctionTransformer(date_parts)
    if _squares(pipeline):
        scaled = [("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())]
        parts = Pipeline([("parts", parts), *scaled])
    pipeline.named_steps["columns"].transformers.append(("dates", parts, list(dates)))


_BUILDERS: dict[Task, dict[str, Any]] = {
    "binary": _CLASSIFIERS,
    "multiclass": _CLASSIFIERS,
    "regression": {
        "hist_gradient_boosting": _boosting,
        "random_forest": _forest,
        "linear_regression": _linear,
        "additive_boosting": _additive,
    },
}


def _entry_point(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _seeded(estimator: Any, seed: int) -> Any:
    unset = {
        name: seed
        for name, value in estimator.get_params(deep=True).items()
        if name.rpartition("__")[2] == "random_state" and value is None
    }
    return estimator.set_params(**unset)


def _squares(estimator: Any) -> bool:
    """Whether it scales numbers by their variance before it compares them."""
    from sklearn.preprocessing import StandardScaler

    return any(type(part) is StandardScaler for part in estimator.get_params(deep=True).values())


def forget_threads(estimator: Any) -> None:
    """The number of cores is no part of a model: it would change the artifact's digest."""
    steps = getattr(estimator, "named_steps", {})
    mapper = getattr(steps.get("model", estimator), "_bin_mapper", None)
    if mapper is not None and hasattr(mapper, "n_threads"):
        mapper.n_threads = 1


def _invalid(what: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"{what}.",
        still_safe=_SAFE,
        next_step="Correct `training` in the model's YAML and trigger the training again.",
    )
