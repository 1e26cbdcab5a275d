"""What the next step waits for, and when it can come: a straight line, or why there is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenure.lifecycle.promotion.canary import CanaryMetric, CanaryPolicy
from tenure.lifecycle.promotion.canary_forecast import PastAnalysis, waits_for

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = CanaryPolicy(
    shares_bp=(500, 5000, 10_000),
    metrics=(CanaryMetric(event="wrong_label", margin=1.5, min_subjects=200),),
    min_step_subjects=100,
)


def past(
    minutes: int, step: int, *, share_bp: int = 500, subjects: int = 0, log_safe: float = 0.0
) -> PastAnalysis:
    metric: dict[str, Any] = {
        "event": "wrong_label",
        "margin": 1.5,
        "required": True,
        "safe": False,
        "canary_subjects": subjects,
        "log_safe": log_safe,
    }
    at = NOW - timedelta(minutes=minutes)
    return PastAnalysis(share_bp, at, {"step_subjects": step, "metrics": [metric]})


def test_subjects_come_at_the_pace_of_the_last_analyses_at_this_share() -> None:
    (one,) = waits_for(POLICY, [past(30, 10), past(20, 20), past(10, 40)], NOW)
    assert one.what == "40 of 100 subjects of the challenger at this share"
    assert one.at == NOW + timedelta(minutes=30)  # 30 in 20 minutes: 60 more take 40 from the last
    assert one.why == "90 subjects an hour in the last 20 minutes at this share"


def test_the_pace_of_another_share_tells_nothing() -> None:
    (one, _, _) = waits_for(POLICY, [past(30, 100), past(10, 40, share_bp=5000)], NOW)
    assert (one.at, one.why) == (None, "not to be estimated from one analysis at this share")


def test_without_traffic_nothing_is_promised() -> None:
    (one,) = waits_for(POLICY, [past(30, 40), past(10, 40)], NOW)
    assert one.at is None
    assert one.why == ("not to be estimated: no subjects came in the last 20 minutes at this share")


def test_at_the_last_share_it_waits_for_subjects_and_evidence_of_what_is_required() -> None:
    first = past(20, 100, share_bp=5000, subjects=100, log_safe=0.5)
    last = past(10, 150, share_bp=5000, subjects=150, log_safe=1.5)
    subjects, evidence = waits_for(POLICY, [first, last], NOW)
    assert (subjects.what, subjects.at) == (
        "150 of 200 subjects of the challenger for wrong label",
        NOW,
    )
    assert evidence.what.startswith("evidence of safety on wrong label: E = 4.48 of 20, that")
    assert evidence.at is not None
    # ln 20 - 1.5 = 1.496 more, at 1 in ten minutes
    assert (evidence.at - NOW).total_seconds() == pytest.approx(297.4, abs=0.1)


def test_evidence_that_shrinks_has_no_date() -> None:
    first = past(20, 100, share_bp=5000, subjects=300, log_safe=1.5)
    (one,) = waits_for(
        POLICY, [first, past(10, 150, share_bp=5000, subjects=400, log_safe=1.0)], NOW
    )
    assert (one.at, one.why) == (
        None,
        "not to be estimated: the evidence did not grow in the last 10 minutes at this share",
    )


def test_what_is_there_already_is_not_waited_for() -> None:
    assert waits_for(POLICY, [past(20, 90), past(10, 100)], NOW) == []
    assert waits_for(POLICY, [], NOW) == []


def test_what_hardly_grows_has_no_date_beyond_the_calendar() -> None:
    first = past(20, 100, share_bp=5000, subjects=300, log_safe=1.0)
    last = past(10, 150, share_bp=5000, subjects=400, log_safe=1.0 + 1e-15)
    (one,) = waits_for(POLICY, [first, last], NOW)
    assert one.at is None
    assert one.why == "more than a year at the pace in the last 10 minutes at this share"
