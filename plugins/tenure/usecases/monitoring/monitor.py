"""Judges the live decisions of a model's champion, window by window, and says so in rows.

Order: scan, judge, store the reports, then the results with their incidents in one transaction.
Done again at any point it stores nothing twice. The picture comes after, in a task of its own: its
failure changes nothing.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.monitoring import Kind
from tenure.usecases.monitoring.window import WatchedModel, bounds, find
from tenure.usecases.serving.subject_keys import scanner
from tenure.verdicts import Report
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.sql.monitoring import JudgedWindow
    from tenure.lifecycle.monitoring.window import Window

__all__ = ["WindowPreview", "draw", "look", "monitor"]


@dataclass(frozen=True)
class WindowPreview:
    """What a look at one model found.

    Args:
        results: Rows of `monitoring_result` that this run stored, now or in an earlier try.
        sentence: Why there are none, or how many.
    """

    results: "list[JudgedWindow]" = field(default_factory=list)
    sentence: str = ""


def monitor(platform: Installation, model_name: str, run: RunRef) -> WindowPreview:
    """Judge every window of the champion that is due.

    Returns:
        The results of this run, with nothing stored twice when it is tried again.
    """
    watched = find(platform, model_name)
    if isinstance(watched, str):
        return WindowPreview(sentence=f"{model_name}: {watched}")
    from tenure.usecases.monitoring.judge_window import judge
    from tenure.usecases.monitoring.results import of_run, store

    engine = scanner(platform, watched.paths)
    due, waiting = _due(platform, engine, watched)
    for window, kinds in due.items():
        reports = judge(platform, engine, watched, window, kinds)
        store(platform, watched, window, reports, run)
    results = of_run(platform, watched, run)
    told = "; ".join(f"{r.kind} {r.verdict}" for r in results) or "nothing to judge"
    return WindowPreview(results, f"{watched.name}: {told}{'. ' * bool(waiting)}{waiting}")


def draw(platform: Installation, model_name: str, run: RunRef) -> list[str]:
    """Draw the drift windows that this Airflow run judged and that have no picture yet.

    Returns:
        Keys of the pictures in the object store; never raises for a picture that failed.
    """
    watched = find(platform, model_name)
    if isinstance(watched, str):
        return []
    from tenure.usecases.monitoring.drawing import draw_missing
    from tenure.usecases.monitoring.results import of_run

    return draw_missing(platform, watched, of_run(platform, watched, run))


def look(platform: Installation, model_name: str) -> list[Report]:
    """Judge all decisions of the champion since it serves, storing nothing; for the terminal.

    Returns:
        Drift and quality, and performance and fairness when labels are mature; empty without
        a champion or decisions.
    """
    watched = find(platform, model_name)
    if isinstance(watched, str):
        return []
    from tenure.lifecycle.monitoring.window import next_window
    from tenure.usecases.monitoring.judge_window import judge

    engine = scanner(platform, watched.paths)
    found: list[Report] = []
    for kinds, until in bounds(watched, platform.clock.now()):
        if until is None:
            continue
        window = next_window(None, engine.span(watched.decisions(None, until)), 1)
        if window:
            found += list(judge(platform, engine, watched, window, kinds).values())
    return found


def _due(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel
) -> tuple[dict["Window", list[Kind]], str]:
    """Windows that are due with the kinds to judge in each, and what is still waited for."""
    from tenure.adapters.sql import monitoring
    from tenure.lifecycle.monitoring.window import next_window

    due: dict[Window, list[Kind]] = {}
    waiting: list[str] = []
    minimum = watched.config.monitoring.min_decisions
    with platform.database.begin() as connection:
        judged = monitoring.judged_until(connection, watched.row.id)
    for kinds, until in bounds(watched, platform.clock.now()):
        if until is None:
            waiting.append("no outcome watermark yet")
            continue
        spans = {
            after: engine.span(watched.decisions(after, until))
            for after in {judged.get(kind) for kind in kinds}
        }
        for kind in kinds:
            span = spans[judged.get(kind)]
            window = next_window(judged.get(kind), span, minimum)
            if window is None:
                waiting.append(f"{kind}: not enough yet, {span.rows:,} of {minimum:,} decisions")
            elif _is_new(platform, watched, window, kind):
                due.setdefault(window, []).append(kind)
            else:
                waiting.append(f"{kind}: inconclusive so far, and nothing new since")
    return due, "; ".join(waiting)


def _is_new(platform: Installation, watched: WatchedModel, window: "Window", kind: Kind) -> bool:
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        return not monitoring.is_stored(
            connection, watched.row.id, kind, window.after, window.until
        )
