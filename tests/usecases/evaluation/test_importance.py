"""Useful features are told from useless ones, and what was not tried for time is named."""

from typing import Any

import numpy as np
import pandas as pd

from tenure.adapters.sklearn_trainer import build, fit
from tenure.adapters.training_rows import TrainingRows, pick
from tenure.config.loader import parse_model
from tenure.usecases.evaluation.importance import FittedVersion, appraise_features

YAML = """
name: made_up
purpose: tests
owner: ada
dataset: loans
label: {column: ok}
subject_column: kind
features: {numeric: [useful, noise], categorical: [kind]}
training: {estimator: logistic_regression, gap_hours: 0}
evaluation: {gates: [{metric: roc_auc, minimum: 0.5}], ablation_seconds: 10}
bias: {attributes: [kind], max_difference: 1.0}
canary: {metrics: [{event: error, margin: 1.5}]}
"""


def version(**stated: Any) -> tuple[Any, FittedVersion]:
    config = parse_model(YAML)
    config = config.model_copy(update={"evaluation": config.evaluation.model_copy(update=stated)})
    rng = np.random.default_rng(4)
    labels = rng.random(3000) < 0.5
    kind = np.where(rng.random(3000) < 0.5 + 0.3 * labels, "a", "b").astype(object)
    columns = {"useful": labels + rng.normal(size=3000), "noise": rng.normal(size=3000)}
    frame = pd.DataFrame(columns | {"kind": kind})
    times = np.arange(3000) * 3_600_000_000
    classes = {"false": (False, int((~labels).sum())), "true": (True, int(labels.sum()))}
    rows = TrainingRows(frame, labels, times, None, None, {}, 0, classes, {})
    before, holdout = pick(rows, np.arange(2000)), pick(rows, np.arange(2000, 3000))
    names = config.features
    made = build(
        config.training.estimator, {}, numeric=names.numeric, categorical=names.categorical, seed=7
    )
    return config, FittedVersion(fit(made, before.features, before.labels), 0.5, before, holdout)


def test_useful_features_come_first_and_useless_ones_may_go() -> None:
    facts: Any = appraise_features(*version()).facts
    found = facts["importance"]["features"]
    assert [one["feature"] for one in found] == ["useful", "kind", "noise"]
    assert facts["importance"]["rows"] == 1000
    assert found[0]["interval"][0] > 0
    ablation = facts["ablation"]
    assert ablation["not_done"] == []
    assert {one["feature"]: one["removable"] for one in ablation["features"]} == {
        "noise": True,
        "kind": False,
        "useful": False,
    }
    noise = ablation["features"][0]
    assert noise["interval"][0] <= 0 <= noise["interval"][1]


def test_what_is_not_done_for_time_is_named() -> None:
    ticks = iter([0.0, 11.0])
    facts: Any = appraise_features(*version(), clock=lambda: next(ticks)).facts
    assert [one["feature"] for one in facts["ablation"]["features"]] == ["noise"]
    assert facts["ablation"]["not_done"] == ["kind", "useful"]


def test_without_time_nothing_is_trained() -> None:
    config, fitted = version(ablation_seconds=None)
    assert "ablation" not in appraise_features(config, fitted).facts
