"""Small multiples on one time axis, as inline SVG without script: they print, and a reader hears.

A window is as wide as its time, so what no window covers is a gap. Passed, failed and inconclusive
have colors; what has no number is dashed, what is too small is hatched: never absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from tenure.views.monitoring import MonitoringPage, MonitoringPanel, WindowValue
from tenure.web.axes import Axis, spanning

WIDTH, LEFT, RIGHT, TOP = 720, 64, 14, 16
TALL, LOW = 104, 46
_NARROW = 5.0
"""Pixels that the shortest window is wide."""
_BAR, _NAME = 14, 150


def exact(value: float | None, *, is_share: bool = False) -> str:
    """All digits that are stored; `62.5%` of a share."""
    if value is None:
        return "none"
    return f"{value * 100:.10g}%" if is_share else f"{value:,.10g}"


def rounded(value: float | None, *, is_share: bool = False) -> str:
    """Three digits for the eye."""
    if value is None:
        return "-"
    if is_share:
        return f"{value:.1%}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def title(one: WindowValue, *, is_share: bool = False) -> str:
    """What a pointer at rest is told about a window."""
    head = f"version {one.version}, {one.start:%Y-%m-%d %H:%M} to {one.end:%Y-%m-%d %H:%M} UTC"
    if one.value is None:
        return f"{head}: {'too small to judge; ' if one.is_small else ''}{one.why}"
    number = exact(one.value, is_share=is_share)
    between = (
        ""
        if one.low is None
        else (f" [{exact(one.low, is_share=is_share)}, {exact(one.high, is_share=is_share)}]")
    )
    limit = "" if one.limit is None else f", limit {exact(one.limit, is_share=is_share)}"
    verdict = f"{one.verdict}: " if one.verdict else ""
    return f"{head}: {verdict}{number}{between}{limit}. {one.why}"


def panel(one: MonitoringPanel, page: MonitoringPage, *, low: bool = False) -> Markup:
    """One panel; all have the same time axis, and only tall ones print its ends."""
    span = page.span
    if span is None:
        return Markup("")
    height, foot = (LOW, 6) if low else (TALL, 20)
    across = _time(span)
    ends = [v for w in one.values for v in (w.value, w.low, w.high, w.limit) if v is not None]
    up = spanning([0.0, *ends] if low else ends or [0.0], height - foot, TOP)
    body = [_rungs(up, is_share=one.is_share) if ends else Markup("")]
    body += [
        _seat(number, across.at(at.timestamp()), height - foot) for number, at in page.first_windows
    ]
    room = (TOP, height - foot)
    places = [_sides(window, across) for window in one.values]
    body.append(_shapes(one.values, places, up))
    for window, sides in zip(one.values, places, strict=True):
        body.append(_window(window, up, room, sides, is_share=one.is_share))
    if not low:
        body.append(_ends(span, height))
    return Markup(
        '<svg class="plot multiple" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="group" '
        'aria-label="{2}">{3}</svg>'
    ).format(WIDTH, height, f"{one.title} by window", Markup("").join(body))


HATCH = Markup(
    '<svg width="0" height="0" aria-hidden="true"><defs>'
    '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
    'patternTransform="rotate(45)"><line class="stripe" x1="0" x2="0" y1="0" y2="6"/></pattern>'
    "</defs></svg>"
)
"""Once on a page: what the others fill with."""


def _time(span: tuple[datetime, datetime]) -> Axis:
    start, end = (at.timestamp() for at in span)
    return Axis(start, max(end, start + 1.0), LEFT, WIDTH - RIGHT)


def _sides(one: WindowValue, across: Axis) -> tuple[float, float]:
    """From where to where a window lies, in pixels."""
    left, right = across.at(one.start.timestamp()), across.at(one.end.timestamp())
    if right - left < _NARROW:
        left, right = (left + right - _NARROW) / 2, (left + right + _NARROW) / 2
    return left, right


def _shapes(
    values: Sequence[WindowValue], places: Sequence[tuple[float, float]], up: Axis
) -> Markup:
    """Intervals, limits and values of all windows: one path for each kind and verdict.

    A path for each window made the page twice as long.
    """
    paths: dict[str, list[str]] = {}
    for one, (left, right) in zip(values, places, strict=True):
        if one.value is None:
            continue
        start, wide = f"M{left:.1f},", f"h{right - left:.1f}"
        if one.low is not None and one.high is not None:
            top, bottom = sorted((up.at(one.high), up.at(one.low)))
            tall = max(bottom - top, 1.0)
            band = f"{start}{top:.1f}{wide}v{tall:.1f}h-{right - left:.1f}z"
            paths.setdefault(f"band {one.verdict or ''}", []).append(band)
        if one.limit is not None:
            paths.setdefault("limit", []).append(f"{start}{up.at(one.limit):.1f}{wide}")
        value = f"{start}{up.at(one.value):.1f}{wide}"
        paths.setdefault(f"value {one.verdict or ''}", []).append(value)
    order = sorted(paths, key=lambda css: ("band", "limit", "value").index(css.split(" ")[0]))
    return Markup("").join(
        Markup('<path class="{}" d="{}"/>').format(css.rstrip(), "".join(paths[css]))
        for css in order
    )


def _window(
    one: WindowValue,
    up: Axis,
    room: tuple[float, float],
    sides: tuple[float, float],
    *,
    is_share: bool,
) -> Markup:
    """What a pointer finds: the words, the way to the window, its dot or why there is none."""
    left, right = sides
    dot = _blank(one, room, left, right) if one.value is None else _dot(one.value, up, left, right)
    wide, tall = right - left, room[1] - room[0]
    return Markup(
        '<a class="{}" href="?window={}#window" tabindex="-1"><title>{}</title>'
        '<path class="hit" d="{}"/>{}</a>'
    ).format(
        one.verdict or "",
        one.window,
        title(one, is_share=is_share),
        f"M{left:.1f},{room[0]}h{wide:.1f}v{tall}h-{wide:.1f}z",
        dot,
    )


def _dot(value: float, up: Axis, left: float, right: float) -> Markup:
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3"/>').format(
        (left + right) / 2, up.at(value)
    )


def _blank(one: WindowValue, room: tuple[float, float], left: float, right: float) -> Markup:
    """Too small: hatched; judged without a number: a dashed frame; not judged: an empty column."""
    css = "small" if one.is_small else "undefined" if one.verdict else "unjudged"
    fill = Markup(' fill="url(#hatch)"') if one.is_small else ""
    return Markup('<rect class="{}"{} x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
        css, fill, left, room[0], right - left, room[1] - room[0]
    )


def _level(css: str, left: float, right: float, y: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(
        css, left, right, y, y
    )


def _seat(version: int, x: float, bottom: float) -> Markup:
    return Markup(
        '<line class="seat" x1="{0:.1f}" x2="{0:.1f}" y1="4" y2="{1}"/>'
        '<text class="axis" x="{2:.1f}" y="11">v{3}</text>'
    ).format(x, bottom, x + 3, version)


def _rungs(up: Axis, *, is_share: bool) -> Markup:
    """The lowest and the highest round number."""
    ticks = up.ticks()
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text class="axis" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
        ).format(
            LEFT,
            WIDTH - RIGHT,
            up.at(tick),
            LEFT - 6,
            up.at(tick) + 4,
            rounded(tick, is_share=is_share),
        )
        for tick in dict.fromkeys((ticks[0], ticks[-1]))
    )


def _ends(span: tuple[datetime, datetime], height: float) -> Markup:
    start, end = (f"{at:%Y-%m-%d %H:%M}" for at in span)
    return Markup(
        '<text class="axis" x="{}" y="{}">{}</text>'
        '<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>'
    ).format(LEFT, height - 5, start, WIDTH - RIGHT, height - 5, end)


def spark(one: MonitoringPanel) -> Markup:
    """The metric of the last windows with its limit, one step a window; one without has no dot."""
    step, height = 9, 34
    ends = [v for w in one.values for v in (w.value, w.limit) if v is not None]
    up = spanning(ends or [0.0], height - 4, 4)
    parts = []
    for place, window in enumerate(one.values):
        left = 1 + place * step
        inner = Markup("")
        if window.limit is not None:
            inner = _level("limit", left, left + step, up.at(window.limit))
        if window.value is not None:
            inner += _dot(window.value, up, left, left + step)
        else:
            inner += _blank(window, (4, height - 4), left + 1, left + step - 1)
        parts.append(
            Markup('<g class="window {}"><title>{}</title>{}</g>').format(
                window.verdict or "", title(window), inner
            )
        )
    width = len(one.values) * step + 2
    return Markup(
        '<svg class="plot multiple spark" viewBox="0 0 {0} {1}" width="{0}" height="{1}" '
        'role="img" aria-label="{2} of the last {3} windows">{4}</svg>'
    ).format(width, height, one.title, len(one.values), Markup("").join(parts))


def overlay(counts: Mapping[str, Any], name: str) -> Markup:
    """Shares by bin: the reference as an outline over the window's bars."""
    names, sides = counts["bins"], (counts["reference"], counts["current"])
    totals = [max(sum(side), 1) for side in sides]
    shares = [[n / total for n in side] for side, total in zip(sides, totals, strict=True)]
    shown = [i for i in range(len(names)) if sides[0][i] or sides[1][i]]
    across = Axis(0.0, max(*map(max, shares), 0.01), _NAME, 500)
    body = []
    for row, place in enumerate(shown):
        before, now = shares[0][place], shares[1][place]
        words = (
            f"{names[place]}: {sides[1][place]:,} of {totals[1]:,} decisions ({now:.4%}); "
            f"reference {sides[0][place]:,} of {totals[0]:,} ({before:.4%})"
        )
        label = names[place] if len(names[place]) <= 22 else f"{names[place][:21]}…"
        body.append(
            Markup(
                '<g><title>{}</title><text class="axis" x="{}" y="{}" text-anchor="end">{}</text>'
                '<rect class="live" x="{}" y="{}" width="{:.1f}" height="{}"/>'
                '<rect class="before" x="{}" y="{}" width="{:.1f}" height="{}"/></g>'
            ).format(
                words,
                _NAME - 8,
                row * _BAR + 11,
                label,
                _NAME,
                row * _BAR + 2,
                across.at(now) - _NAME,
                _BAR - 4,
                _NAME,
                row * _BAR + 2,
                across.at(before) - _NAME,
                _BAR - 4,
            )
        )
    height = len(shown) * _BAR + 4
    return Markup(
        '<svg class="plot overlay" viewBox="0 0 520 {0}" width="520" height="{0}" role="group" '
        'aria-label="{1}">{2}</svg>'
    ).format(height, f"Reference and window of {name}, in shares", Markup("").join(body))


def overlays(results: Sequence[Any], most: int = 6) -> list[tuple[str, Markup, Mapping[str, Any]]]:
    """The score, then the features that moved furthest, each with its counts."""
    drift = next((one for one in results if one.kind == "drift"), None)
    if drift is None:
        return []
    counts = drift.facts.get("distributions", {})
    order = ["score", *(c.subject for c in drift.checks if c.subject != "score")]
    names = [name for name in order if name in counts][:most]
    return [(name, overlay(counts[name], name), counts[name]) for name in names]
