"""Threshold and calibration come from rows that neither the estimator nor the holdout has."""

from typing import Any

import pyarrow.parquet as pq
import pytest

from tenure.adapters.skops_artifacts import load_verified
from tenure.errors import GateInconclusive
from tenure.lifecycle.model_version import SplitRows
from tenure.usecases.evaluation import evidence


def trained(world: Any, *lines: str, rows: int = 600, **columns: Any) -> Any:
    world.state(*lines)
    for month in (1, 2):
        world.publish(month, rows=rows, **columns)
    world.request()
    world.plan()
    world.train()
    return world.row().facts


COSTS = "costs: {false_positive: 1, false_negative: 10}"
ALWAYS_YES_IS_CHEAP = "min_uplift: null"
"""With half of the labels positive, no model of these rows saves anything against it."""


def test_a_dear_miss_lowers_the_threshold_and_the_cost_of_the_holdout(world: Any) -> None:
    facts = trained(world, COSTS, ALWAYS_YES_IS_CHEAP)
    assert 0 < facts.threshold < 0.35
    assert facts.rows.calibration == pytest.approx(180, abs=3)
    assert facts.rows.train + facts.rows.calibration + facts.rows.holdout < 1200  # two gaps
    world.evaluate()
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    costs: Any = report.facts["costs"]
    assert report.facts["threshold"] == facts.threshold
    assert costs["chosen"]["cost"] < costs["at_half"]["cost"]
    assert costs["saved_against"]["at_half"]["interval"][0] > 0
    store = world.platform.store
    table = pq.read_table(store.fetch(facts.holdout_key, facts.holdout_digest))
    by_threshold = [score >= facts.threshold for score in table["score"].to_pylist()]
    assert table["decision"].to_pylist() == by_threshold


@pytest.mark.parametrize(
    "method", ["sigmoid", pytest.param("isotonic", marks=pytest.mark.exhaustive)]
)
def test_calibrated_scores_are_reproduced_and_load(world: Any, method: str) -> None:
    world.configure(estimator="hist_gradient_boosting", auc=0.55)
    facts = trained(world, f"calibration: {method}", COSTS, ALWAYS_YES_IS_CHEAP)
    row = world.row()
    key = world.platform.settings.signing_key.with_suffix(".pub")
    assert load_verified(world.platform.store, row, key).predict_proba
    world.evaluate()
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    found: Any = report.facts["reliability"]
    assert found["method"] == method
    assert sum(one["rows"] for one in found["bins"]) == facts.rows.holdout
    world.audit()
    world.register()
    world.request("again")
    world.plan("r2")
    world.train("r2")
    again = world.row(2)
    assert (again.artifact_digest, again.facts.threshold) == (row.artifact_digest, facts.threshold)


def test_sets_of_labels_are_a_signed_fact_and_a_gate(world: Any) -> None:
    facts = trained(world, "conformal: {coverage: 0.8, tolerance: 0.1}")
    assert facts.conformal_least is not None
    assert 0 < facts.conformal_least < 0.5
    world.evaluate()
    report = evidence.stored(world.platform, world.row().evaluation_report)
    assert report is not None
    (check,) = [one for one in report.checks if one.rule == "coverage"]
    assert check.counts is not None
    assert check.counts[1] == facts.rows.holdout
    assert report.facts["conformal"]["least_probability"] == facts.conformal_least  # type: ignore[index]


def test_without_either_every_row_is_learned_from(world: Any) -> None:
    assert trained(world, rows=200).rows == SplitRows(
        299, 0, 100, 0, gap=1, label_unknown=0, group_held_out=0
    )


def test_calibration_rows_of_one_class_are_too_little(world: Any) -> None:
    world.state(COSTS)
    rare = [i % 100 < 4 for i in range(200)]
    for month in (1, 2):
        world.publish(month, ok=rare)
    world.request()
    world.plan()
    with pytest.raises(GateInconclusive, match=r"has 60 calibration rows, \d of them positive"):
        world.train()
