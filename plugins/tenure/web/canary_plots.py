"""Plots of a canary over time, as inline SVG: its share, and the evidence with its limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from tenure.lifecycle.promotion.event_rates import e_words
from tenure.views.canary import CanaryPage, MetricPanel
from tenure.vocabulary import BASIS_POINTS
from tenure.web.axes import Axis

WIDTH, LEFT, RIGHT, TOP, FOOT = 720, 64, 14, 14, 36
_SHARE_HEIGHT, _EVIDENCE_HEIGHT = 150, 190
_LOWEST, _HIGHEST = -4.0, 8.0
"""Powers of ten that are drawn: an e-value beyond lies at the edge, its words say it exactly."""
_TICKS, _DAY = 4, 86_400.0


def share_plot(page: CanaryPage, now: datetime) -> Markup:
    """The challenger's share of the traffic as steps; a lapsed lease is a share of nothing."""
    steps = _steps(page, now)
    across = _time(page, now)
    up = Axis(0.0, 1.0, _SHARE_HEIGHT - FOOT, TOP)
    body = [_levels(up, [(part, f"{part:.0%}") for part in (0.0, 0.5, 1.0)])]
    points = [f"M{across.at(steps[0][0].timestamp()):.1f},{up.at(0.0):.1f}"]
    for at, share in steps:
        points.append(f"H{across.at(at.timestamp()):.1f}V{up.at(share):.1f}")
    points.append(f"H{across.at(_end(page, now).timestamp()):.1f}")
    body.append(Markup('<path class="line share-of" d="{}"/>').format("".join(points)))
    body += [
        Markup(
            '<circle class="step" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}</title></circle>'
        ).format(
            across.at(at.timestamp()),
            up.at(share),
            f"{100 * share:g}% from {at:%Y-%m-%d %H:%M:%S} UTC",
        )
        for at, share in _changes(steps)
    ]
    return _drawing(_SHARE_HEIGHT, "Share of the traffic", across, body)


def evidence_plot(page: CanaryPage, panel: MetricPanel, now: datetime) -> Markup:
    """Harm and safety of one metric on a log scale, a mark for each analysis, with the limits."""
    assert page.newest is not None
    across = _time(page, now)
    limits = [
        ("harm", float(page.newest.facts["harm_threshold"])),
        ("safety", float(page.newest.facts["safe_threshold"])),
    ]
    every = [*panel.log_harm, *panel.log_safe, *(math.log(limit) for _, limit in limits)]
    tens = [value / math.log(10) for value in every]
    low = max(_LOWEST, math.floor(min(-1.0, *tens)))
    high = min(_HIGHEST, math.ceil(max(2.0, *tens)))
    up = Axis(low, high, _EVIDENCE_HEIGHT - FOOT, TOP)
    powers = range(int(low), int(high) + 1)
    body = [_levels(up, [(float(power), f"{10.0**power:g}") for power in powers if power % 2 == 0])]
    lowest = min(limit for _, limit in limits)
    for name, limit in limits:
        y, text = up.at(math.log10(limit)), f"{name} from {limit:g}"
        body.append(_limit(y, text, is_lowest=limit == lowest))
    for css, logs in (("harm", panel.log_harm), ("safe", panel.log_safe)):
        body.append(_marked(page, css, logs, across, up))
    event = panel.event.replace("_", " ")
    return _drawing(_EVIDENCE_HEIGHT, f"E-values of {event}, one mark an analysis", across, body)


def _marked(page: CanaryPage, css: str, logs: Sequence[float], across: Axis, up: Axis) -> Markup:
    places = [
        (across.at(one.created_at.timestamp()), up.at(log / math.log(10)))
        for one, log in zip(page.judged, logs, strict=True)
    ]
    line = Markup('<polyline class="line {}" points="{}"/>').format(
        css, " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    )
    marks = [
        Markup(
            '<circle class="mark {}" cx="{:.1f}" cy="{:.1f}" r="2.5"><title>{}</title></circle>'
        ).format(
            css,
            x,
            y,
            f"analysis {one.number} at {one.share_bp / 100:g}%: "
            f"E({css}) {e_words(log)}, then {one.action.replace('_', ' ')}",
        )
        for one, log, (x, y) in zip(page.judged, logs, places, strict=True)
    ]
    return Markup("").join([line, *marks])


def _steps(page: CanaryPage, now: datetime) -> list[tuple[datetime, float]]:
    """From when on which share was in force; a lease that ended unrenewed ends the share."""
    found: list[tuple[datetime, float]] = []
    plans = page.rows.plans
    for plan, after in zip(plans, [*plans[1:], None], strict=True):
        if plan.canary_id != page.version.id:
            found.append((plan.created_at, 1.0 if page.is_promoted else 0.0))
            continue
        found.append((plan.created_at, plan.share_bp / BASIS_POINTS))
        until = after.created_at if after else now
        if plan.lease_until is not None and plan.lease_until < until:
            found.append((plan.lease_until, 0.0))
    return found


def _changes(steps: Sequence[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    before = [None, *(share for _, share in steps)]
    return [step for step, last in zip(steps, before, strict=False) if step[1] != last]


def _end(page: CanaryPage, now: datetime) -> datetime:
    """A canary that is over ends a little after its last plan."""
    if page.ended is None:
        return now
    whole = page.ended.created_at - page.version.began_at
    return min(now, page.ended.created_at + whole / 20)


def _time(page: CanaryPage, now: datetime) -> Axis:
    start, end = page.version.began_at.timestamp(), _end(page, now).timestamp()
    return Axis(start, max(end, start + 1.0), LEFT, WIDTH - RIGHT)


def _levels(up: Axis, marks: Sequence[tuple[float, str]]) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text class="axis" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
        ).format(LEFT, WIDTH - RIGHT, up.at(value), LEFT - 6, up.at(value) + 4, text)
        for value, text in marks
    )


def _limit(y: float, text: str, *, is_lowest: bool) -> Markup:
    """Its name above the line, of the lowest below it, so that no line crosses a name."""
    return Markup(
        '<line class="limit" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
        '<text class="axis" x="{3}" y="{4:.1f}">{5}</text>'
    ).format(LEFT, WIDTH - RIGHT, y, LEFT + 2, y + 12 if is_lowest else y - 4, text)


def _drawing(height: int, label: str, across: Axis, body: Sequence[Markup]) -> Markup:
    step = (across.high - across.low) / _TICKS
    pattern = "%m-%d %H:%M" if across.high - across.low > _DAY else "%H:%M:%S"
    ticks = [
        Markup('<text class="axis" x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(
            across.at(at),
            height - FOOT + 15,
            "start" if n == 0 else "end" if n == _TICKS else "middle",
            f"{datetime.fromtimestamp(at, tz=UTC):{pattern}}",
        )
        for n in range(_TICKS + 1)
        for at in [across.low + n * step]
    ]
    return Markup(
        '<svg class="plot" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" '
        'aria-label="{2}">{3}{4}<text class="axis" x="{5}" y="{6}" text-anchor="middle">{2}</text>'
        "</svg>"
    ).format(
        WIDTH,
        height,
        label,
        Markup("").join(body),
        Markup("").join(ticks),
        WIDTH / 2,
        height - 4,
    )
