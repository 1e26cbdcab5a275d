"""The same rows and seed give the same bytes, in this process and in any other."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tenure.adapters.sklearn_trainer import build, fit, score
from tenure.adapters.skops_artifacts import dump
from tenure.config.estimators import KNOWN
from tenure.errors import ConfigInvalid
from tenure.vocabulary import digest_bytes

NUMERIC, CATEGORICAL = ["temp", "hour"], ["carrier"]


def rows(n: int = 600) -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "temp": rng.normal(size=n),
            "hour": rng.integers(0, 24, n).astype(float),
            "carrier": rng.choice(["AA", "B6", "UA"], n).astype(object),
        }
    )
    late = frame.temp + (frame.carrier == "UA") + rng.normal(size=n) > 0.5
    frame.loc[::9, "temp"] = np.nan
    frame.loc[::11, "carrier"] = None
    return frame, late.to_numpy()


def trained(name: str, seed: int = 7, **parameters: Any) -> Any:
    estimator = build(name, parameters, numeric=NUMERIC, categorical=CATEGORICAL, seed=seed)
    return fit(estimator, *rows())


def digest(name: str, seed: int = 7, **parameters: Any) -> str:
    return digest_bytes(dump(trained(name, seed, **parameters), name="m@1"))


OURS = list(KNOWN)
ESTIMATORS = [*OURS, f"{__name__}:forest"]


def forest(**parameters: Any) -> Any:
    """An entry point: needs no missing values, so it brings its own pipeline."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    texts = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("n", "passthrough", NUMERIC), ("c", texts, CATEGORICAL)])
    model = RandomForestClassifier(**{"n_estimators": 10} | parameters)
    return Pipeline([("columns", columns), ("model", model)])


def not_an_estimator() -> Any:
    return object()


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points are found by module name; pytest's import mode does not register this file."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())


def _this_module() -> Any:
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


@pytest.mark.parametrize("name", ESTIMATORS)
def test_same_seed_same_bytes(name: str) -> None:
    assert digest(name) == digest(name)


def test_other_seed_other_bytes() -> None:
    name = f"{__name__}:forest"
    assert digest(name, seed=7) != digest(name, seed=8)


@pytest.mark.exhaustive  # `tenure reproduce` does the same daily
def test_same_bytes_in_another_process_with_other_threads_and_hashes() -> None:
    """What a retry on another machine does: other addresses, hash seed and number of cores."""
    program = (
        "import runpy, sys; found = runpy.run_path(sys.argv[1]);"
        "print(found['digest']('hist_gradient_boosting', max_iter=10))"
    )
    command = [sys.executable, "-c", program, __file__]
    path = {"PYTHONPATH": str(Path(__file__).parents[2] / "plugins")}
    others = [
        subprocess.Popen(
            command,
            env=os.environ | path | {"OMP_NUM_THREADS": threads, "PYTHONHASHSEED": hashes},
            stdout=subprocess.PIPE,
            text=True,
        )
        for threads, hashes in (("1", "1"), ("2", "77"))
    ]
    here = digest("hist_gradient_boosting", max_iter=10)
    for other in others:
        printed, _ = other.communicate(timeout=120)
        assert other.returncode == 0
        assert printed.strip().splitlines()[-1] == here


@pytest.mark.parametrize("name", OURS)
def test_unseen_and_missing_values_are_answered(name: str) -> None:
    frame = pd.DataFrame(
        {"temp": [np.nan, 1.0], "hour": [5.0, np.nan], "carrier": ["ZZ", None]},
        columns=["temp", "hour", "carrier"],
    )
    frame["carrier"] = frame["carrier"].astype(object)
    found = score(trained(name), frame)
    assert ((found > 0) & (found < 1)).all()


@pytest.mark.parametrize("name", OURS)
def test_it_learns(name: str) -> None:
    from sklearn.metrics import roc_auc_score

    frame, late = rows()
    assert roc_auc_score(late, score(trained(name), frame)) > 0.7


def test_parameters_reach_the_classifier() -> None:
    found = trained("hist_gradient_boosting", max_iter=3).named_steps["model"]
    assert found.n_iter_ == 3
    assert found.random_state == 7


@pytest.mark.parametrize(
    ("case", "name", "parameters", "says"),
    [
        ("unknown estimator", "deep_thought", {}, "'deep_thought' is not known"),
        ("unknown parameter", "hist_gradient_boosting", {"speed": 3}, "speed"),
        ("refused value", "hist_gradient_boosting", {"max_iter": -1}, "max_iter"),
        ("no such module", "no_such_module:make", {}, "no_such_module"),
        ("no such function", "math:make", {}, "make"),
        ("not an estimator", f"{__name__}:not_an_estimator", {}, "gave a object"),
    ],
)
def test_a_wrong_policy_is_named(
    case: str, name: str, parameters: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        trained(name, **parameters)


def strict() -> Any:
    """An entry point whose estimator takes no missing value."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("only", [True, False])
def test_one_class_is_named_with_its_rows(name: str, only: bool) -> None:
    """The case 35-single-class."""
    frame, late = rows(90)
    estimator = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=1)
    says = f"^late has one class only: it is {str(only).lower()} in all of the 90 rows"
    with pytest.raises(ConfigInvalid, match=says):
        fit(estimator, frame, np.full(len(late), only), label="late")


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(
    ("empty", "says"),
    [
        (["temp"], "^temp has no value in any of the 90 rows"),
        (["carrier"], "^carrier has no value"),
        (
            ["temp", "hour", "carrier"],
            "^temp has no value .*; hour has no value .*; carrier has no value",
        ),
    ],
)
def test_a_feature_without_a_value_is_named(name: str, empty: list[str], says: str) -> None:
    """The case 36-all-null-feature."""
    frame, late = rows(90)
    for column in empty:
        frame[column] = None if column == "carrier" else np.nan
    estimator = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=1)
    with pytest.raises(ConfigInvalid, match=says):
        fit(estimator, frame, late)


@pytest.mark.parametrize(
    ("name", "largest", "says"),
    [
        ("logistic_regression", 1e150, ""),
        ("logistic_regression", -1.1e150, "^temp has numbers as large as 1.1e\\+150"),
        ("logistic_regression", 1.7e308, "^temp has numbers as large as 1.7e\\+308"),
        ("hist_gradient_boosting", 1.7e308, ""),
    ],
)
def test_a_number_whose_square_is_infinite_is_named(name: str, largest: float, says: str) -> None:
    frame, late = rows(90)
    frame.loc[::7, "temp"] = largest
    estimator = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=1)
    if says:
        with pytest.raises(ConfigInvalid, match=says):
            fit(estimator, frame, late)
    else:
        assert np.isfinite(score(fit(estimator, frame, late), frame)).all()


def test_one_value_is_enough() -> None:
    frame, late = rows(90)
    frame["temp"] = [1.0] + [np.nan] * 89
    frame["carrier"] = ["AA"] + [None] * 89
    for name in OURS:
        estimator = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=1)
        assert np.isfinite(score(fit(estimator, frame, late), frame)).all()


def test_rows_that_an_estimator_refuses_are_its_refusal() -> None:
    frame, late = rows()
    with pytest.raises(ConfigInvalid, match=r"^LogisticRegression cannot learn from these rows: "):
        fit(build(f"{__name__}:strict", {}, numeric=[], categorical=[], seed=1), frame, late)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_row_that_counts_twice_is_worth_two(name: str) -> None:
    """Weights reach the learner: of two rows with one income the heavier one decides."""
    frame = pd.DataFrame({"temp": [0.0, 0.0] * 40, "hour": [1.0] * 80})
    frame["carrier"] = np.array(["AA"] * 80, dtype=object)
    labels = np.array([True, False] * 40)
    found = {}
    for heavy in (True, False):
        weights = np.where(labels == heavy, 9.0, 1.0)
        estimator = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=7)
        found[heavy] = score(fit(estimator, frame, labels, weights=weights), frame[:1])[0]
    assert found[True] > 0.8
    assert found[False] < 0.2


def test_a_row_that_counts_nothing_teaches_nothing() -> None:
    frame, late = rows()
    weights = np.where(np.arange(600) < 500, 1.0, 0.0)
    how: dict[str, Any] = {"numeric": NUMERIC, "categorical": CATEGORICAL, "seed": 7}
    with_all = fit(build("random_forest", {}, **how), frame, late, weights=weights)
    without = fit(build("random_forest", {}, **how), frame[:500], late[:500], weights=weights[:500])
    assert score(with_all, frame).tolist() == score(without, frame).tolist()
    with pytest.raises(ConfigInvalid, match="has one class only"):
        fit(build("random_forest", {}, **how), frame, late, weights=late.astype(float))


def test_what_takes_no_weights_says_so() -> None:
    from sklearn.neighbors import KNeighborsClassifier

    with pytest.raises(ConfigInvalid, match="KNeighborsClassifier takes no weights of rows"):
        fit(KNeighborsClassifier(), rows()[0][["hour"]], rows()[1], weights=np.ones(600))


def test_the_additive_one_is_additive() -> None:
    """The log-odds of a step in one feature do not depend on the other features."""
    fitted = trained("additive_boosting")
    grid = pd.DataFrame(
        [(t, h, c) for t in (-1.0, 0.5) for h in (3.0, 20.0) for c in ("AA", "UA")],
        columns=[*NUMERIC, *CATEGORICAL],
    )
    scores = score(fitted, grid).reshape(2, 4)
    odds = np.log(scores / (1 - scores))
    assert np.ptp(odds[1] - odds[0]) < 1e-9
    other = score(trained("hist_gradient_boosting"), grid).reshape(2, 4)
    assert np.ptp(np.diff(np.log(other / (1 - other)), axis=0)) > 0.01


@pytest.mark.parametrize("name", OURS)
def test_a_column_of_a_thousand_texts_is_a_feature(name: str) -> None:
    frame, late = rows()
    frame["carrier"] = np.array([f"carrier {n % 300}" for n in range(600)], dtype=object)
    estimator = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=7)
    assert np.isfinite(score(fit(estimator, frame, late), frame)).all()


@pytest.mark.parametrize("name", OURS)
def test_several_classes_are_learned_alike_every_time(name: str) -> None:
    frame, late = rows(300)
    labels = np.where(late, "late", np.where(frame.hour < 12, "early", "on time"))

    def learned() -> Any:
        made = build(name, {}, numeric=NUMERIC, categorical=CATEGORICAL, seed=7, task="multiclass")
        return fit(made, frame, labels, task="multiclass")

    one, other = (dump(learned(), name="m@1") for _ in range(2))
    assert one == other
    found = score(learned(), frame)
    assert found.shape == (300, 3)
    assert found.sum(axis=1) == pytest.approx(1.0)
    assert (np.array(["early", "late", "on time"])[found.argmax(axis=1)] == labels).mean() > 0.5


def test_an_estimator_that_names_no_classes_is_refused() -> None:
    frame, _ = rows(90)
    with pytest.raises(ConfigInvalid, match="does not say in classes_"):
        fit(Nameless(), frame, np.array(["a", "b", "c"] * 30), task="multiclass")


class Nameless:
    """Gives probabilities, and does not say of which classes."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """None."""
        return {"deep": deep} if not deep else {}

    def fit(self, *_: Any) -> "Nameless":
        """Learns nothing."""
        return self

    def predict_proba(self, frame: Any) -> Any:
        """Always alike."""
        return np.full((len(frame), 3), 1 / 3)
