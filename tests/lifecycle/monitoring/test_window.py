"""Which decisions make a window."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.lifecycle.monitoring.window import Window, mature_until, next_window
from tenure.ports import Span

FIRST = datetime(2013, 6, 1, tzinfo=UTC)
LAST = datetime(2013, 6, 30, tzinfo=UTC)


def test_a_label_is_mature_after_its_horizon() -> None:
    assert mature_until(LAST, 24) == LAST - timedelta(hours=24)
    assert mature_until(None, 24) is None


@pytest.mark.parametrize(("rows", "due"), [(499, False), (500, True), (501, True)])
def test_enough_decisions(rows: int, due: bool) -> None:
    assert (next_window(None, Span(rows, FIRST, LAST), 500) is not None) is due


def test_no_decision_at_all() -> None:
    assert next_window(None, Span(0, None, None), 0) is None


def test_the_first_window_holds_its_first_decision() -> None:
    window = next_window(None, Span(9, FIRST, LAST), 1)
    assert window is not None
    assert window.after < FIRST
    assert window.until == LAST


def test_windows_follow_each_other_without_a_hole() -> None:
    later = Span(9, LAST + timedelta(hours=5), LAST + timedelta(hours=9))
    assert next_window(LAST, later, 1) == Window(LAST, LAST + timedelta(hours=9), 9)
    assert str(Window(FIRST, LAST, 9)) == "2013-06-01 00:00 to 2013-06-30 00:00"
