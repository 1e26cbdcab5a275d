"""The sample ratio: exact expectation, false alarms by simulation, and splits that are wrong."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from tenure.lifecycle.promotion.split import ALPHA, judge_split, log_e_value


@pytest.mark.parametrize("share_bp", [1, 500, 2500, 5000, 9999])
@pytest.mark.parametrize("subjects", [1, 7, 40])
def test_the_expectation_under_the_split_that_was_meant_is_one(
    share_bp: int, subjects: int
) -> None:
    expected = sum(
        binom.pmf(x, subjects, share_bp / 10_000) * math.exp(log_e_value(share_bp, x, subjects - x))
        for x in range(subjects + 1)
    )
    assert expected == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("share_bp", [500, 5000])
def test_a_right_split_is_rarely_found_wrong_whenever_one_looks(share_bp: int) -> None:
    rng = np.random.default_rng(13)
    seen, runs = np.arange(1, 101) * 100, 2_000
    canary = rng.binomial(100, share_bp / 10_000, (runs, 100)).cumsum(axis=1)
    highest = [
        max(log_e_value(share_bp, int(x), int(n - x)) for x, n in zip(row, seen, strict=True))
        for row in canary
    ]
    assert sum(value >= math.log(1 / ALPHA) for value in highest) <= 6  # 2 expected at most


@pytest.mark.parametrize(
    ("share_bp", "canary", "champion", "wrong"),
    [
        pytest.param(500, 0, 0, None, id="nobody yet"),
        pytest.param(500, 1, 0, False, id="one subject says nothing"),
        pytest.param(500, 20, 0, True, id="the champion's log is not shipped"),
        pytest.param(500, 50, 950, False, id="as it was meant"),
        pytest.param(500, 70, 930, False, id="by chance"),
        pytest.param(500, 100, 900, True, id="twice the share"),
        pytest.param(500, 0, 1_000, True, id="the canary's log is not shipped"),
        pytest.param(5000, 5_150, 4_850, False, id="three points in ten thousand subjects"),
        pytest.param(5000, 51_500, 48_500, True, id="three points in a hundred thousand"),
    ],
)
def test_splits(share_bp: int, canary: int, champion: int, wrong: bool | None) -> None:
    found = judge_split([(share_bp, canary, champion)], shares=1)
    assert (found.wrong if found else None) is wrong


def test_the_share_most_in_doubt_is_told_and_alpha_is_divided() -> None:
    rows = [(500, 50, 950), (5000, 400, 600)]
    found = judge_split(rows, shares=2)
    assert found is not None
    assert (found.share_bp, found.wrong) == (5000, True)
    edge = next(n for n in range(1_000) if log_e_value(5000, n, 0) >= math.log(1 / ALPHA))
    alone, among = (judge_split([(5000, edge, 0)], shares=n) for n in (1, 1_000))
    assert alone is not None
    assert among is not None
    assert (alone.wrong, among.wrong) == (True, False)
