"""A prediction and its quantiles are one estimator: of the same family, kept by skops, served."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.tree import DecisionTreeRegressor

from tenure.adapters import skops_artifacts
from tenure.adapters.interval_models import (
    is_linear,
    predict_ends,
    quantile_models,
    together,
)
from tenure.adapters.serving_frame import scorer
from tenure.adapters.sklearn_trainer import build, fit, score
from tenure.lifecycle.training.evaluation.prediction_intervals import least_margin, widened

NUMERIC, CATEGORICAL = ("a",), ("c",)


def frame(n: int = 600) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"a": rng.normal(size=n), "c": rng.choice(["x", "y"], n).astype(object)})
    return rows, 10 * rows["a"].to_numpy() + rng.exponential(4, n)


def fitted(name: str) -> Any:
    rows, labels = frame()
    made = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=1, task="regression")
    return fit(made, rows, labels, task="regression")


@pytest.mark.parametrize(
    "name", ["hist_gradient_boosting", "additive_boosting", "linear_regression"]
)
def test_one_estimator_of_three(name: str) -> None:
    rows, labels = frame()
    prediction = fitted(name)
    quantiles = quantile_models(prediction, 0.9)
    assert quantiles is not None
    for one in quantiles:
        fit(one, rows, labels, task="regression")
    combined = together(prediction, quantiles)
    ends = predict_ends(combined, rows)
    assert (ends[:, 0] == score(prediction, rows)).all()
    assert (score(combined, rows) == score(prediction, rows)).all()
    inside = (ends[:, 1] <= labels) & (labels <= ends[:, 2])
    assert 0.8 < inside.mean() < 0.99
    assert is_linear(prediction) is (name == "linear_regression")

    data = skops_artifacts.dump(combined, name="m@1")
    assert data == skops_artifacts.dump(combined, name="m@1")
    asked = [tuple(row) for row in rows.head(40).itertuples(index=False)]
    given = {"numeric": NUMERIC, "categorical": CATEGORICAL, "examples": asked}
    said = np.array(scorer(combined, **given, margin=2.0)(asked))
    assert said[:, 0] == pytest.approx(ends[:40, 0], rel=1e-12)
    assert said[:, 1] == pytest.approx(np.minimum(ends[:40, 1] - 2.0, ends[:40, 0]), rel=1e-12)
    assert said[:, 2] == pytest.approx(np.maximum(ends[:40, 2] + 2.0, ends[:40, 0]), rel=1e-12)
    assert scorer(combined, **given)(asked) == pytest.approx(said[:, 0], rel=1e-12)


def test_a_family_without_quantiles_has_the_prediction_thrice() -> None:
    rows, labels = frame()
    assert quantile_models(fitted("random_forest"), 0.9) is None
    tree = DecisionTreeRegressor(max_depth=3, random_state=1).fit(rows[["a"]], labels)
    assert quantile_models(tree, 0.9) is None
    ends = predict_ends(tree, rows[["a"]])
    assert (ends == tree.predict(rows[["a"]])[:, None]).all()


def test_quantiles_keep_the_other_parameters() -> None:
    made = quantile_models(GradientBoostingRegressor(max_depth=2, loss="huber"), 0.8)
    assert made is not None
    assert [(m.loss, m.alpha, m.max_depth) for m in made] == [
        ("quantile", 0.1, 2),
        ("quantile", 0.9, 2),
    ]
    boosting = quantile_models(
        build(
            "additive_boosting",
            {"loss": "poisson", "max_iter": 7},
            numeric=NUMERIC,
            categorical=CATEGORICAL,
            seed=1,
            task="regression",
        ),
        0.9,
    )
    assert boosting is not None
    models = [one.named_steps["model"] for one in boosting]
    assert [(m.loss, m.quantile, m.max_iter) for m in models] == [
        ("quantile", 0.05, 7),
        ("quantile", 0.95, 7),
    ]
    assert all(m.interaction_cst == "no_interactions" for m in models)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("hist_gradient_boosting", {"max_iter": 20}),
        ("linear_regression", {}),
        ("random_forest", {"n_estimators": 10}),
    ],
)
def test_fitted_models_cover_within_two_points(name: str, parameters: dict[str, Any]) -> None:
    """Errors grow with the feature; models learn from 300 rows, margins from 300 others."""

    def drawn(seed: int, n: int) -> tuple[Any, Any]:
        rng = np.random.default_rng(seed)
        rows = pd.DataFrame({"a": rng.uniform(0, 3, n), "c": rng.choice(["x", "y"], n)})
        rows["c"] = rows["c"].astype(object)
        spread = rng.standard_t(4, n) * (1 + rows["a"].to_numpy())
        return rows, 5 * rows["a"].to_numpy() + spread

    shares = []
    for seed in range(25):
        rows, labels = drawn(seed, 300)
        made = build(
            name, parameters, numeric=NUMERIC, categorical=CATEGORICAL, seed=1, task="regression"
        )
        model = fit(made, rows, labels, task="regression")
        if quantiles := quantile_models(model, 0.9):
            low, high = (fit(one, rows, labels, task="regression") for one in quantiles)
            model = together(model, (low, high))
        calibration, outcomes = drawn(1_000 + seed, 300)
        margin = least_margin(predict_ends(model, calibration), outcomes, 0.9)
        new, true = drawn(2_000 + seed, 2_000)
        shares.append(widened(predict_ends(model, new), margin).holds(true).mean())
    assert abs(np.mean(shares) - 0.9) < 0.02
