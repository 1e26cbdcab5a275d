"""Rules beside files, and limits beside what was observed, as inline SVG.

A script moves the limits and colors the dots anew; without it, they show the rules in force.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from tenure.config.suite_limits import SuiteLimit
from tenure.verdicts import Verdict
from tenure.views.validations import Point
from tenure.views.workbench import WorkbenchRule
from tenure.web.axes import Axis, rungs, spanning
from tenure.web.history import point_title

STEP, STRIP = 12, 14
"""Pixels: of one file in the matrix, and its height."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, FOOT = 720, 150, 64, 14, 10, 10
_STEPS = 200
"""Of a slider, at least."""


def plain(value: float) -> str:
    """A number as an input takes it: `2`, `0.05`."""
    return str(int(value)) if float(value).is_integer() else repr(value)


def strip(points: Sequence[Point | None], label: str) -> Markup:
    """One row of the matrix: a square for each file, oldest left; a dash where it was not asked."""
    broken = [p.batch for p in points if p is not None and p.verdict is Verdict.FAILED]
    width = max(len(points) * STEP, 1)
    told = f"{label}: {len(points)} files, broken in {len(broken)}"
    if broken:
        told += f": {', '.join(broken)}"
    return Markup(
        '<svg class="plot matrix" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" '
        'aria-label="{2}">{3}</svg>'
    ).format(width, STRIP, told, Markup("").join(_square(n, p) for n, p in enumerate(points)))


def _square(place: int, point: Point | None) -> Markup:
    if point is None:
        return Markup(
            '<line class="grid" x1="{}" x2="{}" y1="7" y2="7"><title>not asked</title></line>'
        ).format(place * STEP + 3, place * STEP + STEP - 3)
    return Markup(
        '<rect class="{}" x="{}" y="1" width="{}" height="12" rx="2"><title>{}</title></rect>'
    ).format(point.verdict, place * STEP + 1, STEP - 2, point_title(point))


def limit_axis(rule: WorkbenchRule) -> Axis | None:
    """Holds what was observed and the limits, with room for a limit to move."""
    values = [p.value for p in rule.points if p is not None and p.value is not None]
    limits = [one.value for one in rule.limits if one.is_observed]
    if not limits:
        return None
    ends = [*values, *limits]
    room = 0.5 * (max(ends) - min(ends)) or abs(max(ends)) * 0.5 or 1.0
    if rule.is_share:
        high = min(100.0, max(ends) + room)
        return Axis(0.0, high, HEIGHT - FOOT, TOP)
    return spanning([min(ends) - room, max(ends) + room], HEIGHT - FOOT, TOP)


def limit_chart(rule: WorkbenchRule) -> Markup:
    """What was observed in each file, with the limits as lines that a pointer moves."""
    up = limit_axis(rule)
    if up is None:
        return Markup("")
    across = Axis(0.0, max(len(rule.points), 1), LEFT, WIDTH - RIGHT)
    body = [rungs(up, LEFT, WIDTH - RIGHT)]
    for place, point in enumerate(rule.points):
        if point is not None and point.value is not None:
            body.append(
                Markup(
                    '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4" data-batch="{}" '
                    'data-value="{!r}"><title>{}</title></circle>'
                ).format(
                    point.verdict,
                    across.at(place + 0.5),
                    up.at(point.value),
                    point.batch,
                    point.value,
                    point_title(point),
                )
            )
    for one in rule.limits:
        if one.is_observed:
            body += [_limit_line(css, one, up) for css in ("limit", "grip")]
    return Markup(
        '<svg class="plot limits" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" '
        'aria-label="{2}, observed in each file" data-low="{3!r}" data-high="{4!r}" '
        'data-top="{5}" data-bottom="{6}">{7}</svg>'
    ).format(
        WIDTH,
        HEIGHT,
        rule.sentence,
        up.low,
        up.high,
        up.end,
        up.start,
        Markup("").join(body),
    )


def _limit_line(css: str, limit: SuiteLimit, up: Axis) -> Markup:
    """The line of a limit; its grip is the same, unseen, and as wide as a finger."""
    return Markup(
        '<line class="{0}" data-of="{1}" x1="{2}" x2="{3}" y1="{4:.1f}" y2="{4:.1f}"/>'
    ).format(css, limit.argument, LEFT, WIDTH - RIGHT, up.at(limit.value))


def slider_step(rule: WorkbenchRule, limit: SuiteLimit) -> float:
    """A round step that a slider of this limit takes."""
    up = limit_axis(rule)
    if up is None or limit.is_whole:
        return 1
    return float(10.0 ** math.floor(math.log10((up.high - up.low) / _STEPS)))
