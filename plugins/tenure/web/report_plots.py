"""The pictures of a report, as inline SVG: every number in them is one of the stored JSON.

A report may be older than a picture, so what lacks, or has another shape, is simply not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from tenure.lifecycle.training.bias.policy import JUDGED_BY
from tenure.verdicts import Check, Report, Verdict
from tenure.web.axes import (
    FOOT,
    LONGEST,
    MOST_ROWS,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Dot,
    dots,
    drawing,
    grid,
    level,
    rungs,
    spanning,
    told,
)

_SQUARE, _MOST_CLASSES = 300, 12

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One picture with its words."""

    title: str
    drawing: Markup
    note: str = ""


def figures(report: Report) -> list[Figure]:
    """The pictures of a stored report, in the order in which a person should meet them."""
    drawn: list[Figure] = []
    for draw in _OF.get(report.stage, ()):
        try:
            drawn += draw(report.facts, report.checks)
        except (AttributeError, KeyError, TypeError, ValueError):  # of another shape
            continue
    return drawn


def _metrics(facts: Facts, checks: Sequence[Check]) -> Iterator[Figure]:
    """Those between 0 and 1, beside each other."""
    judged = {check.rule.removeprefix("kpi:"): check for check in checks}
    rows, left_out = [], []
    for name, value in facts["metrics"].items():
        low, high = facts.get("intervals", {}).get(name) or (None, None)
        if not _in_unit(value, low, high):
            left_out.append(name)
            continue
        check = judged.get(name)
        row = Dot(name.replace("_", " "), value, low, high, check.verdict if check else "")
        allowed = f"; allowed: {check.allowed}" if check else ""
        rows.append(replace(row, title=told(row) + allowed))
    note = "On the holdout, with 95% intervals where there are any; a gate gives its color."
    if left_out:
        note += f" Not between 0 and 1, so only in the facts: {', '.join(sorted(left_out))}."
    if rows:
        yield Figure("How good", dots(rows, label="0 to 1"), note)


def _in_unit(*values: float | None) -> bool:
    return all(v is None or 0.0 <= v <= 1.0 for v in values)


def _against(_facts: Facts, checks: Sequence[Check]) -> Iterator[Figure]:
    """Differences to the champion, the rule and the trivial answer on the same rows."""
    rows = [
        Dot(
            f"{check.rule.replace('_', ' ')}: {check.subject}",
            check.value,
            *check.interval,
            css=check.verdict,
            title=f"{check.observed}; allowed: {check.allowed}",
        )
        for check in checks
        if check.interval is not None and check.value is not None and check.rule in _PAIRED
    ]
    if rows:
        yield Figure(
            "Against the champion, the rule and the trivial answer",
            dots(rows, label="Better by, on the same rows", mark=0.0),
            "Paired differences; right of the dashed line the version is better.",
        )


_PAIRED = ("uplift", "no_measurable_roi", "champion")
"""Rules of `lifecycle.training.evaluation.comparison`, which is too heavy to import for a page."""


def _reliability(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    bins = [b for b in facts["reliability"]["bins"] if b["rows"]]
    if not bins:
        return
    across = Axis(0.0, 1.0, 44, _SQUARE + 44)
    up = Axis(0.0, 1.0, _SQUARE + TOP, TOP)
    body = [
        grid(across, TOP, _SQUARE + TOP),
        rungs(up, 44, _SQUARE + 44),
        Markup('<line class="limit" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            across.at(0), up.at(0), across.at(1), up.at(1)
        ),
    ]
    most = max(b["rows"] for b in bins)
    of_it, of_all = (
        ("right", "right answers") if "confusion" in facts else ("positive", "positives")
    )
    for one in bins:
        x = across.at(one["mean_score"])
        low, high = one.get("interval") or (one["positive_share"], one["positive_share"])
        body.append(
            Markup(
                '<g class="dot"><title>{}</title><line class="whisker" x1="{:.1f}" x2="{:.1f}" '
                'y1="{:.1f}" y2="{:.1f}"/><circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/></g>'
            ).format(
                f"scores {one['low']:g} to {one['high']:g}: {one['rows']:,} rows, mean score "
                f"{one['mean_score']:.3f}, {one['positive_share']:.1%} {of_it}",
                x,
                x,
                up.at(low),
                up.at(high),
                x,
                up.at(one["positive_share"]),
                2.5 + 4 * math.sqrt(one["rows"] / most),
            )
        )
    yield Figure(
        "Reliability",
        drawing(_SQUARE + 70, _SQUARE + TOP + FOOT, "Mean score of the bin", body),
        f"Share of {of_all} among rows of about one score; on the dashed line scores are true "
        "probabilities. Larger dots hold more rows.",
    )


def _residuals(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    """Errors of a regression by deciles of its predictions: 5% to 95%, and their mean."""
    rows = [
        Dot(
            f"{one['from']:,.4g} to {one['to']:,.4g}",
            one["mean_error"],
            one["error_quantiles"]["0.05"],
            one["error_quantiles"]["0.95"],
            title=f"predicted {one['from']:,.4g} to {one['to']:,.4g}: {one['rows']:,} rows, mean "
            f"error {one['mean_error']:,.4g}, 5% to 95% of the errors from "
            f"{one['error_quantiles']['0.05']:,.4g} to {one['error_quantiles']['0.95']:,.4g}",
        )
        for one in facts["residuals"]
    ]
    if rows:
        yield Figure(
            "Errors by what was predicted",
            dots(rows, label="Prediction minus outcome", mark=0.0),
            "Deciles of the predictions: the mean error, and where 90% of the errors lie.",
        )


def _confusion(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    """Which class was answered for which, in shares of the rows of the true class."""
    names, cells = facts["confusion"]["classes"], facts["confusion"]["true_by_answered"]
    shown = range(min(len(names), _MOST_CLASSES))
    size, left, top = 30, 170, 24
    body = []
    for row in shown:
        total = sum(cells[row])
        name = names[row] if len(names[row]) <= LONGEST else f"{names[row][: LONGEST - 1]}…"
        y = top + row * size
        body.append(
            Markup('<text class="axis" x="{}" y="{}" text-anchor="end">{}</text>').format(
                left - 8, y + size / 2 + 4, f"{name} {row + 1}"
            )
        )
        body.append(
            Markup('<text class="axis" x="{}" y="{}" text-anchor="middle">{}</text>').format(
                left + (row + 0.5) * size, top - 8, row + 1
            )
        )
        for column in range(min(len(cells[row]), _MOST_CLASSES)):
            share = cells[row][column] / total if total else 0.0
            body.append(
                Markup(
                    '<g><title>{}</title><rect class="cell{}" x="{}" y="{}" width="{}" '
                    'height="{}" fill-opacity="{:.3f}"/></g>'
                ).format(
                    f"{names[row]} answered as {names[column]}: {cells[row][column]:,} of "
                    f"{total:,} rows",
                    " right" if row == column else "",
                    left + column * size,
                    y,
                    size - 2,
                    size - 2,
                    share,
                )
            )
    width, height = left + len(shown) * size + 10, top + len(shown) * size + 24
    more = f"The first {_MOST_CLASSES} of {len(names)} classes. " if len(names) > len(shown) else ""
    yield Figure(
        "Which class was answered for which",
        drawing(width, height, "answered class", body),
        f"{more}A row is a true class; the darker a cell, the more of its rows got that answer, "
        "columns by number.",
    )


def _costs(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    costs = facts["costs"]
    curve = [(float(t), float(c)) for t, c in costs["curve"]]
    flat = {name: costs[name]["cost"] for name in ("always_yes", "always_no") if name in costs}
    across = Axis(0.0, 1.0, 70, WIDTH - RIGHT)
    up = spanning([0.0, *(c for _, c in curve), *flat.values()], TOP + 200, TOP)
    body = [grid(across, TOP, TOP + 200), rungs(up, 70, WIDTH - RIGHT)]
    body += [
        level(up.at(cost), f"{name.replace('_', ' ')}: {cost:,.0f}") for name, cost in flat.items()
    ]
    points = " ".join(f"{across.at(t):.1f},{up.at(c):.1f}" for t, c in curve)
    body.append(Markup('<polyline class="line plain" points="{}"/>').format(points))
    chosen = costs["chosen"]["cost"]
    body.append(
        Markup(
            '<g class="dot"><title>{}</title><circle cx="{:.1f}" cy="{:.1f}" r="5"/></g>'
        ).format(
            f"threshold {facts['threshold']:.3g}: {chosen:,.4g}",
            across.at(facts["threshold"]),
            up.at(chosen),
        )
    )
    each = costs.get("per_decisions", 1)
    yield Figure(
        "What decisions cost",
        drawing(WIDTH, TOP + 200 + FOOT, "Threshold", body),
        f"Of {each:,} decisions on the holdout, by threshold; the dot is the version's "
        f"({facts['threshold']:.3g}, costs {chosen:,.4g}).",
    )


def _importance(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    found = sorted(facts["importance"]["features"], key=lambda f: -f["better_by"])
    rows = [Dot(f["feature"], f["better_by"], *(f["interval"] or (None, None))) for f in found]
    if rows:
        metric = found[0]["metric"]
        yield Figure(
            "What each feature is worth",
            dots(rows, label=f"Worse by without it, {metric}", mark=0.0),
            _cut(len(rows)) + "How much the metric loses when the feature is shuffled.",
        )


def _slices(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    found = [
        Dot(
            f"{column}: {one['value']}",
            one["loss"],
            title=f"{column} {one['value']}: loss {one['loss']:.4g} on {one['rows']:,} rows",
        )
        for column, parts in facts["slices"]["by_column"].items()
        for one in parts
        if one["loss"] is not None
    ]
    rows = sorted(found, key=lambda row: -row.value)
    if rows:
        yield Figure(
            "Where it is worst",
            dots(rows, label="Mean loss of the slice"),
            _cut(len(rows)) + "Slices of one column each, the worst first.",
        )


def _objections(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    """Where people object to decisions."""
    rows = [
        Dot(
            one["segment"],
            one["share"],
            one["interval"][0],
            one["interval"][1],
            css="failed" if one["raised"] else "",
            title=f"{one['segment']}: {one['objections']:,} of {one['decisions']:,} decisions",
        )
        for one in facts["segments"]
    ]
    if rows:
        yield Figure(
            "Where people object",
            dots(rows, label="Share of decisions that people object to"),
            _cut(len(rows)) + "Intervals hold for all segments together; red stands out.",
        )


def _groups(facts: Facts, checks: Sequence[Check]) -> Iterator[Figure]:
    """Each view (attribute or crossing) by the metric that the policy judges, broken ones first."""
    metric = facts["metric"]
    views: dict[tuple[str, tuple[str, ...]], list[Facts]] = {}
    for one in facts["groups"]:
        views.setdefault((str(one.get("class", "")), tuple(one["by"])), []).append(one)
    drawn = [
        (view, name)
        for view in sorted(views, key=lambda view: _grade(view, checks))
        for name in JUDGED_BY.get(metric, (metric,))
        if any(one.get(name) is not None for one in views[view])
    ]
    for place, (view, name) in enumerate(drawn[:_MOST_VIEWS], start=1):
        more = len(drawn) - place if place == _MOST_VIEWS else 0
        yield _of_view(view, name, views[view], more)


def _grade(view: tuple[str, tuple[str, ...]], checks: Sequence[Check]) -> int:
    """What the gaps of a view say: failed before inconclusive before passed before not judged."""
    name, by = view
    begin = f"class {name}: " if name else ""
    grades = [_GRADES[c.verdict] for c in checks if c.columns == by and c.subject.startswith(begin)]
    return min(grades, default=len(_GRADES))


def _of_view(
    view: tuple[str, tuple[str, ...]], name: str, groups: Sequence[Facts], more: int
) -> Figure:
    known = [one for one in groups if one.get(name) is not None]
    rows = [_group(one, name) for one in sorted(known, key=_badness(name), reverse=True)]
    silent = [_of(one) for one in groups if one.get(name) is None]
    note = _cut(len(rows)) + "The worst first. "
    if any(row.css for row in rows):
        note += "Pale groups are too small to be judged. "
    if silent:
        note += f"Without a number, for lack of rows: {', '.join(silent[:10])}. "
    if more:
        note += f"{more} more pictures are left out; their numbers are in the report. "
    of_class = f" of class {view[0]}" if view[0] else ""
    title = f"{_IN_WORDS.get(name, name.replace('_', ' '))}{of_class} by {' and '.join(view[1])}"
    mark = 0.0 if name in _AROUND_ZERO else None
    return Figure(title[0].upper() + title[1:], dots(rows, label=title, mark=mark), note.rstrip())


_MOST_VIEWS = 12
_AROUND_ZERO = frozenset({"calibration", "mean_error"})
"""As in `lifecycle.training.bias.comparison`, which is too heavy to import for a page."""
_GRADES = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}
_IN_WORDS = {
    "tpr": "true positive rate",
    "fpr": "false positive rate",
    "fnr": "false negative rate",
    "ppv": "positive predictive value",
}
_HIGH_IS_GOOD = frozenset({"selection_rate", "accuracy", "tpr", "ppv"})


def _badness(metric: str) -> Callable[[Facts], tuple[bool, float]]:
    """Orders groups: those that are large enough, then by how bad the metric is for them."""
    sign = -1.0 if metric in _HIGH_IS_GOOD else 1.0

    def key(one: Facts) -> tuple[bool, float]:
        value = float(one[metric])
        return bool(one.get("sufficient", True)), sign * (value if sign < 0 else abs(value))

    return key


def _group(one: Facts, metric: str) -> Dot:
    low, high = (one.get("ci") or {}).get(metric) or (None, None)
    css = "" if one.get("sufficient", True) else "dim"
    between = "" if low is None else f" [{low:.4g}, {high:.4g}]"
    title = f"{_of(one)}: {one[metric]:.4g}{between}, {one['n']:,} rows"
    return Dot(_of(one), one[metric], low, high, css, title)


def _of(one: Facts) -> str:
    return " & ".join("missing" if v is None else str(v) for v in one["value"])


def _rows(facts: Facts, _checks: Sequence[Check]) -> Iterator[Figure]:
    """Where the rows of a training went: one bar, in parts."""
    parts = [(name.replace("_", " "), n) for name, n in facts["rows"].items() if n]
    total = sum(n for _, n in parts)
    axis, body, seen = Axis(0, total, 0, WIDTH), [], 0
    for place, (name, n) in enumerate(parts):
        body.append(
            Markup(
                '<rect class="part{}" x="{:.1f}" y="0" width="{:.1f}" height="26">'
                "<title>{}</title></rect>"
            ).format(place % 4, axis.at(seen), axis.at(n) - axis.at(0), f"{name}: {n:,} rows")
        )
        seen += n
    bar = Markup(
        '<svg class="plot" viewBox="0 0 {} 26" role="img" aria-label="Rows">{}</svg>'
    ).format(WIDTH, Markup("").join(body))
    said = ", ".join(f"{name} {n:,}" for name, n in parts)
    yield Figure("Where the rows went", bar, f"{said}; together {total:,}.")


def _cut(total: int) -> str:
    return f"{MOST_ROWS} of {total}. " if total > MOST_ROWS else ""


_Drawer = Callable[[Facts, Sequence[Check]], Iterator[Figure]]
_OF: dict[str, tuple[_Drawer, ...]] = {
    "training": (_rows, _metrics),
    "evaluation": (
        _metrics,
        _against,
        _reliability,
        _residuals,
        _confusion,
        _costs,
        _importance,
        _slices,
    ),
    "bias": (_groups,),
    "monitoring": (_objections,),
}
