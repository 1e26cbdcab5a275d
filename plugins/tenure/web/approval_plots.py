"""The pictures of the approval page: each metric of three answers, and groups worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from tenure.verdicts import Report, Verdict
from tenure.views.approval_page import ComparedMetric
from tenure.web.axes import Dot, dots, told
from tenure.web.report_plots import Figure, figures


def metric_plot(one: ComparedMetric, champion: str | None, serving: str | None) -> Markup:
    """The version, the champion and the trivial answer on one axis, with their intervals.

    Args:
        one: The metric.
        champion: Whom the evaluation compared it with.
        serving: Who serves now.
    """
    verdict = one.check.verdict if one.check else ""
    rows = [Dot("this version", one.value, *_ends(one.interval), verdict)]
    if one.champion is not None:
        rows.append(Dot(f"{_short(champion)}, same rows", one.champion))
    if one.own is not None:
        name = f"{_short(serving)}, its own rows"
        rows.append(Dot(name, one.own, *_ends(one.own_interval), "dim"))
    if one.trivial is not None:
        rows.append(Dot("always the same answer", one.trivial, css="dim"))
    limit = one.check.limit if one.check else None
    return dots(rows, label=one.name.replace("_", " "), mark=limit)


def difference_plot(metrics: Sequence[ComparedMetric]) -> Markup:
    """By how much the version is better than the champion on the same rows; empty without any."""
    rows = [
        Dot(one.name.replace("_", " "), one.better_by, *_ends(one.better_interval))
        for one in metrics
        if one.better_by is not None
    ]
    drawn = [replace(row, css=_side(row), title=told(row)) for row in rows]
    label = "Better by, on the same rows"
    return dots(drawn, label=label, mark=0.0) if drawn else Markup("")


def group_figures(report: Report | None) -> list[Figure]:
    """The groups of a bias audit, the worst first."""
    return [] if report is None else figures(report)


def _ends(interval: tuple[float, float] | None) -> tuple[float | None, float | None]:
    return interval or (None, None)


def _side(row: Dot) -> str:
    """Green is surely better, red surely worse; else it may be luck."""
    if row.low is None or row.high is None or row.low <= 0.0 <= row.high:
        return Verdict.INCONCLUSIVE
    return Verdict.PASSED if row.low > 0.0 else Verdict.FAILED


def _short(champion: str | None) -> str:
    return f"version {champion.rpartition('@')[2]}" if champion else "the champion"
