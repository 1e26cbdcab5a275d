"""Which decisions are judged together, and when.

A window takes every decision that no earlier *judged* window of its kind took, up to a moment:
now for drift and quality, which need no labels; for performance and fairness the last event_time
whose label is mature, watermark >= event_time + horizon. A gateway may ship decisions after the
window of their time was judged. They count as judged by the segment that they were shipped as, so
they are *late* in the next window, which says so; each decision is judged once. A window that was
inconclusive is not judged: the next one takes its decisions again, with more. With fewer than
`min_decisions` nothing is stored: the same decisions count again next time. So always

    logged = judged before + judged here + waiting.

A version that serves no more makes no more decisions, but gateways may still ship some. What is
left of it is due as soon as no label of it is waited for: judged when there are `min_decisions`,
else *counted*, which is an inconclusive result with their number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tenure.lifecycle.monitoring.policy import Kind
from tenure.ports import Span, Tally
from tenure.verdicts import Report, Verdict

_BEFORE_FIRST = timedelta(microseconds=1)
"""A window begins just before its first decision, which belongs to it."""


@dataclass(frozen=True)
class Window:
    """Decisions that are judged together, half open in event time: (after, until].

    Args:
        after: End of the last judged window, or earlier when decisions came late.
        until: event_time of the newest decision, never before the end of the last judged window.
        tally: All decisions of the version; those that are due are the window's.
        missing: Decisions that were judged and that the store does not hold any more.
    """

    after: datetime
    until: datetime
    tally: Tally
    missing: int = 0

    def __str__(self) -> str:
        return f"{self.after:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"

    @property
    def decisions(self) -> int:
        """How many it judges."""
        return self.tally.due.rows

    def sums(self) -> dict[str, int]:
        """Where every logged decision is; the parts add up to `logged`."""
        return {
            "logged": self.tally.logged + self.missing,
            "judged_before": self.tally.judged + self.missing,
            "judged_here": self.decisions,
            "waiting": self.tally.waiting,
            "late": self.tally.late.rows,
            "missing": self.missing,
        }

    def remarks(self) -> str:
        """What a reader has to know about the decisions, in sentences; often nothing.

        >>> at = datetime(2026, 5, 1, 11, 10)
        >>> late = Span(1200, at, at + timedelta(minutes=20))
        >>> Window(at, at, Tally(4800, 3600, late, late)).remarks()
        'Of its 1,200 decisions 1,200, of 2026-05-01 11:10 to 2026-05-01 11:30, were shipped after \
their time was judged.'
        """
        found = []
        if self.tally.late.rows:
            found.append(
                f"Of its {self.decisions:,} decisions {late_words(self.tally.late)}, were shipped "
                "after their time was judged."
            )
        if self.missing:
            found.append(f"{self.missing:,} decisions that were judged are no longer in the store.")
        return " ".join(found)


def late_words(late: Span) -> str:
    """How many decisions came late, and of which time."""
    if late.first is None or late.last is None:
        return "none"
    return f"{late.rows:,}, of {late.first:%Y-%m-%d %H:%M} to {late.last:%Y-%m-%d %H:%M}"


def mature_until(watermark: datetime | None, horizon_hours: float) -> datetime | None:
    """The newest event_time whose label is mature; None before any watermark."""
    return watermark - timedelta(hours=horizon_hours) if watermark else None


def next_window(
    judged_until: datetime | None,
    tally: Tally,
    min_decisions: int,
    *,
    judged: int = 0,
    is_last: bool = False,
) -> Window | None:
    """The window that is due, or None while there are too few decisions.

    Args:
        judged_until: End of the last judged window of the kind, None before the first.
        tally: Of the version's decisions, by what was judged of the kind.
        min_decisions: At this many a window is due.
        judged: How many the stored windows judged; the files should hold as many.
        is_last: The version serves no more: what is left of it is due, however little it is, once
            none of it waits.
    """
    due = tally.due
    is_due = due.rows >= min_decisions or (is_last and not tally.waiting)
    if not is_due or due.first is None or due.last is None:
        return None
    first = due.first - _BEFORE_FIRST
    missing = max(0, judged - tally.judged)
    if judged_until is None:
        return Window(first, due.last, tally, missing)
    return Window(min(first, judged_until), max(due.last, judged_until), tally, missing)


def count_rest(
    kind: Kind, window: Window, needs: str, *, subject: str, facts: Mapping[str, Any]
) -> Report:
    """What is left of a version that serves no more and cannot be judged: counted, never silent.

    Args:
        kind: What it would be judged for.
        window: The decisions that are left.
        needs: Why they cannot be judged.
        subject: The version.
        facts: Goes into the report.
    """
    return Report(
        stage="monitoring",
        subject=subject,
        verdict=Verdict.INCONCLUSIVE,
        summary=f"{kind.capitalize()} inconclusive: {window.decisions:,} decisions are left of "
        f"{subject}, which serves no more; {needs}.",
        facts=dict(facts),
        enforced=False,
    )
