"""A replay tells identical from close from different."""

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
