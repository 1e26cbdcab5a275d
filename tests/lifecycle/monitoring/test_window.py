"""Which decisions make a window."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.monitoring.window import Window, late_words, mature_until, next_window
from tenure.ports import Span, Tally

FIRST = datetime(2013, 6, 1, tzinfo=UTC)
LAST = datetime(2013, 6, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
NONE = Span(0)


def tally(due: Span, *, late: Span = NONE, judged: int = 0, waiting: int = 0) -> Tally:
    return Tally(judged + due.rows + waiting, judged, due, late)


def test_a_label_is_mature_after_its_horizon() -> None:
    assert mature_until(LAST, 24) == LAST - timedelta(hours=24)
    assert mature_until(None, 24) is None


@pytest.mark.parametrize(("rows", "due"), [(499, False), (500, True), (501, True)])
def test_enough_decisions(rows: int, due: bool) -> None:
    assert (next_window(None, tally(Span(rows, FIRST, LAST)), 500) is not None) is due


def test_no_decision_at_all() -> None:
    assert next_window(None, tally(NONE), 0) is None


def test_the_first_window_holds_its_first_decision() -> None:
    window = next_window(None, tally(Span(9, FIRST, LAST)), 1)
    assert window is not None
    assert window.after < FIRST
    assert window.until == LAST


def test_windows_follow_each_other_without_a_hole() -> None:
    later = tally(Span(9, LAST + 5 * HOUR, LAST + 9 * HOUR), judged=20)
    window = next_window(LAST, later, 1, judged=20)
    assert window == Window(LAST, LAST + 9 * HOUR, later)
    assert (window.decisions, window.remarks()) == (9, "")
    assert str(Window(FIRST, LAST, later)) == "2013-06-01 00:00 to 2013-06-30 00:00"


def test_a_window_of_late_decisions_alone_does_not_move_the_end_back() -> None:
    late = Span(9, FIRST, FIRST + HOUR)
    window = next_window(LAST, tally(late, late=late, judged=20), 1, judged=20)
    assert window is not None
    assert window.after < FIRST
    assert window.until == LAST


def test_late_and_missing_decisions_are_named_and_the_sum_closes() -> None:
    late = Span(1200, FIRST, FIRST + HOUR)
    counts = tally(Span(1500, FIRST, LAST + HOUR), late=late, judged=3500, waiting=40)
    window = next_window(LAST, counts, 1, judged=3600)
    assert window is not None
    assert window.remarks() == (
        "Of its 1,500 decisions 1,200, of 2013-06-01 00:00 to 2013-06-01 01:00, were shipped after "
        "their time was judged. 100 decisions that were judged are no longer in the store."
    )
    sums = window.sums()
    assert sums["logged"] == 5140
    assert sums["logged"] == sums["judged_before"] + sums["judged_here"] + sums["waiting"]
    assert (sums["late"], sums["missing"]) == (1200, 100)
    assert late_words(NONE) == "none"
