"""Choice of snapshots and the temporal split."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tenure.errors import GateInconclusive
from tenure.lifecycle.training import PublishedSnapshot, choose_snapshots, data_digest, suite_digest
from tenure.lifecycle.training.split import split_by_time

HOUR = 3_600_000_000


def snapshot(number: int, month: int, *, digest: str = "", suite: str = "s") -> PublishedSnapshot:
    time_max = datetime(2013, month, 28, tzinfo=UTC)
    return PublishedSnapshot(
        number, f"2013-{month:02d}", digest or f"d{number}", suite, 10, time_max
    )


def chosen(published: list[PublishedSnapshot], window: int = 3) -> list[str]:
    found = choose_snapshots(published, dataset="flights", window_batches=window)
    return [s.digest for s in found]


@pytest.mark.parametrize(
    ("case", "published", "expected"),
    [
        ("exactly the window", [(1, 1), (2, 2), (3, 3)], ["d1", "d2", "d3"]),
        ("one more: the oldest is left", [(1, 1), (2, 2), (3, 3), (4, 4)], ["d2", "d3", "d4"]),
        ("by time, not by arrival", [(1, 4), (2, 2), (3, 3), (4, 1)], ["d2", "d3", "d1"]),
        ("a corrected batch counts once", [(1, 1), (2, 2), (3, 3), (4, 1)], ["d4", "d2", "d3"]),
        ("a correction taken back", [(2, 2), (3, 3), (4, 1), (1, 1)], ["d1", "d2", "d3"]),
        ("the same rows in two batches", [(1, 1), (2, 2), (3, 3), (3, 4)], ["d1", "d2", "d3"]),
    ],
)
def test_choice(case: str, published: list[tuple[int, int]], expected: list[str]) -> None:
    assert chosen([snapshot(*p) for p in published]) == expected, case


def test_too_few_batches_say_how_many_and_which() -> None:
    with pytest.raises(GateInconclusive) as caught:
        chosen([snapshot(1, 1), snapshot(2, 2), snapshot(3, 2)])
    assert caught.value.what == (
        "flights: 2 of the 3 batches that training needs are published (2013-01, 2013-02)."
    )


def test_digests_name_order_and_suites() -> None:
    one, two = snapshot(1, 1), snapshot(2, 2)
    assert data_digest([one, two]) != data_digest([two, one])
    assert suite_digest([one, two]) == "s"
    assert suite_digest([one, snapshot(2, 2, suite="t")]) not in {"s", "t"}


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
