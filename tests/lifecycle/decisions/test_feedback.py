"""Verdicts that need a reason, and the sum of all feedback."""

import pytest

from tenure.lifecycle.decisions.feedback import FeedbackSum, FeedbackVerdict


@pytest.mark.parametrize(
    ("verdict", "needs"), [("accept", False), ("override", True), ("wrong", True)]
)
def test_objections_need_a_reason(verdict: str, needs: bool) -> None:
    assert FeedbackVerdict(verdict).needs_reason is needs


def test_the_sum_closes() -> None:
    assert FeedbackSum(counted=5, replaced=2, waiting=1, unmatched=3).given == 11
