"""Which decisions are judged together, and when.

A window is half open, `after` < event_time <= `until`, and follows the last *judged* window of its
kind, so that every decision is judged once. Drift and quality need no labels: they take whatever
has arrived. Performance and fairness take what is mature, watermark >= event_time + horizon. A
window that was inconclusive is not judged: the next one begins where it began and holds more.
With fewer than `min_decisions` nothing is stored: the same decisions count again next time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tenure.ports import Span

_BEFORE_FIRST = timedelta(microseconds=1)
"""The first window begins just before its first decision, which belongs to it."""


@dataclass(frozen=True)
class Window:
    """Half open in event time: (after, until], with its number of decisions."""

    after: datetime
    until: datetime
    decisions: int

    def __str__(self) -> str:
        return f"{self.after:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"


def mature_until(watermark: datetime | None, horizon_hours: float) -> datetime | None:
    """The newest event_time whose label is mature; None before any watermark."""
    return watermark - timedelta(hours=horizon_hours) if watermark else None


def next_window(judged_until: datetime | None, span: Span, min_decisions: int) -> Window | None:
    """The window that is due, or None while there are too few decisions.

    Args:
        judged_until: End of the last judged window of the kind, None before the first.
        span: Of the decisions after `judged_until` that may be judged by now.
        min_decisions: At this many a window is due.
    """
    if span.rows < min_decisions or span.first is None or span.last is None:
        return None
    return Window(judged_until or span.first - _BEFORE_FIRST, span.last, span.rows)
