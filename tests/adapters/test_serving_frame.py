"""The short way through a pipeline gives the very scores of the long one, or is not taken."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tenure.adapters import sklearn_trainer
from tenure.adapters.serving_frame import scorer
from tenure.lifecycle.serving import Signature

NUMERIC, CATEGORICAL = ("a", "b"), ("c", "d")
SIGNATURE = Signature(
    NUMERIC,
    CATEGORICAL,
    {"c": frozenset("xyz"), "d": frozenset(["p", "q"])},
    {"a": (0, 1), "b": (-5, 5)},
)
ROWS = [
    (0.3, 2.0, "x", "p"),
    (None, -5.0, None, "q"),
    (1e9, None, "never", None),
    (-0.0, 0.0, "z", "p"),
]


def fitted(estimator: str, **parameters: Any) -> Any:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.random(500), "b": rng.normal(size=500)})
    frame["c"] = rng.choice(["x", "y", "z", None], 500)
    frame["d"] = rng.choice(["p", "q"], 500).astype(object)
    frame.loc[::7, "a"] = np.nan
    labels = (frame["b"].to_numpy() + (frame["c"] == "x").to_numpy() > 0.3).astype(bool)
    made = sklearn_trainer.build(
        estimator, parameters, numeric=NUMERIC, categorical=CATEGORICAL, seed=1
    )
    return sklearn_trainer.fit(made, frame, labels)


def as_frame() -> Any:
    frame = pd.DataFrame(ROWS, columns=[*NUMERIC, *CATEGORICAL])
    frame = frame.astype({"a": float, "b": float, "c": object, "d": object})
    frame[["c", "d"]] = frame[["c", "d"]].where(frame[["c", "d"]].notna(), None)
    return frame


def by_hand(estimator: Any) -> list[float]:
    scores: list[float] = estimator.predict_proba(as_frame())[:, 1].tolist()
    return scores


def make(estimator: Any) -> Any:
    return scorer(
        estimator, numeric=NUMERIC, categorical=CATEGORICAL, examples=SIGNATURE.examples()
    )


@pytest.mark.parametrize(
    ("name", "is_short"), [("hist_gradient_boosting", True), ("logistic_regression", False)]
)
def test_scores_are_those_of_the_pipeline(name: str, is_short: bool) -> None:
    estimator = fitted(name)
    score = make(estimator)
    assert score(ROWS) == by_hand(estimator)
    # One row alone may differ in the last digits: BLAS adds in another order.
    assert [score([row])[0] for row in ROWS] == pytest.approx(by_hand(estimator), rel=1e-12)
    assert ("ByMatrix" in score.__qualname__) is is_short


@pytest.mark.parametrize(
    ("name", "is_short"), [("hist_gradient_boosting", True), ("logistic_regression", False)]
)
def test_of_several_classes_each_has_its_probability(name: str, is_short: bool) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.random(500), "b": rng.normal(size=500)})
    frame["c"], frame["d"] = rng.choice(["x", "y"], 500).astype(object), "p"
    labels = np.where(frame["b"] > 0.5, "red", np.where(frame["a"] > 0.5, "green", "blue"))
    made = sklearn_trainer.build(
        name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=1, task="multiclass"
    )
    estimator = sklearn_trainer.fit(made, frame, labels, task="multiclass")
    score = make(estimator)
    found = score(ROWS)
    assert found == sklearn_trainer.score(estimator, as_frame()).tolist()
    assert [len(row) for row in found] == [3] * len(ROWS)
    assert ("ByMatrix" in score.__qualname__) is is_short


def test_a_short_way_that_differs_is_not_taken() -> None:
    estimator = fitted("hist_gradient_boosting")
    columns = estimator.named_steps["columns"]
    columns.transformers_ = [columns.transformers_[1], columns.transformers_[0]]
    assert "matrix" not in make(estimator).__qualname__


def test_other_encoders_take_the_long_way() -> None:
    estimator = fitted("hist_gradient_boosting")
    encoder = estimator.named_steps["columns"].named_transformers_["categorical"]
    encoder.unknown_value = -1
    assert "matrix" not in make(estimator).__qualname__
