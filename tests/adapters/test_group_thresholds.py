"""A classifier with thresholds by group, as a gateway asks it."""

import numpy as np
import pandas as pd
import pytest
import skops.io

from tenure.adapters.group_thresholds import GroupThresholdClassifier
from tenure.adapters.serving_frame import scorer
from tenure.adapters.sklearn_trainer import build, fit
from tenure.adapters.skops_artifacts import TRUSTED

RNG = np.random.default_rng(5)
SEX = RNG.choice(["f", "m"], 300).astype(object)
SEX[:20] = None
INCOME = RNG.normal(size=300)
FRAME = pd.DataFrame({"income": INCOME, "sex": SEX})
LABELS = INCOME + RNG.normal(size=300) > 0


@pytest.fixture(scope="module")
def moved() -> GroupThresholdClassifier:
    plain = fit(
        build("logistic_regression", {}, numeric=["income"], categorical=["sex"], seed=7),
        FRAME,
        LABELS,
    )
    made = GroupThresholdClassifier(plain, ["sex"], [["f"], [None]], [1.0, -0.5])
    return skops.io.loads(skops.io.dumps(made), trusted=list(TRUSTED))


@pytest.mark.parametrize(("sex", "shift"), [("f", 1.0), (None, -0.5), ("m", 0.0), ("x", 0.0)])
def test_each_group_moves_by_its_own_log_odds(
    moved: GroupThresholdClassifier, sex: str | None, shift: float
) -> None:
    score = scorer(moved, numeric=["income"], categorical=["sex"], examples=[[0.1, "f"]])
    [got] = score([[0.3, sex]])
    row = pd.DataFrame({"income": [0.3], "sex": np.array([sex], dtype=object)})
    [plain] = moved.estimator.predict_proba(row)[:, 1]
    assert np.log(got / (1 - got)) == pytest.approx(np.log(plain / (1 - plain)) + shift)
    assert shift or got == plain


def test_it_is_a_classifier(moved: GroupThresholdClassifier) -> None:
    scores = moved.predict_proba(FRAME)
    assert scores.sum(axis=1) == pytest.approx(1.0)
    assert (moved.predict(FRAME) == (scores[:, 1] >= 0.5)).all()
