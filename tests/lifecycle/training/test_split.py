"""Every row is on one side or counted; what is known only later never teaches."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tenure.errors import GateInconclusive
from tenure.lifecycle.training.policy import TrainingPolicy
from tenure.lifecycle.training.split import (
    RowSplit,
    split_by_group,
    split_by_stratum,
    split_by_time,
    split_rows,
)

HOUR = 3_600_000_000


def split(times: list[int], fraction: float = 0.25, gap: int = 0) -> tuple[list[int], list[int]]:
    found = split_by_time(np.array(times, np.int64), holdout_fraction=fraction, gap_hours=gap)
    return found.train.tolist(), found.holdout.tolist()


def test_the_newest_quarter_is_held_out_whatever_the_order() -> None:
    assert split([30, 10, 40, 20]) == ([0, 1, 3], [2])


def test_rows_of_one_moment_are_never_parted() -> None:
    assert split([1, 2, 2, 2, 2, 2, 2, 3]) == ([0], [1, 2, 3, 4, 5, 6, 7])


@pytest.mark.parametrize(
    ("case", "microseconds_before", "trained"),
    [("below the gap", -1, False), ("at the gap", 0, False), ("above the gap", 1, True)],
)
def test_the_gap_is_strict(case: str, microseconds_before: int, trained: bool) -> None:
    first = 100 * HOUR
    times = [0, 1, first - 24 * HOUR - microseconds_before, first]
    train, holdout = split(times, gap=24)
    assert holdout == [3]
    assert (2 in train) is trained, case


@pytest.mark.parametrize(
    ("case", "times", "fraction", "gap"),
    [
        ("no rows", [], 0.25, 0),
        ("one row", [1], 0.25, 0),
        ("all at one moment", [5, 5, 5, 5], 0.25, 0),
        ("the gap eats the rest", [0, HOUR, 2 * HOUR, 3 * HOUR], 0.25, 24),
        ("the holdout eats everything", [1, 2, 3], 0.99, 0),
    ],
)
def test_rows_that_cannot_be_split(case: str, times: list[int], fraction: float, gap: int) -> None:
    with pytest.raises(GateInconclusive, match="cannot be split"):
        split(times, fraction, gap)


def test_every_random_split_keeps_the_gap() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        times = rng.integers(0, 400 * HOUR, size=rng.integers(20, 200))
        found = split_by_time(times, holdout_fraction=0.3, gap_hours=int(rng.integers(0, 48)))
        assert times[found.train].max() < times[found.holdout].min()
        assert len(np.intersect1d(found.train, found.holdout)) == 0


def counted(split: RowSplit) -> list[int]:
    left_out = (split.gap, split.label_unknown, split.group_held_out)
    return [len(split.train), len(split.holdout), *left_out]


@pytest.mark.parametrize(
    ("case", "gap", "horizon", "groups", "expected"),
    [
        ("nothing between", 0, 0.0, None, [6, 2, 0, 0, 0]),
        ("a gap", 2, 0.0, None, [4, 2, 2, 0, 0]),
        ("labels that are known later than the gap", 2, 3.5, None, [3, 2, 2, 1, 0]),
        ("a label known exactly when the holdout begins", 0, 3.0, None, [3, 2, 0, 3, 0]),
        ("labels that are known within the gap", 3, 2.0, None, [3, 2, 3, 0, 0]),
        ("a group that comes back", 0, 0.0, "aabbcbac", [3, 2, 0, 0, 3]),
        ("a group of the gap is counted there", 4, 0.0, "abbbccac", [1, 2, 4, 0, 1]),
        ("rows of no group are never parted from", 0, 0.0, "_a_a__a_", [4, 2, 0, 0, 2]),
    ],
)
def test_every_row_is_somewhere(
    case: str, gap: int, horizon: float, groups: str | None, expected: list[int]
) -> None:
    times = np.arange(8) * HOUR
    named = None if groups is None else np.array([g.strip("_") for g in groups], dtype=object)
    how: dict[str, Any] = {"gap_hours": gap, "horizon_hours": horizon, "groups": named}
    found = split_by_time(times, holdout_fraction=0.25, **how)
    assert counted(found) == expected, case
    assert sum(expected) == 8


def test_groups_that_come_back_all_the_time_are_said() -> None:
    groups = np.array(list("abcabcab"), dtype=object)
    with pytest.raises(GateInconclusive, match="4 of the 6 older rows belong to a group that is"):
        split_by_time(np.arange(8), holdout_fraction=0.25, gap_hours=0, groups=groups)


def test_whole_groups_are_held_out() -> None:
    rng = np.random.default_rng(3)
    groups = np.array([f"g{n}" for n in rng.integers(0, 40, 1000)], dtype=object)
    groups[:100] = ""
    found = split_by_group(groups, holdout_fraction=0.25, seed=7)
    train, holdout = set(groups[found.train]), set(groups[found.holdout])
    assert train & holdout <= {""}
    assert 250 <= len(found.holdout) < 300
    assert counted(found) == counted(split_by_group(groups, holdout_fraction=0.25, seed=7))
    other = split_by_group(groups, holdout_fraction=0.25, seed=8)
    assert found.holdout.tolist() != other.holdout.tolist()


@pytest.mark.parametrize("groups", [["a"] * 9, [""], []])
def test_one_group_cannot_be_split(groups: list[str]) -> None:
    with pytest.raises(GateInconclusive, match="cannot be split"):
        split_by_group(np.array(groups, dtype=object), holdout_fraction=0.25, seed=7)


def test_the_shares_of_labels_are_kept() -> None:
    labels = np.array(["a"] * 800 + ["b"] * 160 + ["c"] * 40)
    found = split_by_stratum(labels, holdout_fraction=0.25, seed=7)
    held = {label: int((labels[found.holdout] == label).sum()) for label in "abc"}
    assert held == {"a": 200, "b": 40, "c": 10}
    assert sorted([*found.train, *found.holdout]) == list(range(1000))


@pytest.mark.parametrize(
    ("how", "is_timed", "drawn"),
    [
        ({"split": "temporal"}, True, False),
        ({"split": "grouped", "group_column": "g"}, True, False),
        ({"split": "grouped", "group_column": "g"}, False, True),
        ({"split": "stratified"}, False, True),
        ({"split": "random"}, False, True),
    ],
)
def test_time_decides_where_there_is_time(how: dict[str, Any], is_timed: bool, drawn: bool) -> None:
    policy = TrainingPolicy(**how, gap_hours=0)
    groups = np.array([f"g{n // 4}" for n in range(400)], dtype=object)
    found = split_rows(
        policy,
        horizon_hours=0,
        labels=np.arange(400) % 4 == 0,
        times=np.arange(400) * HOUR if is_timed else None,
        groups=groups if policy.split == "grouped" else None,
    )
    assert sum(counted(found)) == 400
    assert (found.holdout.tolist() != list(range(300, 400))) is drawn
    if policy.split == "grouped":
        assert not set(groups[found.train]) & set(groups[found.holdout])
    if policy.split == "stratified":
        assert (found.holdout % 4 == 0).sum() == 25


@pytest.mark.parametrize("how", [{"split": "grouped"}, {"group_column": "g"}])
def test_groups_are_declared_together(how: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="grouped and group_column need each other"):
        TrainingPolicy(**how)
