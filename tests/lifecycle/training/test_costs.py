"""The threshold that costs least, what decisions cost, and whether scores are probabilities."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tenure.lifecycle.training.evaluation import DecisionCosts, EvaluationPolicy, MetricGate
from tenure.lifecycle.training.evaluation.calibration import reliability
from tenure.lifecycle.training.evaluation.costs import (
    appraise_costs,
    cheapest_threshold,
    expected_cost,
    losses,
    measure_kpis,
)

TEN = DecisionCosts(false_positive=1, false_negative=10)
EVEN = DecisionCosts(false_positive=1, false_negative=1)


def cost_at(threshold: float, scores: Any, labels: Any, costs: DecisionCosts) -> float:
    return float(losses(scores >= threshold, labels, costs).sum())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("costs", [TEN, EVEN, DecisionCosts(false_positive=7, false_negative=2)])
def test_no_other_threshold_costs_less(seed: int, costs: DecisionCosts) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(60), 1)  # with ties, and scores of exactly 0 and 1
    labels = rng.random(60) < scores
    found = cheapest_threshold(scores, labels, costs)
    every = [cost_at(t, scores, labels, costs) for t in np.linspace(0, 1, 1001)]
    assert cost_at(found, scores, labels, costs) == min(every)


@pytest.mark.parametrize(
    ("case", "scores", "labels", "expected"),
    [
        ("parted", [0.1, 0.2, 0.8, 0.9], [False, False, True, True], 0.5),
        ("a yes is never right", [0.1, 0.2], [False, False], 1.0),
        ("a no is never right", [0.1, 0.2], [True, True], 0.0),
        ("one score that every threshold reaches", [1.0, 1.0], [False, False], 0.0),
    ],
)
def test_threshold_at_the_edges(
    case: str, scores: list[float], labels: list[bool], expected: float
) -> None:
    found = cheapest_threshold(np.array(scores), np.array(labels), EVEN)
    assert found == pytest.approx(expected), case


def test_costs_by_hand() -> None:
    scores = np.array([0.1, 0.2, 0.6, 0.9])
    labels = np.array([False, True, False, True])
    found: Any = appraise_costs(scores, labels, TEN, threshold=0.15, rule_score=0.05).facts["costs"]
    assert found["chosen"]["cost"] == 250  # one wrong yes of four
    assert found["at_half"]["cost"] == 2750  # and one wrong no
    assert found["always_yes"]["cost"] == 500
    assert found["always_no"]["cost"] == found["rule"]["cost"] == 5000
    assert found["saved_against"]["at_half"]["cost"] == 2500
    assert found["curve"][15] == [0.15, 250]
    assert (found["per_decisions"], found["false_negative"]) == (1000, 10)


def test_without_a_rule_nothing_is_said_of_it() -> None:
    one = np.array([0.3])
    found: Any = appraise_costs(one, one > 0, EVEN, threshold=0.5, rule_score=None).facts["costs"]
    assert "rule" not in found
    assert found["chosen"]["interval"] is None  # one row has none


def test_expected_cost_is_a_kpi_only_with_costs() -> None:
    scores, labels = np.array([0.1, 0.9]), np.array([True, True])
    assert measure_kpis(scores, labels, threshold=0.5, costs=TEN)["expected_cost"].value == 5
    assert "expected_cost" not in measure_kpis(scores, labels, threshold=0.5, costs=None)
    assert expected_cost(scores[:0], labels[:0], TEN, threshold=0.5).value is None


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ({"costs": TEN, "threshold": 0.4}, "one of threshold and costs"),
        ({"gates": (MetricGate(metric="expected_cost", maximum=1),)}, "needs costs"),
    ],
)
def test_what_a_policy_cannot_state(stated: dict[str, Any], says: str) -> None:
    gates = {"gates": (MetricGate(metric="brier", maximum=0.2),)}
    with pytest.raises(ValidationError, match=says):
        EvaluationPolicy(**gates | stated)


def test_reliability_counts_every_row() -> None:
    scores, labels = np.array([0.05, 0.95, 1.0]), np.array([False, True, False])
    found: Any = reliability(scores, labels, None).facts["reliability"]
    assert [b["rows"] for b in found["bins"]] == [1, *[0] * 8, 2]
    assert found["bins"][9]["positive_share"] == 0.5
    assert found["bins"][9]["mean_score"] == pytest.approx(0.975)
    assert found["bins"][4] == {
        "low": 0.4,
        "high": 0.5,
        "rows": 0,
        "mean_score": None,
        "positive_share": None,
        "interval": None,
    }
