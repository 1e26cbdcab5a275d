"""Small inline SVG plots; text in them is escaped, colors come from the style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from tenure.web.axes import WIDTH as AXIS_WIDTH
from tenure.web.axes import Axis, drawing, grid

if TYPE_CHECKING:
    from tenure.views.decision_map import ScoreBands
    from tenure.views.models import AnalysisLine, WindowLine

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 190, 46, 12, 14, 26


@dataclass(frozen=True)
class Line:
    """One series: a value for each analysis, None where there was none."""

    name: str
    css: str
    values: Sequence[float | None]


def canary(analyses: Sequence[AnalysisLine]) -> Markup:
    """Evidence of harm and of safety by analysis on a log scale, above the share of traffic.

    Args:
        analyses: Of one version, in any order.
    """
    rows = sorted(analyses, key=lambda row: row.number)
    if len(rows) < 2:
        return Markup("")
    lines = [
        Line("evidence of harm", "harm", [_largest(row.facts, "harm") for row in rows]),
        Line("evidence of safety", "safe", [_smallest(row.facts, "safe") for row in rows]),
    ]
    shares = [row.share_bp / 10_000 for row in rows]
    values = [v for line in lines for v in line.values if v is not None and v > 0]
    top = max([100.0, *values])
    bottom = min([0.05, *values])

    def y(value: float) -> float:
        low, high = math.log10(bottom), math.log10(top)
        return _between((math.log10(max(value, bottom)) - low) / (high - low))

    marks = [m for m in (0.1, 1.0, 10.0, 100.0, 1000.0) if bottom <= m <= top]
    body = [_bars(shares), _grid([(y(m), f"{m:g}") for m in marks])]
    for side, (name, limit) in zip(("start", "end"), _limits(rows[-1].facts), strict=False):
        body.append(_rule(y(limit), f"{name} from {limit:g}", side))
    body += [_path(line, [None if v is None else y(v) for v in line.values]) for line in lines]
    return _frame(body, lines, f"Analyses 1 to {len(rows)}; bars show the share of traffic")


def bands(found: ScoreBands) -> Markup:
    """Scores from 0 to 1: where the answer is no and yes, and around what a person looks at."""
    axis = Axis(0.0, 1.0, 14, AXIS_WIDTH - 14)
    parts = [("no", 0.0, found.threshold), ("yes", found.threshold, 1.0)]
    rect = Markup('<rect class="{}" x="{:.1f}" width="{:.1f}" y="{}" height="{}"/>')
    name = Markup('<text class="axis" x="{:.1f}" y="14" text-anchor="middle">{}</text>')
    body = [grid(axis, 22, 50)]
    for css, low, high in parts:
        body.append(rect.format(css, axis.at(low), axis.at(high) - axis.at(low), 26, 20))
        if high > low:
            body.append(name.format(axis.at((low + high) / 2), css))
    if found.unsure is not None:
        low, high = (axis.at(end) for end in found.unsure)
        body.append(rect.format("unsure", low, high - low, 22, 28))
    return drawing(AXIS_WIDTH, 84, "Score", body)


def monitoring(results: Sequence[WindowLine]) -> Markup:
    """One square a window and kind, by verdict, oldest left."""
    rows = sorted(results, key=lambda row: row.window_end)
    kinds = sorted({row.kind for row in rows})
    if len(rows) < 2:
        return Markup("")
    windows = sorted({row.window_end for row in rows})
    size, gap, left = 16, 4, 120
    width = left + len(windows) * (size + gap)
    cells = [
        Markup('<text x="0" y="{}" class="axis">{}</text>').format(
            index * (size + gap) + size - 4, kind
        )
        for index, kind in enumerate(kinds)
    ]
    for row in rows:
        cells.append(
            Markup(
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="3">'
                "<title>{}</title></rect>"
            ).format(
                row.verdict,
                left + windows.index(row.window_end) * (size + gap),
                kinds.index(row.kind) * (size + gap),
                size,
                size,
                f"{row.kind} {row.verdict} until {row.window_end:%Y-%m-%d %H:%M}",
            )
        )
    height = len(kinds) * (size + gap)
    return Markup(
        '<svg class="plot squares" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
        'aria-label="Verdicts of monitoring by window">{}</svg>'
    ).format(width, height, width, height, Markup("").join(cells))


def _largest(facts: Mapping[str, object], kind: str) -> float | None:
    values = _evidence(facts, kind)
    return max(values) if values else None


def _smallest(facts: Mapping[str, object], kind: str) -> float | None:
    values = _evidence(facts, kind)
    return min(values) if values else None


def _evidence(facts: Mapping[str, object], kind: str) -> list[float]:
    """E-values of the metrics: `facts.metrics[].e_harm`, `.e_safe`; safety only where required."""
    found = []
    metrics = facts.get("metrics")
    for entry in metrics if isinstance(metrics, list) else ():
        if kind == "safe" and entry.get("required") is False:
            continue
        value = entry.get(f"e_{kind}")
        if isinstance(value, int | float) and math.isfinite(value):
            found.append(float(value))
    return found


def _limits(facts: Mapping[str, object]) -> list[tuple[str, float]]:
    named = (("harm", facts.get("harm_threshold")), ("safe", facts.get("safe_threshold")))
    return [(name, float(limit)) for name, limit in named if isinstance(limit, int | float)]


def _between(part: float) -> float:
    return TOP + (1 - min(max(part, 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM)


def _x(index: int, total: int) -> float:
    return LEFT + (index + 0.5) * (WIDTH - LEFT - RIGHT) / total


def _bars(shares: Sequence[float]) -> Markup:
    step = (WIDTH - LEFT - RIGHT) / len(shares)
    bars = [
        Markup('<rect class="share" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            LEFT + i * step, _between(s), step, HEIGHT - BOTTOM - _between(s)
        )
        for i, s in enumerate(shares)
    ]
    return Markup("").join(bars)


def _grid(marks: Sequence[tuple[float, str]]) -> Markup:
    rows = [
        Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
            '<text class="axis" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
        ).format(LEFT, WIDTH - RIGHT, at, at, LEFT - 6, at + 4, text)
        for at, text in marks
    ]
    return Markup("").join(rows)


def _rule(at: float, text: str, side: str) -> Markup:
    x = LEFT + 2 if side == "start" else WIDTH - RIGHT - 2
    return Markup(
        '<line class="limit" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
        '<text class="axis" x="{}" y="{:.1f}" text-anchor="{}">{}</text>'
    ).format(LEFT, WIDTH - RIGHT, at, at, x, at - 4, side, text)


def _path(line: Line, heights: Sequence[float | None]) -> Markup:
    points = [
        f"{_x(i, len(heights)):.1f},{height:.1f}"
        for i, height in enumerate(heights)
        if height is not None
    ]
    return Markup('<polyline class="line {}" points="{}"/>').format(line.css, " ".join(points))


def _frame(body: Sequence[Markup], lines: Sequence[Line], label: str) -> Markup:
    keys = Markup("").join(
        Markup('<span class="key {}">{}</span>').format(line.css, line.name) for line in lines
    )
    drawing = Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}'
        '<text class="axis" x="{}" y="{}">{}</text></svg>'
    ).format(WIDTH, HEIGHT, label, Markup("").join(body), LEFT, HEIGHT - 8, label)
    return Markup(
        '<figure class="figure" tabindex="0">{}<figcaption>{}</figcaption></figure>'
    ).format(drawing, keys)
