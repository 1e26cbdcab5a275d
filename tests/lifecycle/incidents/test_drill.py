"""Which drill makes which incident, and what its page says of the last one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenure.lifecycle.incidents.drill import (
    DRILLS,
    DrillResult,
    LastDrill,
    drill_words,
    drills_of,
)
from tenure.lifecycle.incidents.kinds import KINDS

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def last(days: float, **changes: Any) -> LastDrill:
    values = {"found": 8.21, "alerted": 9.0, "back": 41.4, "problem": ""}
    at = NOW - timedelta(days=days)
    return LastDrill("gateway-killed", at, "olga", **(values | changes))


def test_each_drill_makes_a_known_kind() -> None:
    assert {one.kind for one in DRILLS.values()} <= set(KINDS)


@pytest.mark.parametrize(
    ("kind", "subject", "names"),
    [
        ("silent", "gateway", ["gateway-killed"]),
        ("silent", "database", ["database-down"]),
        ("silent", "scheduler", []),
        ("DataRejected", "flights: temp", ["rejected-batch"]),
        ("LedgerBroken", "ledger", ["ledger-changed"]),
        ("drift_failed", "m@1", []),
    ],
)
def test_drills_of_an_incident(kind: str, subject: str, names: list[str]) -> None:
    assert drills_of(kind, subject) == names


@pytest.mark.parametrize(
    ("record", "words"),
    [
        pytest.param(None, "never drilled", id="never"),
        pytest.param(
            last(12.4),
            "last drilled 12 days ago by olga: found in 8.2 s, told in 9.0 s, back in 41 s, "
            "counted from the kill",
            id="days ago",
        ),
        pytest.param(
            last(0.9, found=10.0),
            "last drilled today by olga: found in 10 s, told in 9.0 s, back in 41 s, counted from "
            "the kill",
            id="today",
        ),
        pytest.param(
            last(1, back=None, problem="not back within 600 s"),
            "last drilled 1 day ago by olga: failed, not back within 600 s",
            id="failed",
        ),
    ],
)
def test_what_is_said(record: LastDrill | None, words: str) -> None:
    assert drill_words("gateway-killed", record, NOW) == words


@pytest.mark.parametrize(
    ("steps", "problem", "succeeded"),
    [
        ((1.0, 2.0, 3.0), "", True),
        ((0.0, 0.0, 0.0), "", True),
        ((1.0, 2.0, None), "", False),
        ((1.0, 2.0, 3.0), "x", False),
    ],
)
def test_a_drill_that_did_not_come_to_its_end_failed(
    steps: tuple[float | None, float | None, float | None], problem: str, *, succeeded: bool
) -> None:
    assert DrillResult("gateway-killed", NOW, *steps, problem).succeeded is succeeded
