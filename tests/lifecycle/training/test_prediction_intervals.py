"""Intervals hold the outcome as often as they promise, whatever the models are like."""

import math
from typing import Any

import numpy as np
import pytest

from tenure.lifecycle.training.evaluation.policy import ConformalPolicy
from tenure.lifecycle.training.evaluation.prediction_intervals import (
    Interval,
    judge_intervals,
    least_margin,
    trivial_interval,
    widened,
)
from tenure.lifecycle.training.evaluation.residuals import appraise_residuals
from tenure.verdicts import Verdict

ENDS = {
    "residuals alone": lambda x: np.column_stack([x, x, x]),
    "good quantiles": lambda x: np.column_stack([x, x - 1.6 - x**2, x + 1.6 + x**2]),
    "quantiles far too wide": lambda x: np.column_stack([x, x - 40, x + 40]),
    "crossed quantiles": lambda x: np.column_stack([x, x + 1, x - 1]),
    "a prediction beyond its quantiles": lambda x: np.column_stack([x + 3, x - 1, x + 1]),
}


def rows(n: int, seed: int) -> tuple[Any, Any]:
    """What a model reads, and an outcome whose spread grows with it and has a long tail."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return x, x + (1 + x**2) * rng.standard_t(3, size=n)


@pytest.mark.exhaustive
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_is_within_two_points(ends: str, coverage: float) -> None:
    shares = []
    for seed in range(300):
        x, outcomes = rows(400, seed)
        margin = least_margin(ENDS[ends](x), outcomes, coverage)
        new, true = rows(2000, 10_000 + seed)
        found = widened(ENDS[ends](new), margin)
        assert (found.lower <= ENDS[ends](new)[:, 0]).all()
        assert (found.upper >= ENDS[ends](new)[:, 0]).all()
        shares.append(found.holds(true).mean())
    assert abs(np.mean(shares) - coverage) < 0.02


@pytest.mark.parametrize(
    ("errors", "coverage", "expected"),
    [
        (np.arange(1.0, 10.0), 0.9, 9.0),  # the 9th of 9 rows
        (np.arange(1.0, 9.0), 0.9, math.inf),  # a row too few
        (np.arange(1.0, 20.0), 0.9, 18.0),
        (np.array([]), 0.9, math.inf),
        (np.zeros(9), 0.9, 0.0),  # always right: no wider than the prediction
    ],
)
def test_the_margin_by_hand(errors: Any, coverage: float, expected: float) -> None:
    ends = np.zeros((len(errors), 3))
    assert least_margin(ends, errors, coverage) == expected
    assert least_margin(ends, -errors, coverage) == expected


def judged(covered: int, n: int, **protected: Any) -> Any:
    outcomes = np.where(np.arange(n) < covered, 0.0, 9.0)
    found = Interval(np.full(n, -1.0), np.full(n, 1.0))
    return judge_intervals(
        ConformalPolicy(),
        outcomes,
        found,
        margin=1.0,
        trivial=(-10.0, 10.0),
        protected=protected,
        min_rows=500,
    )


@pytest.mark.parametrize(
    ("case", "covered", "n", "expected"),
    [
        ("exactly as promised", 900, 1000, Verdict.PASSED),
        ("at the lower end", 880, 1000, Verdict.PASSED),
        ("just beyond, as luck might have it", 879, 1000, Verdict.INCONCLUSIVE),
        ("surely too few", 800, 1000, Verdict.FAILED),
        ("surely too many", 1000, 1000, Verdict.FAILED),
        ("a row too few to judge", 449, 499, Verdict.INCONCLUSIVE),
        ("no rows", 0, 0, Verdict.INCONCLUSIVE),
    ],
)
def test_gate(case: str, covered: int, n: int, expected: Verdict) -> None:
    found = judged(covered, n)
    assert found.checks[0].verdict is expected, case
    facts = found.facts["conformal"]
    assert facts["covered"] == (covered / n if n else None)
    assert facts["width_ratio"] == (0.1 if n else None)


def test_each_group_is_shown() -> None:
    sex = np.array(["f", "m"] * 499 + ["", ""], dtype=object)
    groups = judged(900, 1000, sex=sex).facts["conformal"]["groups"]
    assert [(g["by"], g["value"], g["rows"]) for g in groups] == [
        ("sex", "f", 499),
        ("sex", "m", 499),
        ("sex", None, 2),
    ]
    assert [g["covered"] for g in groups] == [450 / 499, 450 / 499, 0.0]
    assert all(g["interval"][0] <= g["covered"] <= g["interval"][1] for g in groups)


def test_the_trivial_interval_of_heavy_tails() -> None:
    low, high = trivial_interval(np.array([*range(101), 1e9]), 0.9)
    assert (low, high) == pytest.approx((5.05, 95.95))


def test_residuals_by_prediction() -> None:
    x, outcomes = rows(1000, 1)
    found = Interval(x - 2, x + 2)
    bins: Any = appraise_residuals(outcomes, x, found).facts["residuals"]
    assert [one["rows"] for one in bins] == [100] * 10
    assert bins[0]["from"] == x.min()
    assert bins[-1]["to"] == x.max()
    inside = np.sort(np.argsort(x)[:100])
    assert bins[0]["mean_error"] == pytest.approx((x - outcomes)[inside].mean())
    assert bins[0]["covered"] == found.holds(outcomes)[inside].mean()
    assert bins[0]["interval"][0] < bins[0]["mean_error"] < bins[0]["interval"][1]


@pytest.mark.parametrize(("rows", "parts"), [(0, []), (1, [1]), (5, [5])])
def test_few_rows_of_one_prediction(rows: int, parts: list[int]) -> None:
    bins: Any = appraise_residuals(np.zeros(rows), np.ones(rows)).facts["residuals"]
    assert [one["rows"] for one in bins] == parts
    assert all((one["interval"] is None) == (rows == 1) for one in bins)
