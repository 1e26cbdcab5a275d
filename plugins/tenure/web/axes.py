"""Axes, dots with intervals and grids: what pictures of a report are made of, as inline SVG.

Text in them is escaped, colors come from the style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, LEFT, RIGHT, ROW = 520, 170, 14, 22
TOP, FOOT = 12, 34
MOST_ROWS, LONGEST = 24, 24
_TICKS = 6


@dataclass(frozen=True)
class Dot:
    """A value with its interval, on a row of its own.

    Args:
        label: What it is of.
        value: The number.
        low: Lower end of its interval; None where there is none.
        high: Upper end.
        css: Class of the dot: a verdict, or `dim` where there is too little to judge.
        title: What a pointer at rest is told.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    css: str = ""
    title: str = ""


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Pixels; what lies outside lies at the edge."""
        part = (value - self.low) / (self.high - self.low)
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers, at most seven."""
        size = 10.0 ** math.floor(math.log10((self.high - self.low) / _TICKS))
        step = next(
            s * size for s in (1, 2, 5, 10) if (self.high - self.low) / (s * size) <= _TICKS
        )
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [n * step for n in range(first, last + 1)]


def dots(rows: Sequence[Dot], *, label: str, mark: float | None = None) -> Markup:
    """A dot with its interval for each row.

    Args:
        rows: In their order, at most 24 are drawn.
        label: What the axis says.
        mark: Where a dashed line stands, such as 0 or a limit.
    """
    rows = rows[:MOST_ROWS]
    ends = [v for r in rows for v in (r.value, r.low, r.high) if v is not None]
    axis = spanning([*ends, *([] if mark is None else [mark])], LEFT, WIDTH - RIGHT)
    height = TOP + len(rows) * ROW + FOOT
    body = [grid(axis, TOP, height - FOOT)]
    if mark is not None:
        body.append(
            Markup('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(
                axis.at(mark), TOP, height - FOOT
            )
        )
    body += [_dot(row, axis, TOP + (i + 0.5) * ROW) for i, row in enumerate(rows)]
    return drawing(WIDTH, height, label, body)


def _dot(row: Dot, axis: Axis, y: float) -> Markup:
    name = row.label if len(row.label) <= LONGEST else f"{row.label[: LONGEST - 1]}…"
    whisker = Markup("")
    if row.low is not None and row.high is not None:
        whisker = Markup('<line class="whisker" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
        whisker = whisker.format(axis.at(row.low), axis.at(row.high), y, y)
    return Markup(
        '<g class="dot {}"><title>{}</title><text class="axis" x="{}" y="{:.1f}" '
        'text-anchor="end">{}</text>{}<circle cx="{:.1f}" cy="{:.1f}" r="4.5"/></g>'
    ).format(
        row.css,
        row.title or told(row),
        LEFT - 10,
        y + 4,
        name,
        whisker,
        axis.at(row.value),
        y,
    )


def told(row: Dot) -> str:
    """`roc auc: 0.8125 [0.7812, 0.8438]`."""
    between = "" if row.low is None else f" [{row.low:.4g}, {row.high:.4g}]"
    return f"{row.label}: {row.value:.4g}{between}"


def spanning(values: Sequence[float], start: float, end: float) -> Axis:
    """An axis that holds all values, with some room; from 0 where that is the smallest."""
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 0.05
    return Axis(low if low == 0 else low - room, high + room, start, end)


def grid(axis: Axis, top: float, bottom: float) -> Markup:
    """Upright lines, with their numbers below."""
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
            '<text class="axis" x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>'
        ).format(axis.at(tick), top, bottom, bottom + 14, f"{tick:,.6g}")
        for tick in axis.ticks()
    )


def rungs(axis: Axis, left: float, right: float) -> Markup:
    """Level lines, with their numbers on the left."""
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text class="axis" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
        ).format(left, right, axis.at(tick), left - 6, axis.at(tick) + 4, f"{tick:,.6g}")
        for tick in axis.ticks()
    )


def level(y: float, text: str) -> Markup:
    """A dashed level line with its name above it."""
    return Markup(
        '<line class="limit" x1="70" x2="{0}" y1="{1:.1f}" y2="{1:.1f}"/>'
        '<text class="axis" x="{0}" y="{2:.1f}" text-anchor="end">{3}</text>'
    ).format(WIDTH - RIGHT, y, y - 4, text)


def drawing(width: float, height: float, label: str, body: Sequence[Markup]) -> Markup:
    """The whole picture, with the name of its axis at the foot."""
    return Markup(
        '<svg class="plot" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" '
        'aria-label="{2}">{3}<text class="axis" x="{4}" y="{5}" text-anchor="middle">{2}</text>'
        "</svg>"
    ).format(width, height, label, Markup("").join(body), width / 2, height - 4)
