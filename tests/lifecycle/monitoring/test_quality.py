"""Nulls, values out of range, categories never seen: below, at and above each limit."""

import pytest

from tenure.lifecycle.monitoring import MonitoringPolicy
from tenure.lifecycle.monitoring.quality import judge_quality
from tenure.lifecycle.training.evaluation.metrics import wilson
from tenure.ports import FeatureCounts
from tenure.verdicts import Report, Verdict

POLICY = MonitoringPolicy(max_null_increase=0.05, max_outside=0.05)
ROWS = 10_000
REFERENCE = FeatureCounts(
    ROWS, {"temp": (0, ROWS - 200, 0)}, {"carrier": {"AA": ROWS}}, {"temp": 200, "carrier": 0}
)


def judged(*, nulls: int = 200, below: int = 0, above: int = 0, unseen: int = 0) -> Report:
    current = FeatureCounts(
        ROWS,
        {"temp": (below, ROWS - nulls - below - above, above)},
        {"carrier": {"AA": ROWS - unseen, "ZZ": unseen}},
        {"temp": nulls, "carrier": 0},
    )
    return judge_quality(
        REFERENCE, current, POLICY, categories={}, subject="m@1", facts={"kind": "quality"}
    )


def first_beyond(limit: float, known: int = ROWS) -> int:
    """The smallest count whose whole interval lies beyond the limit."""
    return next(n for n in range(known) if wilson(n, known, 0.95)[0] > limit)


def test_like_the_reference() -> None:
    report = judged()
    assert report.verdict is Verdict.PASSED
    assert report.facts["kind"] == "quality"


@pytest.mark.parametrize(
    ("step", "verdict"), [(-1, Verdict.PASSED), (0, Verdict.FAILED), (1, Verdict.FAILED)]
)
def test_nulls(step: int, verdict: Verdict) -> None:
    report = judged(nulls=first_beyond(0.07) + step)
    assert report.verdict is verdict
    assert report.checks[0].subject == "temp"


@pytest.mark.parametrize(
    ("step", "verdict"), [(-1, Verdict.PASSED), (0, Verdict.FAILED), (1, Verdict.FAILED)]
)
def test_out_of_range_on_both_ends(step: int, verdict: Verdict) -> None:
    count = first_beyond(0.05, ROWS - 200) + step
    report = judged(below=100, above=count - 100)
    assert report.verdict is verdict


def test_unseen_category_in_words() -> None:
    report = judged(unseen=900)
    assert report.verdict is Verdict.FAILED
    assert report.summary == (
        "Data quality failed: 1 of 4 checks broken; furthest carrier: 9.0% of categories unknown "
        "to training (at most 5.0%)."
    )
