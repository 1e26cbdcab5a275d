"""The feedback page of a model: where people object to decisions, and why; reads only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenure.installation import Installation
from tenure.lifecycle.decisions.feedback import FeedbackSum, grouped_reasons
from tenure.lifecycle.monitoring import FEEDBACK

if TYPE_CHECKING:
    from tenure.adapters.sql.feedback import GivenFeedback
    from tenure.adapters.sql.monitoring_page import WindowEvidence
    from tenure.verdicts import Report

MOST_LISTED = 20
"""Pieces of feedback, and unmatched ones, that the page lists."""


@dataclass(frozen=True)
class ObjectionSegment:
    """A segment of the newest result, with what people wrote about its decisions by now.

    Args:
        name: `carrier = UA`.
        decisions: How many lie in it.
        objections: How many of these somebody objected to.
        share: Of objections.
        low: Lower end of the share's interval, which allows for all segments.
        high: Upper end.
        times: How many times as often as elsewhere, at least.
        is_raised: Whether it stands out.
        reasons: What was written most often, with how often; only of what stands out.
    """

    name: str
    decisions: int
    objections: int
    share: float
    low: float
    high: float
    times: float
    is_raised: bool
    reasons: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class FeedbackPage:
    """All feedback about a model.

    Args:
        model: Its name.
        total: Where every piece is.
        result: The newest judgement, with its report; None before the first.
        report: Of the result.
        segments: Of the result, those that stand out first.
        newest: Objections that came last, whatever version they are about.
        unmatched: Pieces that mean no one decision, the newest.
    """

    model: str
    total: FeedbackSum
    result: "WindowEvidence | None"
    report: "Report | None"
    segments: Sequence[ObjectionSegment]
    newest: "Sequence[GivenFeedback]"
    unmatched: "Sequence[GivenFeedback]"


def feedback_page(platform: Installation, model: str) -> FeedbackPage | None:
    """The page; None when there is no such model."""
    from tenure.adapters.sql import feedback, monitoring_page, overview, reports

    with platform.database.begin() as connection:
        if overview.model(connection, model) is None:
            return None
        last = monitoring_page.windows(connection, model, 1)
        result = next((one for one in last if one.kind == FEEDBACK), None)
        row = reports.by_digest(connection, result.report_digest) if result else None
        stated: Sequence[Mapping[str, Any]] = row.report.facts["segments"] if row else []  # type: ignore[assignment]
        ids = [one for segment in stated for one in segment["decision_ids"]]
        said = feedback.about_decisions(connection, ids)
        return FeedbackPage(
            model=model,
            total=feedback.sums(connection, model),
            result=result,
            report=row.report if row else None,
            segments=_segments(stated, said),
            newest=feedback.newest(connection, model, limit=MOST_LISTED),
            unmatched=feedback.unmatched(connection, model, limit=MOST_LISTED),
        )


def _segments(
    stated: Sequence[Mapping[str, Any]], said: "Sequence[GivenFeedback]"
) -> list[ObjectionSegment]:
    reasons: dict[str, list[str]] = defaultdict(list)
    for one in said:
        reasons[str(one.decision_id)].append(one.reason)
    return [
        ObjectionSegment(
            name=one["segment"],
            decisions=one["decisions"],
            objections=one["objections"],
            share=one["share"],
            low=one["interval"][0],
            high=one["interval"][1],
            times=one["ratio_interval"][0],
            is_raised=one["raised"],
            reasons=grouped_reasons([text for i in one["decision_ids"] for text in reasons[i]]),
        )
        for one in stated
    ]
