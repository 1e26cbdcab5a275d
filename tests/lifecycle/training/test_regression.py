"""Metrics, bias audit and labels of predicted numbers."""

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import (
    mean_absolute_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.bias import ErrorBiasPolicy
from tenure.lifecycle.training.bias.errors import audit_errors
from tenure.lifecycle.training.evaluation.regression import measure_errors, sums_of
from tenure.lifecycle.training.numbers import NumberRule
from tenure.ports import ErrorSums
from tenure.verdicts import Verdict

TODAY = date(2026, 5, 1)


def sample(n: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    outcomes = rng.normal(5.0, 3.0, n)
    return outcomes + rng.normal(0.5, 1.0, n), outcomes


def test_points_are_those_of_scikit_learn() -> None:
    predictions, outcomes = sample()
    found = {name: one.value for name, one in measure_errors(predictions, outcomes).items()}
    assert found == {
        "mae": pytest.approx(mean_absolute_error(outcomes, predictions)),
        "rmse": pytest.approx(root_mean_squared_error(outcomes, predictions)),
        "mean_error": pytest.approx(float(np.mean(predictions - outcomes))),
        "median_absolute_error": pytest.approx(median_absolute_error(outcomes, predictions)),
        "r2": pytest.approx(r2_score(outcomes, predictions)),
    }


@pytest.mark.exhaustive
def test_intervals_cover() -> None:
    rng = np.random.default_rng(5)
    truth = {  # of normal errors with mean 0.5 and deviation 1, outcomes of deviation 3
        "mae": 0.8956,
        "rmse": math.sqrt(1.25),
        "mean_error": 0.5,
        "r2": 1 - 1.25 / 9,
        "median_absolute_error": 0.7599,
    }
    inside = dict.fromkeys(truth, 0)
    for seed in rng.integers(0, 2**31, 500):
        for name, one in measure_errors(*sample(400, int(seed))).items():
            assert one.low is not None
            assert one.high is not None
            inside[name] += one.low <= truth[name] <= one.high
    assert all(0.92 <= hits / 500 <= 0.98 for hits in inside.values()), inside


@pytest.mark.parametrize(
    ("predictions", "outcomes", "undefined"),
    [
        ([], [], {"mae", "rmse", "mean_error", "median_absolute_error", "r2"}),
        ([1.0, 2.0], [3.0, 3.0], {"r2"}),
        ([1e200, 0.0], [-1e200, 1.0], {"rmse", "r2"}),
    ],
)
def test_what_is_not_defined_is_null(
    predictions: list[float], outcomes: list[float], undefined: set[str]
) -> None:
    found = measure_errors(np.array(predictions), np.array(outcomes))
    assert {name for name, one in found.items() if one.value is None} >= undefined


@pytest.mark.parametrize(
    ("value", "means"),
    [
        (3, 3.0),
        (-2.5, -2.5),
        ("12.5", 12.5),
        ("1e3", 1000.0),
        (2**53, 2.0**53),
        (2**53 + 1, None),
        (str(2**53 + 1), None),
        ("1e999", None),
        (math.nan, None),
        (math.inf, None),
        ("nan", None),
        (True, None),
        ("true", None),
        ("", None),
        ("1_000", None),
        ("٣", None),
        (10**400, None),
        ("9" * 5000, None),
    ],
)
def test_what_is_a_number(value: Any, means: float | None) -> None:
    assert NumberRule().meaning(value) == means


def test_a_column_with_words_is_refused_with_its_values() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        NumberRule().meanings({"1.5": 3, "late": 2}, column="delay", still_safe="All.")
    assert caught.value.what.startswith("delay is no number in 2 of 5 rows: 'late' (2 rows); ")


def policy(**changes: Any) -> ErrorBiasPolicy:
    return ErrorBiasPolicy(**{"attributes": ("sex",), "max_difference": 1.0, **changes})


def groups(**errors: list[float]) -> dict[tuple[str, ...], ErrorSums]:
    return {(name,): sums_of(np.array(values)) for name, values in errors.items()}


def spread(mean: float, n: int = 200) -> list[float]:
    return [mean + 0.1 * (-1) ** i for i in range(n)]


@pytest.mark.parametrize(
    ("gap", "verdict"),
    [(0.5, Verdict.PASSED), (1.01, Verdict.INCONCLUSIVE), (2.0, Verdict.FAILED)],
)
def test_the_gap_of_mean_errors_is_judged_with_its_interval(gap: float, verdict: Verdict) -> None:
    found = audit_errors(
        ["sex"], groups(f=spread(gap), m=spread(0.0)), policy(), subject="m@1", today=TODAY
    )
    assert found.verdict is verdict
    assert found.checks[0].value == pytest.approx(gap)


def test_numbers_are_compared_in_bands() -> None:
    ages = {"19": 0.0, "24.9": 0.2, "25": 3.0, "60": 3.0}
    held = groups(**{age: spread(mean) for age, mean in ages.items()})
    by_age = policy(attributes=("age",), edges={"age": (25,)})
    found = audit_errors(["age"], held, by_age, subject="m", today=TODAY)
    shown: Any = found.facts["groups"]
    assert [one["value"] for one in shown] == [["under 25"], ["25 and over"]]
    assert found.checks[0].value == pytest.approx(2.9)
    assert found.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ({"age": (25,)}, "edges names age, which is not in attributes"),
        ({"sex": ()}, "edges of sex must be numbers that rise"),
        ({"sex": (2, 2)}, "edges of sex must be numbers that rise"),
    ],
)
def test_edges_of_a_regression(edges: dict[str, tuple[float, ...]], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        policy(edges=edges)


def test_a_gap_in_the_sign_is_none_in_size() -> None:
    held = groups(f=spread(3.0), m=spread(-3.0))
    by_size = policy(metric="mean_absolute_error")
    assert audit_errors(["sex"], held, by_size, subject="m", today=TODAY).verdict is Verdict.PASSED
    assert audit_errors(["sex"], held, policy(), subject="m", today=TODAY).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("small", "verdict"), [("inconclusive", "inconclusive"), ("report", "passed")]
)
def test_small_groups_are_listed(small: Any, verdict: str) -> None:
    held = groups(f=spread(0.0), m=spread(0.1), x=[99.0, 98.0])
    found = audit_errors(["sex"], held, policy(small_groups=small), subject="m", today=TODAY)
    assert found.verdict == verdict
    assert [c.subject for c in found.checks if c.rule == "group rows"] == ["sex=x"]
    stated: Any = found.facts["groups"]
    assert [(g["value"], g["n"], g["sufficient"]) for g in stated] == [
        (["f"], 200, True),
        (["m"], 200, True),
        (["x"], 2, False),
    ]
    assert stated[2]["mean_error"] == 98.5
    assert stated[2]["ci"] == {"mean_error": None, "mean_absolute_error": None}
    assert stated[0]["selection_rate"] is None


@pytest.mark.exhaustive
def test_intervals_of_the_groups_hold_together() -> None:
    rng = np.random.default_rng(9)
    hits = 0
    for _ in range(400):
        held = {(str(g),): sums_of(rng.normal(g, 1.0, 120)) for g in range(5)}
        found = audit_errors(["g"], held, policy(attributes=("g",)), subject="m", today=TODAY)
        stated: Any = found.facts["groups"]
        ends = [one["ci"]["mean_error"] for one in stated]
        hits += all(low <= g <= high for g, (low, high) in enumerate(ends))
    assert 0.93 <= hits / 400 <= 0.99


def test_a_missing_group_is_none_of_the_others_and_no_two_groups_become_one() -> None:
    one = sums_of(np.array([1.0, -1.0]))
    values = [(None, "a"), ("", "a"), ("(missing)", "a"), ("x & y", "z"), ("x", "y & z")]
    held = dict.fromkeys(values, one)
    report = audit_errors(
        ["sex", "race"], held, policy(attributes=("sex", "race")), subject="m", today=TODAY
    )
    stated: Any = report.facts["groups"]
    by_sex = [group["value"] for group in stated if group["by"] == ["sex"]]
    assert by_sex == [[""], ["(missing)"], ["x"], ["x & y"], [None]]
    crossed = [group["n"] for group in stated if group["by"] == ["sex", "race"]]
    assert sum(crossed) == 2 * len(values)


def test_a_reference_group_bands_and_a_decision_that_lapsed() -> None:
    held = {
        ("f", age): sums_of(np.array(spread(gap)))
        for age, gap in (("24.5", 0.0), ("31", 0.4), ("39.9", 0.8), ("60", 2.0), (None, 0.1))
    }
    stated = policy(
        attributes=("sex", "age"),
        intersections=False,
        edges={"age": (25, 40)},
        reference={"age": "under 25"},
        decision={"why": "w", "by": "board", "until": TODAY},
    )
    found = audit_errors(["sex", "age"], held, stated, subject="m", today=TODAY)
    groups: Any = [g for g in found.facts["groups"] if g["by"] == ["age"]]  # type: ignore[attr-defined]
    assert [(g["value"], g["n"]) for g in groups] == [
        (["under 25"], 200),
        (["25 to under 40"], 400),
        (["40 and over"], 200),
        ([None], 200),
    ]
    (gap,) = [
        c
        for c in found.facts["comparisons"]  # type: ignore[attr-defined]
        if c["by"] == ["age"] and c["metric"] == "mean_error"
    ]
    assert (gap["worst"], gap["best"]) == (["40 and over"], ["under 25"])
    assert gap["difference"] == pytest.approx(2.0)
    assert (gap["ratio"], gap["verdict"], gap["limit"]) == (None, "failed", 1.0)
    assert gap["p_adjusted"] < 1e-9
    sizes = [c for c in found.facts["comparisons"] if c["metric"] == "mean_absolute_error"]  # type: ignore[attr-defined]
    assert [(c["by"], c["verdict"], c["ratio"] is None) for c in sizes] == [
        (["sex"], None, True),
        (["age"], None, False),
    ]
    assert found.facts["decision"]["by"] == "board"  # type: ignore[index]
    later = audit_errors(["sex", "age"], held, stated, subject="m", today=TODAY + timedelta(days=1))
    assert later.checks[0].rule == "decision on metric and limits"


@pytest.mark.parametrize("keys", [{"edges": {"race": [1]}}, {"reference": {"race": "x"}}])
def test_edges_and_references_are_of_attributes(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="names race, which is not in attributes"):
        policy(**keys)
