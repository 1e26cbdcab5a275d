"""Paired differences on the same rows: what they are worth, and who is promoted by luck."""

from typing import Any, get_args

import numpy as np
import pytest
from scipy.special import expit

from tenure.lifecycle.training.evaluation import DecisionCosts, EvaluationPolicy, MetricGate
from tenure.lifecycle.training.evaluation.comparison import judge_champion, judge_uplift
from tenure.lifecycle.training.evaluation.costs import measure_kpis
from tenure.lifecycle.training.evaluation.gate import plain
from tenure.lifecycle.training.evaluation.paired import Scored, paired_difference
from tenure.lifecycle.training.evaluation.policy import ClassMetric, GateMetric
from tenure.verdicts import Verdict

EVEN = DecisionCosts(false_positive=1, false_negative=1)
COSTS = DecisionCosts(false_positive=1, false_negative=4)


def rows(n: int, seed: int, *, noise: float = 1.0, other: float = 1.0) -> tuple[Any, Any, Any]:
    """Labels, and the scores of two models that see the truth through noise of their own."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    labels = rng.random(n) < expit(2 * truth)
    seen = (truth + size * rng.normal(size=n) for size in (noise, other))
    one, two = (expit(scores) for scores in seen)
    return labels, Scored(one, 0.5), Scored(two, 0.4)


def policy(metric: GateMetric = "roc_auc", **stated: Any) -> EvaluationPolicy:
    return EvaluationPolicy(
        gates=(MetricGate(metric=metric, minimum=0.0),), **{"min_rows": 100} | stated
    )


@pytest.mark.parametrize("metric", [*get_args(ClassMetric), "expected_cost"])
def test_values_are_those_of_the_metrics_and_one_model_equals_itself(metric: GateMetric) -> None:
    labels, one, two = rows(800, 1)
    found = paired_difference(metric, labels, one, two, COSTS)
    assert found is not None
    measured = [
        measure_kpis(x.scores, labels, threshold=x.threshold, costs=COSTS)[metric].value
        for x in (one, two)
    ]
    assert [found.value, found.other] == pytest.approx(measured)
    same = paired_difference(metric, labels, one, one, COSTS)
    assert same is not None
    assert (same.better.value, same.better.low, same.better.high) == (0, 0, 0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("metric", ["roc_auc", "brier", "precision", "recall", "expected_cost"])
def test_intervals_of_differences_cover_the_truth(metric: GateMetric) -> None:
    def better(n: int, seed: int) -> Any:
        labels, one, two = rows(n, seed, noise=0.8)
        found = paired_difference(metric, labels, one, two, COSTS)
        assert found is not None
        return found.better

    truth = better(1_000_000, 9_999).value
    covered = sum(e.low <= truth <= e.high for e in (better(400, seed) for seed in range(600)))
    assert 0.93 <= covered / 600 <= 0.97


@pytest.mark.parametrize(
    ("case", "n", "noise", "other", "expected"),
    [
        ("clearly better", 4000, 0.3, 2.0, Verdict.PASSED),
        ("clearly worse", 4000, 2.0, 0.3, Verdict.FAILED),
        ("as good, many rows", 60_000, 1.0, 1.0, Verdict.PASSED),
        ("as good, few rows", 300, 1.0, 1.0, Verdict.INCONCLUSIVE),
        ("fewer rows than are needed", 99, 0.3, 2.0, Verdict.INCONCLUSIVE),
    ],
)
def test_champion(case: str, n: int, noise: float, other: float, expected: Verdict) -> None:
    labels, one, two = rows(n, 5, noise=noise, other=other)
    found = judge_champion(policy(), labels, one, two, name="m@1", excluded=0)
    assert [check.verdict for check in found.checks] == [expected], case
    assert found.facts["champion"]["rows"] == n  # type: ignore[index]


def test_two_tenths_of_a_point_by_luck_on_300_rows_promote_nobody() -> None:
    tried = (rows(300, seed) for seed in range(200))
    lucky = []
    for labels, one, two in tried:
        (check,) = judge_champion(policy(), labels, one, two, name="m@1", excluded=0).checks
        assert check.value is not None
        if 0 < check.value < 0.005:
            lucky.append(check.verdict)
    assert lucky
    assert set(lucky) == {Verdict.INCONCLUSIVE}


def test_what_the_champion_learned_from_is_said() -> None:
    labels, one, two = rows(50, 5)
    (check,) = judge_champion(policy(), labels, one, two, name="m@1", excluded=950).checks
    assert check.observed == (
        "m@1: 50 rows to compare on without 950 that it may have learned from; 100 are needed"
    )


def test_a_comparison_without_margin_only_stands_in_the_report() -> None:
    labels, one, two = rows(300, 5)
    found = judge_champion(policy(champion_margin=None), labels, one, two, name="m@1", excluded=0)
    assert found.checks == ()
    assert found.facts["champion"]["differences"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("case", "noise", "stated", "expected"),
    [
        ("a useful model", 1.0, {}, {"uplift"}),
        ("no better than chance", 500.0, {}, {"no_measurable_roi"}),
        ("useful, but not by so much", 1.0, {"min_uplift": 0.45}, {"no_measurable_roi"}),
        ("useful by cost", 1.0, {"costs": EVEN}, {"uplift"}),
        ("dearer than always yes", 1.0, {"costs": COSTS}, {"uplift", "no_measurable_roi"}),
        ("by recall nobody beats always yes: by brier", 1.0, {"metric": "recall"}, {"uplift"}),
        ("it does not decide", 500.0, {"min_uplift": None}, set()),
    ],
)
def test_uplift(case: str, noise: float, stated: dict[str, Any], expected: set[str]) -> None:
    labels, one, _ = rows(2000, 3, noise=noise)
    found = judge_uplift(policy(**stated), labels, one, base_rate=0.5, rule_score=0.25)
    assert {check.rule for check in found.checks} == expected, case
    trivial = {"always no", "always yes"} if "costs" in stated else {"base rate"}
    assert trivial | {"declared rule"} == set(found.facts["uplift"])  # type: ignore[call-overload]


def test_too_few_of_a_class_have_no_interval() -> None:
    labels, one, two = rows(300, 5)
    few = labels & (np.cumsum(labels) <= 9)
    found = judge_champion(policy(), few, one, two, name="m@1", excluded=0)
    assert "9 rows of the rarer class; 10 are needed" in found.checks[0].observed
    trivial = judge_uplift(policy(), few, one, base_rate=0.5, rule_score=None)
    assert {c.verdict for c in trivial.checks} == {Verdict.INCONCLUSIVE}


@pytest.mark.parametrize(
    ("value", "bound", "expected"),
    [
        (0.79, 0.8, "0.79"),
        (0.6, 0.65, "0.60"),
        (0.79999, 0.8, "0.79999"),
        (0.8, 0.8, "0.80"),
        (1 / 3, None, "0.3333"),
    ],
)
def test_a_number_never_looks_like_the_bound_that_it_misses(
    value: float, bound: float | None, expected: str
) -> None:
    assert plain(value, bound) == expected
