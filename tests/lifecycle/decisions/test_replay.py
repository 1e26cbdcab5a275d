"""A replay tells identical from close from different."""

from typing import Any

import pytest

from tenure.lifecycle.decisions.replay import (
    GOOD,
    TOLERANCE,
    ReplayResult,
    ReplayVerdict,
    compare,
    verdict,
)

LOGGED = 0.25


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (LOGGED, ReplayVerdict.IDENTICAL),
        (LOGGED + TOLERANCE * 0.9, ReplayVerdict.CLOSE),
        (LOGGED + TOLERANCE * 1.1, ReplayVerdict.DIFFERENT),
        (float("nan"), ReplayVerdict.DIFFERENT),
        (0.75, ReplayVerdict.DIFFERENT),
    ],
)
def test_scores(score: float, expected: ReplayVerdict) -> None:
    found = compare("d", "m@1", logged=LOGGED, decided=False, score=score, threshold=0.5)
    assert found.found is expected


@pytest.mark.parametrize(
    ("ends", "logged_ends", "expected"),
    [
        ((-1.0, 4.0), (-1.0, 4.0), ReplayVerdict.IDENTICAL),
        ((-1.0, 4.0 + 1e-13), (-1.0, 4.0), ReplayVerdict.CLOSE),
        ((-1.0, 4.1), (-1.0, 4.0), ReplayVerdict.DIFFERENT),
        ((float("nan"), 4.0), (-1.0, 4.0), ReplayVerdict.DIFFERENT),
        (None, (-1.0, 4.0), ReplayVerdict.DIFFERENT),
        ((-1.0, 4.0), None, ReplayVerdict.DIFFERENT),
    ],
)
def test_intervals(ends: Any, logged_ends: Any, expected: ReplayVerdict) -> None:
    found = compare(
        "d",
        "m@1",
        logged=2.0,
        decided=None,
        score=2.0,
        threshold=None,
        ends=ends,
        logged_ends=logged_ends,
    )
    assert found.found is expected
    if ends == (-1.0, 4.1):
        assert found.why == "logged 2.0 [-1.0, 4.0], now 2.0 [-1.0, 4.1]"
        assert found.difference == pytest.approx(0.1)


def test_exactly_the_tolerance_is_close() -> None:
    found = compare("d", "m@1", logged=0.0, decided=False, score=TOLERANCE, threshold=0.5)
    assert (found.found, found.difference) == (ReplayVerdict.CLOSE, TOLERANCE)


def test_a_decision_that_turns_is_different_however_close_the_score() -> None:
    found = compare("d", "m@1", logged=0.5, decided=True, score=0.5 - 1e-16, threshold=0.5)
    assert found.found is ReplayVerdict.DIFFERENT
    assert found.why == "logged 0.5 and positive, now 0.4999999999999999 and negative"


def test_what_needs_nobody() -> None:
    assert {ReplayVerdict.IDENTICAL, ReplayVerdict.CLOSE, ReplayVerdict.NO_MODEL} == GOOD


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ("", "inconclusive"),
        ("identical close no_model", "passed"),
        ("identical erased", "inconclusive"),
        ("identical gone", "inconclusive"),
        ("missing", "inconclusive"),
        ("identical erased different", "failed"),
        ("refused", "failed"),
    ],
)
def test_the_verdict_of_many(found: str, expected: str) -> None:
    assert verdict([ReplayResult("d", ReplayVerdict(one)) for one in found.split()]) == expected


@pytest.mark.parametrize(
    ("answer", "expected"), [("late", ReplayVerdict.IDENTICAL), ("early", ReplayVerdict.DIFFERENT)]
)
def test_another_class_is_different_however_probable(answer: str, expected: ReplayVerdict) -> None:
    found = compare(
        "d", "m@1", logged=0.4, decided="late", score=0.4, threshold=None, answer=answer
    )
    assert found.found is expected
    if expected is ReplayVerdict.DIFFERENT:
        assert found.why == "logged 0.4 for class 'late', now 0.4 for class 'early'"
