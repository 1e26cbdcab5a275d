"""Counts for pictures: the whole window is in them, nothing of personal features, no false 0."""

import pytest

from tenure.lifecycle.monitoring import MonitoringPolicy
from tenure.lifecycle.monitoring.distributions import pictured, quartiles
from tenure.ports import FeatureCounts


def side(*score: int, no_model: int = 0) -> FeatureCounts:
    rows = sum(score) + no_model
    return FeatureCounts(
        rows,
        bins={"score": score, "temp": (0, rows, 0)},
        categories={"carrier": {"AA": rows - 1, "ZZ": 1}},
        nulls={"score": no_model, "temp": 0, "carrier": 0},
    )


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_window_is_counted_whole(is_sealed: bool) -> None:
    found = pictured(
        side(0, 6, 4, 0),
        side(0, 2, 6, 0, no_model=3),
        MonitoringPolicy(),
        edges={"score": (0.0, 0.5, 1.0), "temp": (1.0, 9.0)},
        known={"carrier": ["AA"]},
        is_sealed=is_sealed,
    )
    assert found["traffic"] == {"decisions": 11, "by_no_model": 3}
    assert found["score"]["current"] == pytest.approx([0.5, 2 / 3, 5 / 6])
    shown = found["distributions"]
    assert list(shown) == (["score"] if is_sealed else ["score", "temp", "carrier"])
    assert all(sum(one["current"]) == 11 and sum(one["reference"]) == 10 for one in shown.values())
    assert all(len(one["bins"]) == len(one["current"]) for one in shown.values())


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((0, 0, 0), None),
        ((5, 0, 0), [1.0, 1.0, 1.0]),
        ((0, 0, 5), [3.0, 3.0, 3.0]),
        ((0, 4, 0), [1.5, 2.0, 2.5]),
    ],
    ids=["no values", "all below", "all above", "one bin"],
)
def test_quartiles_of_bins(counts: tuple[int, ...], expected: list[float] | None) -> None:
    assert quartiles((1.0, 3.0), counts) == expected
