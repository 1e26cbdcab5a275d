"""The last windows of a stream with their threshold, as a small inline SVG."""

from __future__ import annotations

from math import exp

from markupsafe import Markup

from tenure.views.promise import StreamLine
from tenure.web.axes import Axis

WIDTH, HEIGHT, EDGE = 320, 64, 6


def evidence(line: StreamLine) -> Markup:
    """Log of the evidence after each window; a gap where none is gathered, a dot at an alarm."""
    tops = [v for w in line.windows for v in (w.log_m, w.log_c) if v is not None]
    if not tops:
        return Markup("")
    across = Axis(0, max(len(line.windows) - 1, 1), EDGE, WIDTH - EDGE)
    up = Axis(min(0.0, *tops), max(tops) * 1.05, HEIGHT - EDGE, EDGE)
    parts = [
        Markup('<path class="line plain" d="{}"/>').format(
            _path([w.log_m for w in line.windows], across, up)
        ),
        Markup('<path class="line limit" d="{}"/>').format(
            _path([w.log_c for w in line.windows], across, up)
        ),
    ]
    parts += [
        Markup(
            '<circle class="failed" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>'
        ).format(across.at(i), up.at(w.log_m), f"alarm of the window from {w.start}")
        for i, w in enumerate(line.windows)
        if w.state == "alarm" and w.log_m is not None
    ]
    return Markup(
        '<svg class="plot" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" '
        'aria-label="{2}">{3}</svg>'
    ).format(WIDTH, HEIGHT, words(line), Markup("").join(parts))


def words(line: StreamLine) -> str:
    """The same for who hears the page."""
    last = line.last
    if last is None:
        return "no window is over yet"
    if last.log_m is None or last.log_c is None:
        return f"{len(line.windows)} windows, the last from {last.start}: {last.state}"
    return (
        f"{len(line.windows)} windows, the last from {last.start}: evidence "
        f"{exp(last.log_m):,.3g} of {exp(last.log_c):,.0f} needed"
    )


def _path(values: list[float | None], across: Axis, up: Axis) -> str:
    drawn, is_down = [], False
    for i, value in enumerate(values):
        if value is not None:
            drawn.append(f"{'L' if is_down else 'M'}{across.at(i):.1f},{up.at(value):.1f}")
        is_down = value is not None
    return "".join(drawn)
