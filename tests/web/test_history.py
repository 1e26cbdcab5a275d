"""The history of a check as a small drawing."""

import re

import pytest

from tenure.verdicts import Verdict
from tenure.views.validations import Point
from tenure.web import history


def points(*values: float | None, failed: int = -1) -> list[Point]:
    verdicts = {True: Verdict.FAILED, False: Verdict.PASSED}
    return [Point(f"b{n}", verdicts[n == failed], v) for n, v in enumerate(values)]


@pytest.mark.parametrize("few", [points(), points(1.0)])
def test_one_batch_is_no_history(few: list[Point]) -> None:
    assert history.draw(few) == ""


def test_each_batch_is_a_dot_that_says_what_it_was() -> None:
    drawn = str(history.draw(points(1.0, 2.5, None, failed=1)))
    assert re.findall(r"<title>(.*?)</title>", drawn) == ["b0: passed, 1", "b1: failed, 2.5", "b2: passed"]  # fmt: skip # noqa: E501
    assert re.findall(r'<circle class="(\w+)"', drawn) == ["passed", "failed", "passed"]
    assert 'aria-label="3 batches, broken in 1"' in drawn


def test_the_curve_rises_with_the_number_and_stays_above_the_dots() -> None:
    drawn = str(history.draw(points(0.0, 5.0, 10.0)))
    found = re.search(r'points="([^"]+)"', drawn)
    assert found is not None
    heights = [float(pair.split(",")[1]) for pair in found[1].split()]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == history.TOP
    assert heights[0] < history.DOTS - 4


@pytest.mark.parametrize("values", [(None, None), (1.0, None)])
def test_without_two_numbers_there_is_no_curve(values: tuple[float | None, ...]) -> None:
    assert "polyline" not in history.draw(points(*values))


def test_equal_numbers_are_a_level_line() -> None:
    found = re.search(r'points="([^"]+)"', str(history.draw(points(3.0, 3.0))))
    assert found is not None
    assert len({pair.split(",")[1] for pair in found[1].split()}) == 1


def test_names_of_batches_are_escaped() -> None:
    evil = [Point("<script>", "passed", 1.0), Point("b", "passed", 2.0)]
    assert "<script>" not in history.draw(evil)
