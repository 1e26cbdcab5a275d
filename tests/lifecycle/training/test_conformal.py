"""Sets of labels hold the true one as often as they promise, whatever the scores are like."""

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tenure.lifecycle.training.evaluation.conformal import judge_sets, least_probability
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy
from tenure.verdicts import Verdict


def rows(n: int, seed: int, skew: float = 1.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    return expit(skew * truth), rng.random(n) < expit(2 * truth)


@pytest.mark.exhaustive
@pytest.mark.parametrize("skew", [0.3, 2.0, 6.0])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_is_within_two_points(skew: float, coverage: float) -> None:
    shares = []
    for seed in range(300):
        scores, labels = rows(400, seed, skew)
        least = least_probability(scores, labels, coverage)
        new, true = rows(2000, 10_000 + seed, skew)
        shares.append(np.where(true, new >= least, 1 - new >= least).mean())
    assert abs(np.mean(shares) - coverage) < 0.02


@pytest.mark.parametrize(
    ("n", "coverage", "expected"),
    [(9, 0.9, 0.1), (8, 0.9, 0.0), (19, 0.9, 0.2), (0, 0.9, 0.0)],
)
def test_the_probability_by_hand(n: int, coverage: float, expected: float) -> None:
    """All are positive and the scores are 0.1, 0.2, … : the k-th largest is known."""
    scores = np.arange(1, n + 1) / 10
    labels = np.ones(n, dtype=bool)
    assert least_probability(scores, labels, coverage) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("case", "covered", "n", "expected"),
    [
        ("exactly as promised", 900, 1000, Verdict.PASSED),
        ("at the lower end", 880, 1000, Verdict.PASSED),
        ("at the upper end", 920, 1000, Verdict.PASSED),
        ("just beyond, as luck might have it", 879, 1000, Verdict.INCONCLUSIVE),
        ("surely too few", 800, 1000, Verdict.FAILED),
        ("surely too many", 1000, 1000, Verdict.FAILED),
        ("a row too few to judge", 449, 499, Verdict.INCONCLUSIVE),
        ("no rows", 0, 0, Verdict.INCONCLUSIVE),
    ],
)
def test_gate(case: str, covered: int, n: int, expected: Verdict) -> None:
    labels = np.arange(n) < covered  # every set is {yes}
    found = judge_sets(ConformalPolicy(), np.full(n, 0.9), labels, least=0.5, min_rows=500)
    assert found.checks[0].verdict is expected, case
    assert found.facts["conformal"]["sizes"] == {"0": 0, "1": n, "2": 0}  # type: ignore[index]
