"""Sets of classes hold the true one as often as they promise; rare classes need not."""

from typing import Any

import numpy as np
import pytest

from tenure.lifecycle.training.evaluation.class_sets import class_sets, judge_class_sets
from tenure.lifecycle.training.evaluation.classes import ClassScores, class_scores
from tenure.lifecycle.training.evaluation.conformal import least_of
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy
from tenure.verdicts import Verdict

NAMES = ("a", "b", "c")


def rows(n: int, seed: int, skew: float) -> ClassScores:
    """Probabilities that are true at a skew of 1, else too sure or too shy."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, size=(n, 3))
    labels = (logits + rng.gumbel(size=(n, 3))).argmax(axis=1)
    raw = np.exp(skew * logits)
    return class_scores(NAMES, raw / raw.sum(axis=1, keepdims=True), np.array(NAMES)[labels])


@pytest.mark.exhaustive
@pytest.mark.parametrize("skew", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_coverage_is_within_two_points(skew: float, coverage: float) -> None:
    shares = []
    for seed in range(300):
        least = least_of(rows(400, seed, skew).true, coverage)
        new = rows(2000, 10_000 + seed, skew)
        shares.append(class_sets(new, least)[np.arange(2000), new.labels].mean())
    assert abs(np.mean(shares) - coverage) < 0.02


def test_the_numbers_by_hand() -> None:
    """Sets {a}, {a, b}, {} and {c}, of which the first two hold what came true."""
    scored = class_scores(
        NAMES,
        np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.3, 0.3, 0.4], [0.0, 0.1, 0.9]]),
        np.array(["a", "b", "c", "new"]),
    )
    found = judge_class_sets(ConformalPolicy(), scored, least=0.5, min_rows=1)
    facts: Any = found.facts["conformal"]
    assert (facts["rows"], facts["covered"], facts["mean_size"]) == (4, 0.5, 1.0)
    assert facts["sizes"] == {"0": 1, "1": 2, "2": 1, "3": 0}
    assert facts["covered_of_one_label"] == 0.5
    by_class = {one["class"]: one for one in facts["classes"]}
    assert [by_class[name]["covered"] for name in (*NAMES, "new")] == [1.0, 1.0, 0.0, 0.0]
    assert [by_class[name]["in_sets"] for name in (*NAMES, "new")] == [2, 1, 1, 0]
    assert [by_class[name]["mean_size"] for name in NAMES] == [1.0, 2.0, 0.0]


def test_a_set_of_everything_holds_no_class_that_is_new() -> None:
    scored = class_scores(NAMES, np.array([[0.2, 0.3, 0.5]]), np.array(["new"]))
    assert class_sets(scored, 0.0).tolist() == [[True, True, True, False]]


@pytest.mark.parametrize(
    ("covered", "n", "expected"),
    [
        (880, 1000, Verdict.PASSED),
        (879, 1000, Verdict.INCONCLUSIVE),
        (800, 1000, Verdict.FAILED),
        (920, 1000, Verdict.PASSED),
        (1000, 1000, Verdict.FAILED),
        (449, 499, Verdict.INCONCLUSIVE),
        (0, 0, Verdict.INCONCLUSIVE),
    ],
)
def test_gate(covered: int, n: int, expected: Verdict) -> None:
    labels = np.where(np.arange(n) < covered, "a", "b").astype(np.str_)  # every set is {a}
    scored = class_scores(NAMES, np.tile([0.8, 0.1, 0.1], (n, 1)), labels)
    found = judge_class_sets(ConformalPolicy(), scored, least=0.5, min_rows=500)
    assert found.checks[0].verdict is expected
    assert found.facts["conformal"]["sizes"] == {"0": 0, "1": n, "2": 0, "3": 0}  # type: ignore[index]
