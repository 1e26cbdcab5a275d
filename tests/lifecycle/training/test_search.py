"""Successive halving: the best candidate is found, time bounds it, and the choice is told."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tenure.lifecycle.model_version import SearchFacts, SearchTrial
from tenure.lifecycle.training.policy import TrainingPolicy
from tenure.lifecycle.training.search import SearchPolicy, candidates, search
from tenure.lifecycle.training.split import folds

HOUR = 3_600_000_000


def run(
    losses: list[float], *, rows: int = 9000, budget: float = 1e9, cost: float = 1.0
) -> tuple[SearchFacts, list[SearchTrial]]:
    """Search where candidate n has this loss, and each trial takes so long."""
    clock, told = [0.0], list[SearchTrial]()

    def loss(parameters: Mapping[str, Any], train: Any, judge: Any) -> float:
        clock[0] += cost
        return losses[int(parameters["n"])]

    found = search(
        [{"n": n} for n in range(len(losses))],
        [(np.arange(rows), np.arange(10))],
        loss,
        budget_seconds=budget,
        monotonic=lambda: clock[0],
        tell=told.append,
    )
    return found, told


@pytest.mark.parametrize(
    ("losses", "rows", "sizes", "chosen"),
    [
        ([0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, 0.8, 0.9], 9000, [1000] * 9 + [3000] * 3 + [9000], 4),
        ([0.3, 0.3, 0.4], 9000, [3000] * 3 + [9000], 0),
        ([0.3, 0.2], 9000, [3000] * 2 + [9000], 1),
        ([0.3], 9000, [9000], 0),
        ([0.3, 0.2, 0.1], 250, [250] * 3, 2),
    ],
)
def test_the_better_third_gets_three_times_the_rows(
    losses: list[float], rows: int, sizes: list[int], chosen: int
) -> None:
    found, told = run(losses, rows=rows)
    assert [trial.rows for trial in told] == sizes
    assert found.chosen == {"n": chosen}
    assert found.trials == tuple(told)
    assert found.ended_by == "halving"


@pytest.mark.parametrize(
    ("budget", "trials", "chosen"),
    [
        (0.5, 1, 0),  # the first is tried in any case
        (3.0, 3, 0),  # a first round that is not complete chooses nothing
        (9.0, 9, 8),
        (10.0, 10, 8),  # a later round that is not complete chooses nothing
        (13.0, 13, 8),
    ],
)
def test_time_ends_it(budget: float, trials: int, chosen: int) -> None:
    losses = [0.9 - 0.1 * n for n in range(9)]
    found, _ = run(losses, budget=budget)
    assert len(found.trials) == trials
    assert found.chosen == {"n": chosen}
    assert found.ended_by == ("halving" if trials == 13 else "budget")


def test_candidates_begin_with_the_yaml_and_none_is_there_twice() -> None:
    policy = SearchPolicy(parameters={"a": (1, 2, 3), "b": (0.5, 1.5)}, candidates=6)
    found = candidates({"a": 2, "b": 0.5, "c": True}, policy, seed=7)
    assert found[0] == {"a": 2, "b": 0.5, "c": True}
    assert len(found) == 6
    assert all(one["c"] is True for one in found)
    assert found == candidates({"a": 2, "b": 0.5, "c": True}, policy, seed=7)
    large = SearchPolicy(parameters={"a": tuple(range(100)), "b": tuple(range(100))}, candidates=5)
    assert candidates({}, large, seed=7) != candidates({}, large, seed=8)


@pytest.mark.parametrize("stated", [{}, {"parameters": {}}, {"parameters": {"a": [1]}, "x": 1}])
def test_what_is_no_policy(stated: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SearchPolicy(**stated)


def timed(count: int = 1000) -> dict[str, Any]:
    return {
        "horizon_hours": 0,
        "labels": np.arange(count) % 3 == 0,
        "times": np.random.default_rng(1).permutation(count) * HOUR,
        "groups": None,
    }


def test_a_fold_never_learns_from_what_it_is_judged_by_or_from_later_rows() -> None:
    rows = timed()
    found = folds(TrainingPolicy(gap_hours=5), 3, **rows)
    assert len(found) == 3
    for train, judge in found:
        assert rows["times"][train].max() + 5 * HOUR < rows["times"][judge].min()
        assert (np.diff(rows["times"][train]) > 0).all(), "the newest last"
    ends = [rows["times"][judge].max() for _, judge in found]
    assert ends == sorted(set(ends))
    assert ends[-1] == rows["times"].max()


def _drawn(count: int) -> list[Any]:
    return folds(TrainingPolicy(split="stratified"), count, **{**timed(), "times": None})


@pytest.mark.parametrize("make", [_drawn])
def test_without_time_each_fold_is_another_draw(make: Callable[[int], list[Any]]) -> None:
    first, second = make(2)
    assert set(first[0].tolist()).isdisjoint(first[1].tolist())
    assert sorted(first[1]) != sorted(second[1])
    assert make(2)[0][0].tolist() == first[0].tolist()
