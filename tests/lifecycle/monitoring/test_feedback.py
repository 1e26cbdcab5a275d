"""Segments in which people object more than elsewhere: planted, spread evenly, and the bounds."""

import numpy as np
import pytest

from tenure.lifecycle.monitoring.feedback import (
    ObjectionRatio,
    SegmentObjections,
    judge_feedback,
    ratio,
    segments,
)
from tenure.lifecycle.monitoring.policy import FeedbackPolicy
from tenure.ports import CodedDecision, FeatureCounts
from tenure.verdicts import Report, Verdict


def ids(count: int) -> tuple[str, ...]:
    return tuple(f"d{n}" for n in range(count))


def judged(found: list[SegmentObjections], of: tuple[int, int], **policy: float) -> Report:
    return judge_feedback(
        found,
        FeedbackPolicy.model_validate(policy),
        of=of,
        confidence=0.95,
        subject="late@1",
        facts={"kind": "feedback"},
    )


def test_segments_of_a_column_hold_each_decision_once() -> None:
    counts = FeatureCounts(
        rows=100,
        bins={"f_temp": (20, 30, 25, 15)},
        categories={"f_carrier": {"UA": 60, "AA": 30}, "decision": {"true": 40, "false": 60}},
        nulls={"f_temp": 10, "f_carrier": 10, "decision": 0},
    )
    objected = [
        CodedDecision("a", {"f_temp": "0", "f_carrier": "UA", "decision": "true"}),
        CodedDecision("b", {"f_temp": None, "f_carrier": None, "decision": "true"}),
    ]
    found = segments(counts, objected, {"f_temp": [10.0, 20.0, 30.0]})
    assert [(one.name, one.decisions, one.ids) for one in found] == [
        ("temp = below 10", 20, ("a",)),
        ("temp = 10 to 20", 30, ()),
        ("temp = 20 to 30", 25, ()),
        ("temp = over 30", 15, ()),
        ("temp = missing", 10, ("b",)),
        ("carrier = UA", 60, ("a",)),
        ("carrier = AA", 30, ()),
        ("carrier = missing", 10, ("b",)),
        ("decision = false", 60, ()),
        ("decision = true", 40, ("a", "b")),
    ]


def test_rare_values_share_a_segment() -> None:
    values = {f"v{n:02d}": 100 - n for n in range(14)}
    counts = FeatureCounts(sum(values.values()), {}, {"f_dest": values}, {"f_dest": 0})
    objected = [CodedDecision("a", {"f_dest": "v12"}), CodedDecision("b", {"f_dest": "v13"})]
    last = segments(counts, objected, {})[-1]
    assert (last.name, last.decisions, last.ids) == ("dest = other values", 175, ("a", "b"))


@pytest.mark.parametrize(
    ("inside", "outside", "expected"),
    [
        (0, 20, ObjectionRatio(0.0, 0.0, pytest.approx(1.823, abs=1e-3))),
        (
            2,
            18,
            ObjectionRatio(1.0, pytest.approx(0.1125, abs=1e-3), pytest.approx(4.177, abs=1e-3)),
        ),
        (20, 0, ObjectionRatio(None, pytest.approx(44.43, abs=0.01), None)),
    ],
)
def test_the_ratio_and_its_interval(inside: int, outside: int, expected: ObjectionRatio) -> None:
    one = SegmentObjections("carrier", "UA", 100, ids(inside))
    assert ratio(one, of=(1000, inside + outside), confidence=0.95) == expected


@pytest.mark.parametrize(
    ("objections", "verdict"), [(9, Verdict.PASSED), (10, Verdict.FAILED), (11, Verdict.FAILED)]
)
def test_too_few_objections_raise_nothing(objections: int, verdict: Verdict) -> None:
    one = SegmentObjections("carrier", "UA", 100, ids(objections))
    assert judged([one], (1000, objections)).verdict is verdict


@pytest.mark.parametrize(
    ("decisions", "verdict"), [(19, Verdict.PASSED), (20, Verdict.FAILED), (981, Verdict.PASSED)]
)
def test_a_segment_is_searched_within_its_bounds(decisions: int, verdict: Verdict) -> None:
    one = SegmentObjections("carrier", "UA", decisions, ids(15))
    report = judged([one], (1000, 15))
    assert report.verdict is verdict
    assert report.facts["searched"] == (1 if decisions == 20 else 0)


def test_twenty_overrides_in_one_segment_are_raised_with_numbers() -> None:
    every = [
        SegmentObjections("carrier", "UA", 100, ids(20)),
        SegmentObjections("carrier", "AA", 900, ()),
        *(SegmentObjections("hour", f"{n}", 100, ids(20)[2 * n : 2 * n + 2]) for n in range(10)),
    ]
    report = judged(every, (1000, 20))
    assert report.verdict is Verdict.FAILED
    assert report.summary == (
        "Feedback failed: people objected to 20 of 1,000 decisions (2.0%, 1.3% to 3.1%); 1 segment "
        "stands out, most carrier = UA: 20 of 100, at least 25 times as often as elsewhere."
    )
    first, *others = report.facts["segments"]  # type: ignore[misc]
    assert (first["segment"], first["raised"], len(first["decision_ids"])) == (
        "carrier = UA",
        True,
        20,
    )
    assert not any(one["raised"] or one["decision_ids"] for one in others)
    check = report.checks[0]
    assert (check.subject, check.counts, check.value) == ("carrier = UA", (20, 100), 0.2)


@pytest.mark.parametrize(("objections", "verdict"), [(100, Verdict.PASSED), (121, Verdict.FAILED)])
def test_objections_to_everything(objections: int, verdict: Verdict) -> None:
    report = judged([], (1000, objections))
    assert report.verdict is verdict
    assert "no segment stands out" in report.summary


def test_no_objection_at_all_passes() -> None:
    report = judged([SegmentObjections("carrier", "UA", 100, ())], (1000, 0))
    assert report.verdict is Verdict.PASSED
    assert report.facts["segments"] == []


@pytest.mark.exhaustive
def test_even_objections_seldom_raise_anything() -> None:
    """200 windows of 60 segments with objections anywhere: fewer than 5% say one stands out."""
    rng = np.random.default_rng(7)
    alarms = 0
    for _ in range(200):
        codes = rng.integers(0, 10, (6, 2000))
        objected = np.flatnonzero(rng.random(2000) < 0.05)
        found = [
            SegmentObjections(
                f"c{column}",
                str(value),
                int((codes[column] == value).sum()),
                tuple(str(n) for n in objected if codes[column, n] == value),
            )
            for column in range(6)
            for value in range(10)
        ]
        report = judged(found, (2000, len(objected)), max_ratio=1.0, max_share=1.0)
        alarms += report.verdict is Verdict.FAILED
    assert alarms / 200 < 0.05
