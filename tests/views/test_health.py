"""When a part of the platform is called silent, and what the overview says first."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.serving.silence import LifeSign
from tenure.views.health import verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sign(age: float | None, **more: object) -> LifeSign:
    at = None if age is None else NOW - timedelta(seconds=age)
    return LifeSign("scheduler", at, **{"period_seconds": 15.0, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (sign(29.9), "passed"),
        (sign(30), "passed"),
        (sign(30.1), "failed"),
        (sign(9_999, period_seconds=None), "passed"),
        (sign(1, trouble="2 broken"), "failed"),
        (sign(None, is_needed=True), "failed"),
        (sign(None), "unknown"),
        (sign(-3), "passed"),
    ],
    ids=["below", "at", "above", "no period", "trouble", "missed", "not yet", "clock ahead"],
)
def test_a_part_is_silent_after_two_periods(one: LifeSign, state: str) -> None:
    assert one.state(NOW) == state


@pytest.mark.parametrize(
    ("ages", "persons", "says", "tone"),
    [
        ({"a": 1}, 0, "All well", "passed"),
        ({"a": 1}, 1, "1 thing needs a person", "inconclusive"),
        ({"a": 1}, 2, "2 things need a person", "inconclusive"),
        ({"scheduler": 31}, 0, "Scheduler is silent or in trouble", "failed"),
        (
            {"scheduler": 31, "triggerer": 99, "c": 1},
            2,
            "Scheduler and triggerer are silent or in trouble, and 2 things need a person",
            "failed",
        ),
    ],
)
def test_the_first_sentence(ages: dict[str, int], persons: int, says: str, tone: str) -> None:
    signs = [
        LifeSign(name, NOW - timedelta(seconds=age), period_seconds=15)
        for name, age in ages.items()
    ]
    assert verdict(signs, now=NOW, persons=persons) == (says, tone)
