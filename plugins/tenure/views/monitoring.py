"""The monitoring page of a model: the worst first, then every kind on one time axis; reads only.

Every number is one of a stored report. What has none is a gap, and says why.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.config import load_model
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.verdicts import Check, Verdict

if TYPE_CHECKING:
    from tenure.adapters.sql.incidents import Incident
    from tenure.adapters.sql.model_page import RetrainLine
    from tenure.adapters.sql.monitoring_page import (
        KindLine,
        PerformanceLine,
        ServedSeat,
        WindowEvidence,
    )
    from tenure.adapters.sql.overview import ModelOverview, VerdictLine

MOST_WINDOWS, SPARK_WINDOWS = 60, 20
"""Windows of each kind on the page of a model, and in its line on the first page."""
KINDS = ("performance", "late_outcomes", "fairness", "feedback", "quality", "drift")
"""Of two kinds with the same verdict the earlier one is said first."""
COVERAGE, INTERVALS, SCORE_DRIFT = "label coverage", "interval coverage", "prediction drift"
_SMALL = frozenset({"group rows", "group labels"})
_RANK = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


@dataclass(frozen=True)
class WindowValue:
    """One number of one window, or why there is none.

    Args:
        window: Id of the result.
        version: That made the decisions.
        start: Of the window, in event time.
        end: Of the window.
        verdict: Of the check; empty where nothing was judged about it.
        value: None where there is no number.
        low: Lower end of the interval.
        high: Upper end.
        limit: That the value may just reach.
        why: In words: what was seen and allowed, or why there is no number.
        is_small: Too few rows to be judged: drawn hatched.
    """

    window: int
    version: int
    start: datetime
    end: datetime
    verdict: Verdict | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    why: str = ""
    is_small: bool = False


@dataclass(frozen=True)
class MonitoringPanel:
    """One of the small multiples: a number by window, oldest first; `is_share` prints percent.

    `key` names it in an address: whatever is judged later, it means the same plot.
    """

    key: str
    title: str
    values: Sequence[WindowValue]
    note: str = ""
    is_share: bool = False


@dataclass(frozen=True)
class WindowPage:
    """One window: the results about it, incidents of that time, what retraining decided after."""

    results: "Sequence[WindowEvidence]"
    incidents: "Sequence[Incident]"
    decision: "VerdictLine | None"


@dataclass(frozen=True)
class MonitoringPage:
    """Everything that monitoring found of a model.

    Args:
        overview: The model.
        newest: The last result of each kind about the version that was judged last, worst first.
        windows: The last results of each kind, oldest first.
        panels: Small multiples, in the order in which a person should meet them.
        drift: The same by feature, the furthest moved in the newest window first.
        groups: The same by group or pair of groups.
        seats: Champions, by the clock.
        left_out: Older results that are not drawn.
        next_window: When the next window is judged, in a sentence.
        request: The retrain request that is under way.
        decision: What the retraining controller decided last.
        chosen: The window that was asked for.
    """

    overview: "ModelOverview"
    newest: "Sequence[WindowEvidence]"
    windows: "Sequence[WindowEvidence]"
    panels: Sequence[MonitoringPanel]
    drift: Sequence[MonitoringPanel]
    groups: Sequence[MonitoringPanel]
    seats: "Sequence[ServedSeat]"
    left_out: int
    next_window: str
    request: "RetrainLine | None"
    decision: "VerdictLine | None"
    chosen: WindowPage | None

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """The time axis of every panel: event time."""
        if not self.windows:
            return None
        starts = [one.window_start for one in self.windows]
        return min(starts), max(one.window_end for one in self.windows)

    def has_panel(self, key: str) -> bool:
        """Whether there is a plot of the key."""
        return any(one.key == key for one in (*self.panels, *self.drift, *self.groups))

    @property
    def first_windows(self) -> list[tuple[int, datetime]]:
        """Where the decisions of each version begin on the axis."""
        found: dict[int, datetime] = {}
        for one in self.windows:
            found[one.version] = min(found.get(one.version, one.window_start), one.window_start)
        return sorted(found.items())


@dataclass(frozen=True)
class MonitoringGlance:
    """One model on the first page: the worst of what each kind said last, the metric by window."""

    worst: "KindLine"
    metric: MonitoringPanel | None


def glances(platform: Installation) -> dict[str, MonitoringGlance]:
    """Every model that was monitored, by name."""
    from tenure.adapters.sql import monitoring_page as sql

    with platform.database.begin() as connection:
        kinds = sql.newest_by_kind(connection)
        lines = sql.performances(connection, SPARK_WINDOWS)
    worst: dict[str, KindLine] = {}
    for one in sorted(kinds, key=lambda row: (_RANK[row.verdict], KINDS.index(row.kind))):
        worst.setdefault(one.model, one)
    return {
        name: MonitoringGlance(one, _metric_line([row for row in lines if row.model == name]))
        for name, one in worst.items()
    }


def _metric_line(lines: "Sequence[PerformanceLine]") -> MonitoringPanel | None:
    """By the metric that was judged last; windows that another one judged are gaps."""
    rules = [c.rule for row in reversed(lines) for c in row.checks if _is_metric(c)]
    if not rules:
        return None
    values = [_value(row, _first(row, rules[0])) for row in lines]
    return MonitoringPanel("spark", rules[0].replace("_", " "), values)


def monitoring_page(
    platform: Installation, model: str, window: int | None = None
) -> MonitoringPage | None:
    """The page; None when there is no such model."""
    from tenure.adapters.sql import monitoring_page as sql
    from tenure.adapters.sql import overview

    with platform.database.begin() as connection:
        found = overview.model(connection, model)
        if found is None:
            return None
        windows = sql.windows(connection, model, MOST_WINDOWS)
        total = sum(sql.results_by_kind(connection, model).values())
        chosen = sql.window(connection, model, window) if window is not None else []
        beside = None
        if chosen:
            at = min(one.created_at for one in chosen)
            then = sql.incidents_then(connection, model, at)
            beside = WindowPage(chosen, then, sql.decision_after(connection, model, at))
        return MonitoringPage(
            overview=found,
            newest=newest(windows),
            windows=windows,
            panels=panels(windows),
            drift=drift_panels(windows),
            groups=group_panels(windows),
            seats=sql.seats(connection, model),
            left_out=total - len(windows),
            next_window=_next_window(platform, model),
            request=sql.request_under_way(connection, model),
            decision=sql.decision_now(connection, model),
            chosen=beside,
        )


def newest(windows: "Sequence[WindowEvidence]") -> "list[WindowEvidence]":
    """The last result of each kind, about the newest version that has one; the worst first."""
    found: dict[str, WindowEvidence] = {}
    for one in sorted(windows, key=lambda row: (row.version, row.id)):
        found[one.kind] = one
    return sorted(found.values(), key=lambda row: (_RANK[row.verdict], KINDS.index(row.kind)))


def drawn(windows: "Sequence[WindowEvidence]", kind: str) -> "list[WindowEvidence]":
    """Those of a kind, without inconclusive ones whose decisions a later window judged again."""
    mine = [one for one in windows if one.kind == kind]
    return [one for one in mine if not any(_judged_again(one, other) for other in mine)]


def _judged_again(one: "WindowEvidence", other: "WindowEvidence") -> bool:
    return (
        one.verdict is Verdict.INCONCLUSIVE
        and other.id > one.id
        and other.version == one.version
        and other.window_start <= one.window_start
        and other.window_end >= one.window_end
    )


def panels(windows: "Sequence[WindowEvidence]") -> list[MonitoringPanel]:
    """Quality of the answers, labels, calibration, score, traffic, data quality."""
    performance, drift = drawn(windows, "performance"), drawn(windows, "drift")
    metrics = dict.fromkeys(c.rule for one in performance for c in one.checks if _is_metric(c))
    covered = any(c.rule == INTERVALS for one in performance for c in one.checks)
    found = [
        *(
            _panel(rule, rule.replace("_", " "), performance, _by_rule(rule))
            for rule in metrics or (["performance"] if performance else [])
        ),
        _panel(COVERAGE, COVERAGE, performance, _by_rule(COVERAGE), is_share=True),
    ]
    if covered:
        found.append(_panel(INTERVALS, INTERVALS, performance, _by_rule(INTERVALS), is_share=True))
    if "ece" not in metrics and any("ece" in one.facts.get("metrics", {}) for one in performance):
        note = "Expected calibration error; measured, not judged."
        found.append(_panel("ece", "calibration (ece)", performance, _calibration, note=note))
    note = "Median and quartiles, counted in bins; the color is the verdict on its drift."
    found += [
        _panel("score", "score", drift, _score, note=note),
        _panel("traffic", "decisions in the window", drift, _traffic),
        _panel("fallback", "answered by no model", drift, _fallback, is_share=True),
        _panel("quality", "broken checks of data quality", drawn(windows, "quality"), _quality),
    ]
    return [panel for panel in found if panel.values]


def drift_panels(windows: "Sequence[WindowEvidence]") -> list[MonitoringPanel]:
    """Every feature of the newest window, in its order, then those that only older ones have."""
    drift = drawn(windows, "drift")
    names = dict.fromkeys(c.subject for one in reversed(drift) for c in one.checks)
    names = dict.fromkeys(name for name in names if name != "score")
    return [_panel(f"drift-{name}", name, drift, _of(name)) for name in names]


def group_panels(windows: "Sequence[WindowEvidence]") -> list[MonitoringPanel]:
    """Every gap that was judged, then every group that is too small, in the newest order."""
    fairness = drawn(windows, "fairness")
    seen = dict.fromkeys((c.rule, c.subject) for w in reversed(fairness) for c in w.checks)
    gaps = [key for key in seen if key[0] not in _SMALL]
    small = dict.fromkeys(subject for rule, subject in seen if rule in _SMALL)
    found = [
        _panel(f"gap-{title}", title, fairness, _gap(rule, subject))
        for rule, subject in gaps
        for title in [f"{rule} by {subject}".removesuffix(" by ")]
    ]
    found += [
        _panel(f"small-{name}", f"{name}: too small", fairness, _too_small(name)) for name in small
    ]
    if not found and fairness:
        return [_panel("gaps", "group gaps", fairness, lambda one: _value(one, None))]
    return found


def _is_metric(check: Check) -> bool:
    return check.rule not in {COVERAGE, INTERVALS, "unseen classes"}


_Reader = Callable[["WindowEvidence"], WindowValue]


def _panel(
    key: str,
    title: str,
    windows: "Sequence[WindowEvidence]",
    read: _Reader,
    *,
    note: str = "",
    is_share: bool = False,
) -> MonitoringPanel:
    return MonitoringPanel(key, title, [read(one) for one in windows], note, is_share)


def _value(one: "WindowEvidence | PerformanceLine", check: Check | None) -> WindowValue:
    """What a check says; without one, the sentence of the result is the reason."""
    bare = WindowValue(
        one.id, one.version, one.window_start, one.window_end, why=f"not judged: {one.summary}"
    )
    if check is None:
        return bare
    low, high = check.interval or (None, None)
    why = f"{check.observed}; allowed: {check.allowed}"
    return replace(
        bare,
        verdict=check.verdict,
        value=check.value,
        low=low,
        high=high,
        limit=check.limit,
        why=why if check.value is not None else f"undefined: {why}",
    )


def _first(
    one: "WindowEvidence | PerformanceLine", rule: str, subject: str | None = None
) -> Check | None:
    same = (c for c in one.checks if c.rule == rule and subject in {None, c.subject})
    return next(same, None)


def _by_rule(rule: str) -> _Reader:
    return lambda one: _value(one, _first(one, rule))


def _of(feature: str) -> _Reader:
    return lambda one: _value(one, _first(one, "drift", feature))


def _gap(rule: str, subject: str) -> _Reader:
    return lambda one: _value(one, _first(one, rule, subject))


def _too_small(subject: str) -> _Reader:
    """A group that had enough rows in a window has no check of its own there."""

    def read(one: "WindowEvidence") -> WindowValue:
        check = next((c for c in one.checks if c.rule in _SMALL and c.subject == subject), None)
        if check is None:
            why = "large enough, or not in this window; its gaps are above"
            return replace(
                _value(one, None), why=why if one.checks else f"not judged: {one.summary}"
            )
        return replace(_value(one, check), value=None, limit=None, is_small=True)

    return read


def _calibration(one: "WindowEvidence") -> WindowValue:
    bare = _value(one, None)
    value = one.facts.get("metrics", {}).get("ece")
    if value is None:
        return bare
    low, high = one.facts.get("intervals", {}).get("ece", (None, None))
    return replace(bare, value=value, low=low, high=high, why="measured, not judged")


def _score(one: "WindowEvidence") -> WindowValue:
    quartiles = one.facts.get("score", {}).get("current")
    bare = _value(one, None)
    if quartiles is None:
        return bare
    low, median, high = quartiles
    check = _first(one, SCORE_DRIFT)
    said = f"; drift {check.observed}, allowed: {check.allowed}" if check else ""
    return replace(
        bare,
        verdict=check.verdict if check else None,
        value=median,
        low=low,
        high=high,
        why=f"median, and the middle half of the scores{said}",
    )


def _traffic(one: "WindowEvidence") -> WindowValue:
    return replace(_value(one, None), value=float(one.decisions), why="decisions that it judged")


def _fallback(one: "WindowEvidence") -> WindowValue:
    counts = one.facts.get("traffic")
    bare = _value(one, None)
    if not counts or not counts["decisions"]:
        return bare
    no_model, rows = counts["by_no_model"], counts["decisions"]
    return replace(bare, value=no_model / rows, why=f"{no_model:,} of {rows:,} decisions")


def _quality(one: "WindowEvidence") -> WindowValue:
    if one.verdict is Verdict.INCONCLUSIVE and not one.checks:  # only counted
        return _value(one, None)
    said = "; ".join(f"{c.subject}: {c.observed} ({c.allowed})" for c in one.checks[:5])
    return replace(
        _value(one, None),
        verdict=one.verdict,
        value=float(len(one.checks)),
        limit=0.0,
        why=said or one.summary,
    )


def _next_window(platform: Installation, model: str) -> str:
    try:
        config, _ = load_model(platform.settings.include, model)
    except ConfigInvalid as error:
        return f"When is not known: {error.what.splitlines()[0]}"
    least, horizon = config.monitoring.min_decisions, config.label.horizon_hours
    return (
        f"The next window is judged at {least:,} decisions that no window judged before; for "
        f"performance and fairness their labels must be {horizon:g} h old. The monitoring DAG "
        f"looks at `{config.schedule}` (cron) and when outcomes arrive."
    )
