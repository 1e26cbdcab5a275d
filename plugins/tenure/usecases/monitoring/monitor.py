"""Judges the live decisions of a model, window by window of each version, and says so in rows.

The champion is watched, and every version that served before: what a gateway ships of one after it
was replaced is judged by the version that made it, or counted where it is too little.

Order: scan, judge, store the reports, then the results with their incidents in one transaction.
Done again at any point it stores nothing twice. The picture comes after, in a task of its own: its
failure changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.lifecycle.monitoring import LABELLED, Kind
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.usecases.monitoring.window import (
    WatchedModel,
    bounds,
    find,
    find_all,
    judged_rows,
    logged_by_version,
)
from tenure.usecases.serving.subject_keys import scanner
from tenure.verdicts import Report
from tenure.vocabulary import RunRef, digest_json

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.sql.monitoring import JudgedBefore, JudgedWindow
    from tenure.ports import Tally
    from tenure.usecases.monitoring.judge_window import DueWindow

__all__ = ["WindowPreview", "draw", "look", "monitor"]


@dataclass(frozen=True)
class WindowPreview:
    """What a look at one model found.

    Args:
        results: Rows of `monitoring_result` of the champion that this run stored, now or in an
            earlier try.
        former: The same of versions that serve no more.
        sentence: Why there are none, or how many.
    """

    results: "list[JudgedWindow]" = field(default_factory=list)
    former: "list[JudgedWindow]" = field(default_factory=list)
    sentence: str = ""


@dataclass(frozen=True)
class _Part:
    """What is done alone: a pair of kinds of one version."""

    watched: WatchedModel
    kinds: tuple[Kind, ...]
    until: datetime | None

    @property
    def name(self) -> str:
        return f"{self.watched.name} {' and '.join(self.kinds)}"


def monitor(platform: Installation, model_name: str, run: RunRef) -> WindowPreview:
    """Judge every window that is due, of the champion and of versions that served before.

    What cannot be judged of one is set aside with an incident, and the others are judged.

    Then its streams, whose alarms are paid from the budget of pages.

    Returns:
        The results of this run, with nothing stored twice when it is tried again.

    Raises:
        Exception: What kept a window of the champion from being judged, after all others were.
    """
    from tenure.usecases.monitoring.budget import watch_streams
    from tenure.usecases.monitoring.results import of_run

    every = find_all(platform, model_name)
    if isinstance(every, str):
        return WindowPreview(sentence=f"{model_name}: {every}")
    failures: list[Exception] = []
    work = _worker(platform, run, every)

    def look_at(part: _Part) -> str:
        try:
            return work(part)
        except Exception as error:
            if part.watched.serves:
                failures.append(error)
            raise

    now = platform.clock.now()
    # The champion last: the newest report about the model is then about what serves.
    parts = [_Part(one, *bound) for one in reversed(every) for bound in bounds(one, now)]
    waiting = one_by_one(
        platform, f"monitor:{model_name}", parts, name=lambda part: part.name, do=look_at
    )
    waiting += one_by_one(
        platform,
        f"budget:{model_name}",
        [one for one in every if one.serves],
        name=lambda one: one.name,
        do=partial(watch_streams, platform, former=[one for one in every if not one.serves]),
    )
    if failures:
        raise failures[0]
    stored = of_run(platform, model_name, run)
    serving = {one.row.id for one in every if one.serves}
    results = [row for row in stored if row.model_version_id in serving]
    former = [row for row in stored if row.model_version_id not in serving]
    return WindowPreview(results, former, _sentence(every, stored, waiting))


def _sentence(
    every: Sequence[WatchedModel], stored: "Sequence[JudgedWindow]", waiting: Sequence[str]
) -> str:
    """What was judged of each version, then what is waited for."""
    said = []
    for one in every:
        mine = [f"{r.kind} {r.verdict}" for r in stored if r.model_version_id == one.row.id]
        if mine or one.serves:
            said.append(f"{one.name}: {'; '.join(mine) or 'nothing to judge'}")
    return ". ".join([*said, "; ".join(filter(None, waiting))]).removesuffix(". ")


def _worker(
    platform: Installation, run: RunRef, every: Sequence[WatchedModel]
) -> Callable[[_Part], str]:
    """Judges a part and returns what is still waited for; scans what parts share once."""
    from tenure.usecases.monitoring.feedback import judge_objections
    from tenure.usecases.monitoring.judge_window import count_or_judge
    from tenure.usecases.monitoring.late_outcomes import judge_late_outcomes
    from tenure.usecases.monitoring.results import store

    by_id = {one.row.id: one for one in every}

    @cache
    def engine(version_id: int) -> "IbisEngine":
        return scanner(platform, by_id[version_id].paths)

    @cache
    def logged() -> dict[int, int]:
        return logged_by_version(every)

    def work(part: _Part) -> str:
        watched, own = part.watched, part.watched.row.id
        waiting: list[str] = []
        if watched.serves or not _is_complete(platform, watched, part.kinds, logged().get(own, 0)):
            due, waiting = _due(platform, engine(own), part)
            for one, kinds in due:
                reports = count_or_judge(platform, engine(own), watched, one, kinds)
                store(platform, watched, one, reports, run)
        if part.kinds == LABELLED:
            judge_late_outcomes(platform, watched, run)
        elif watched.serves:
            judge_objections(platform, engine(own), watched, run)
        said = "; ".join(waiting)
        return said if watched.serves or not said else f"{watched.name} {said}"

    return work


def draw(platform: Installation, model_name: str, run: RunRef) -> list[str]:
    """Draw the drift windows that this Airflow run judged and that have no picture yet.

    Returns:
        Keys of the pictures in the object store; never raises for a picture that failed.
    """
    every = find_all(platform, model_name)
    if isinstance(every, str):
        return []
    from tenure.usecases.monitoring.drawing import draw_missing
    from tenure.usecases.monitoring.results import of_run

    results = of_run(platform, model_name, run)
    return [key for one in every for key in draw_missing(platform, one, results)]


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
    platform: Installation, engine: "IbisEngine", part: _Part
) -> "tuple[list[tuple[DueWindow, list[Kind]]], list[str]]":
    """Windows that are due with the kinds to judge in each, and what is still waited for."""
    from tenure.adapters.sql import monitoring

    watched = part.watched
    due: list[tuple[DueWindow, list[Kind]]] = []
    waiting: list[str] = []
    minimum = watched.config.monitoring.min_decisions
    with platform.database.begin() as connection:
        judged = monitoring.judged_before(connection, watched.row.id)
    for before in dict.fromkeys(judged.get(kind) for kind in part.kinds):
        alike = [kind for kind in part.kinds if judged.get(kind) == before]
        found, why = _look_at(platform, engine, watched, part.until, before, minimum=minimum)
        if found is None:
            waiting += [f"{kind}: {why}" for kind in alike if why]
            continue
        new = [kind for kind in alike if _is_new(platform, watched, found, kind)]
        waiting += [
            f"{kind}: inconclusive so far, and nothing new since"
            for kind in alike
            if kind not in new and watched.serves  # of a former one the stored result says it
        ]
        if new:
            due.append((found, new))
    return due, waiting


def _is_complete(
    platform: Installation, watched: WatchedModel, kinds: Sequence[Kind], logged: int
) -> bool:
    """Whether all that the log holds of the version was judged of each kind."""
    if not logged:
        return True
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        judged = monitoring.judged_before(connection, watched.row.id)
    return all(kind in judged and judged[kind].decisions >= logged for kind in kinds)


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
    from tenure.lifecycle.monitoring.window import next_window
    from tenure.usecases.monitoring.judge_window import DueWindow

    if until is None:
        return None, "no outcome watermark yet"
    decisions = watched.decisions(until, judged_rows(platform, watched.row.model, before))
    tally = engine.tally(decisions)
    end, judged = (before.until, before.decisions) if before else (None, 0)
    window = next_window(end, tally, minimum, judged=judged, is_last=not watched.serves)
    if window is None:
        return None, _why_not(watched, tally, minimum)
    rows = engine.segments(decisions)
    selection = digest_json(sorted(rows.items()))
    return DueWindow(window, decisions, selection, tuple(rows), before), ""


def _why_not(watched: WatchedModel, tally: "Tally", minimum: int) -> str:
    """What is waited for; empty when nothing is left of a version that serves no more."""
    from tenure.lifecycle.monitoring.window import late_words

    late = f" ({late_words(tally.late)}, came late)" if tally.late.rows else ""
    if watched.serves:
        return f"not enough yet, {tally.due.rows:,} of {minimum:,} decisions{late}"
    left = tally.due.rows + tally.waiting
    return f"{left:,} decisions left, {tally.waiting:,} of them wait for labels{late}" * bool(left)


def _is_new(platform: Installation, watched: WatchedModel, due: "DueWindow", kind: Kind) -> bool:
    from tenure.adapters.sql import monitoring

    with platform.database.begin() as connection:
        return not monitoring.is_stored(connection, watched.row.id, kind, due.selection)
