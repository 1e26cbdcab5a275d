"""Judges the live decisions of a model's champion, window by window, and says so in rows.

Order: scan, judge, store the reports, then the results with their incidents in one transaction.
Done again at any point it stores nothing twice. The picture comes after, in a task of its own: its
failure changes nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.monitoring import Kind
from tenure.usecases.monitoring.window import WatchedModel, bounds, find, judged_rows
from tenure.usecases.serving.subject_keys import scanner
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, digest_json

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.sql.monitoring import JudgedBefore, JudgedWindow
    from tenure.usecases.monitoring.judge_window import DueWindow

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
    for one, kinds in due:
        reports = judge(platform, engine, watched, one, kinds)
        store(platform, watched, one, reports, run)
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
    from tenure.usecases.monitoring.judge_window import judge

    engine = scanner(platform, watched.paths)
    found: list[Report] = []
    for kinds, until in bounds(watched, platform.clock.now()):
        due, _ = _look_at(platform, engine, watched, until, None, minimum=1)
        if due:
            found += list(judge(platform, engine, watched, due, kinds).values())
    return found


def _due(
    platform: Installation, engine: "IbisEngine", watched: WatchedModel
) -> tuple[list[tuple["DueWindow", list[Kind]]], str]:
    """Windows that are due with the kinds to judge in each, and what is still waited for."""
    from tenure.adapters.sql import monitoring

    due: list[tuple[DueWindow, list[Kind]]] = []
    waiting: list[str] = []
    minimum = watched.config.monitoring.min_decisions
    with platform.database.begin() as connection:
        judged = monitoring.judged_before(connection, watched.row.id)
    for kinds, until in bounds(watched, platform.clock.now()):
        for before in dict.fromkeys(judged.get(kind) for kind in kinds):
            alike = [kind for kind in kinds if judged.get(kind) == before]
            found, why = _look_at(platform, engine, watched, until, before, minimum=minimum)
            if found is None:
                waiting += [f"{kind}: {why}" for kind in alike]
                continue
            new = [kind for kind in alike if _is_new(platform, watched, found, kind)]
            waiting += [
                f"{kind}: inconclusive so far, and nothing new since"
                for kind in alike
                if kind not in new
            ]
            if new:
                due.append((found, new))
    return due, "; ".join(waiting)


def _look_at(
    platform: Installation,
    engine: "IbisEngine",
    watched: WatchedModel,
    until: datetime | None,
    before: "JudgedBefore | None",
    *,
    minimum: int,
) -> tuple["DueWindow | None", str]:
    """The window that is due after what was judged before; else None, and why."""
    from tenure.lifecycle.monitoring.window import late_words, next_window
    from tenure.usecases.monitoring.judge_window import DueWindow

    if until is None:
        return None, "no outcome watermark yet"
    decisions = watched.decisions(until, judged_rows(platform, watched.row.model, before))
    tally = engine.tally(decisions)
    end, judged = (before.until, before.decisions) if before else (None, 0)
    window = next_window(end, tally, minimum, judged=judged)
    if window is None:
        late = f" ({late_words(tally.late)}, came late)" if tally.late.rows else ""
        return None, f"not enough yet, {tally.due.rows:,} of {minimum:,} decisions{late}"
    rows = engine.segments(decisions)
    return DueWindow(window, decisions, digest_json(sorted(rows.items())), tuple(rows)), ""


def _is_new(platform: Installation, watched: WatchedModel, due: "DueWindow", kind: Kind) -> bool:
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        return not monitoring.is_stored(connection, watched.row.id, kind, due.selection)
