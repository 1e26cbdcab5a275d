"""The history of one check as a small inline SVG: a dot a batch, and the observed number above."""

from collections.abc import Sequence

from markupsafe import Markup

from tenure.verdicts import Verdict
from tenure.views.validations import Point

STEP, HEIGHT, DOTS, TOP = 9, 34, 30, 3
"""Pixels: between batches, of the drawing, of the row of dots, above the highest number."""


def draw(points: Sequence[Point]) -> Markup:
    """Oldest left; empty with fewer than two batches."""
    if len(points) < 2:
        return Markup("")
    broken = sum(point.verdict is Verdict.FAILED for point in points)
    width = len(points) * STEP + 2
    return Markup(
        '<svg class="history" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
        'aria-label="{}">{}{}</svg>'
    ).format(
        width,
        HEIGHT,
        width,
        HEIGHT,
        f"{len(points)} batches, broken in {broken}",
        _curve([point.value for point in points]),
        Markup("").join(_dot(index, point) for index, point in enumerate(points)),
    )


def point_title(point: Point) -> str:
    """`2013-03: passed, 0.3`."""
    number = "" if point.value is None else f", {point.value:,.4g}"
    return f"{point.batch}: {point.verdict}{number}"


def _dot(index: int, point: Point) -> Markup:
    return Markup('<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
        point.verdict,
        _x(index),
        DOTS,
        3 if point.verdict is Verdict.PASSED else 4,
        point_title(point),
    )


def _curve(values: Sequence[float | None]) -> Markup:
    """Where no batch has a number there is no line; equal numbers lie in the middle."""
    seen = [(index, value) for index, value in enumerate(values) if value is not None]
    if len(seen) < 2:
        return Markup("")
    low, high = min(v for _, v in seen), max(v for _, v in seen)
    room = DOTS - 7 - TOP
    span = high - low
    at = [
        f"{_x(i):.1f},{TOP + room * (1 - ((v - low) / span if span else 0.5)):.1f}" for i, v in seen
    ]
    return Markup('<polyline class="line" points="{}"/>').format(" ".join(at))


def _x(index: int) -> float:
    return 1 + (index + 0.5) * STEP
