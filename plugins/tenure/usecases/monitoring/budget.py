"""Watches the streams of a champion within the budget of pages of the installation.

Order: count days whose decisions changed, then replay every stream from what is stored, and keep
its state and its incident in one transaction. Done twice, late, out of order or after a restart, it
leaves the same state: the state follows from the counts, and a count replaces itself.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from hashlib import blake2b
from math import floor, log, log10, sqrt
from typing import TYPE_CHECKING

from tenure.installation import Installation
from tenure.ports import DecisionFilter, LossCounts
from tenure.usecases.monitoring.judge_window import (
    CountedColumns,
    counted_columns,
    without_prefix,
)
from tenure.usecases.monitoring.window import WatchedModel, outcome_files
from tenure.usecases.serving.subject_keys import scanner
from tenure.vocabulary import digest_json

if TYPE_CHECKING:
    import numpy as np
    from sqlalchemy import Connection

    from tenure.adapters.ibis_engine import IbisEngine
    from tenure.adapters.ibis_engine.days import Loss
    from tenure.adapters.sql.streams import CountedDay, StoredStream, StoredWindow
    from tenure.lifecycle.monitoring.streams import DayCount, StreamRule, StreamState

ALL_FEATURES, PERFORMANCE, FEATURE = "all features", "performance", "feature "
SCORE, ANSWER = "score", "answer"
_SQUARED = frozenset({"brier", "log_loss", "ece", "roc_auc"})
"""Metrics of scores: the squared error stands for them, as the wrong label does for the others."""
_NAMED = 5
"""Streams that a page names; the others are counted."""
_FLOOR = 1e-3
"""PSI below which features taken together are not told apart."""
_EPOCH = date(1970, 1, 1)
_log = logging.getLogger("tenure.monitoring")


@dataclass(frozen=True)
class _Stream:
    """How a stream is read: by which counts of which days; `why` it is not, where it cannot be."""

    rule: "StreamRule | None"
    layout: str
    until: date
    why: str = ""


def watch_streams(
    platform: Installation, watched: WatchedModel, former: Sequence[WatchedModel] = ()
) -> str:
    """Judge every stream of the champion by all its days that are over; one page for one window.

    A day is over when the log has a decision of a later one; for performance when its labels are
    mature. Features have the history of all versions that read the same ones, so that a promise
    does not begin anew with each training; scores and losses are the version's own.

    Args:
        platform: The installation.
        watched: The champion.
        former: Versions that served before.

    Returns:
        What was found, in a sentence; empty when no day is over.
    """
    from tenure.adapters.sql import streams, versions

    engine, now = scanner(platform, watched.every or watched.paths), platform.clock.now()
    own = watched.decisions(now)
    alike = frozenset(one.row.id for one in former if _reads(one) == _reads(watched))
    asked = replace(own, paths=watched.every, segments={}, also=alike) if alike else own
    over = _over(engine, own)
    if not over:
        return ""
    with platform.database.begin() as connection:
        known = streams.counted(connection, watched.row.id)
    columns = counted_columns(platform, engine, watched)
    inputs = replace(
        columns,
        edges={name: edges for name, edges in columns.edges.items() if name != SCORE},
        categorical=[name for name in columns.categorical if name != ANSWER],
    )
    outputs = replace(
        columns,
        edges={SCORE: columns.edges[SCORE]},
        categorical=[name for name in columns.categorical if name == ANSWER],
        dates=[],
    )
    found, fresh, _ = _shifts(engine, watched, inputs, asked, known)
    of_answers, answers, rows = _shifts(engine, watched, outputs, own, known)
    found |= of_answers
    found[PERFORMANCE], losses = _losses(platform, engine, watched, over, rows)
    with platform.database.begin() as connection:
        versions.lock(connection, watched.row.id)
        streams.count(connection, watched.row.id, [*fresh, *answers, *losses], at=now)
        return _judge(connection, platform, watched, found, now)


def _reads(one: WatchedModel) -> tuple[tuple[str, ...], ...]:
    return one.numeric, one.categorical, one.dates


def _over(engine: "IbisEngine", decisions: DecisionFilter) -> dict[date, int]:
    """Decisions of each day but the newest, which may go on."""
    from tenure.adapters.ibis_engine.days import rows_by_day

    logged = rows_by_day(engine, decisions)
    return {day: rows for day, rows in logged.items() if day < max(logged)}


def _shifts(
    engine: "IbisEngine",
    watched: WatchedModel,
    columns: CountedColumns,
    decisions: DecisionFilter,
    known: "Sequence[CountedDay]",
) -> "tuple[dict[str, _Stream], list[CountedDay], int]":
    """Streams of these columns, days that had to be counted, and rows of the holdout."""
    from tenure.adapters.sql.streams import CountedDay
    from tenure.lifecycle.monitoring.drift import count_sides, psi_above_noise

    policy, over = watched.config.monitoring, _over(engine, decisions)
    layout = digest_json([watched.row.facts.holdout_digest, policy.bins])
    names = [_stream_of(name) for name in (*columns.edges, *columns.categorical, *columns.dates)]
    counted = {
        one.day: one.logged for one in known if one.stream == names[0] and one.layout == layout
    }
    due = sorted(day for day, rows in over.items() if counted.get(day, 0) < rows)
    first, last = (due[0], due[-1]) if due else (_EPOCH, _EPOCH)
    side, by_day = engine.features_by_day(
        columns.reference,
        replace(decisions, until=_end(last), after=_end(first - timedelta(days=1))),
        edges=columns.edges,
        categorical=columns.categorical,
        dates=columns.dates,
    )
    reference = without_prefix(side)

    def cells(day: date | None) -> "dict[str, tuple[np.ndarray, np.ndarray]]":
        now = without_prefix(by_day[day]) if day in by_day else reference
        sides = count_sides(reference, now, policy.bins, columns.known)
        return {_stream_of(name): pair for name, pair in sides.items()}

    before = {name: pair[0] for name, pair in cells(None).items()}
    fresh = []
    for day in due:
        for name, (_, now) in cells(day).items():
            vector = tuple(int(n) if day in by_day else 0 for n in now)  # 0: nobody can open them
            fresh.append(CountedDay(name, day, layout, over[day], sum(vector), vector))
    effects: dict[str, Callable[[np.ndarray], float | None]] = {
        name: partial(psi_above_noise, counts) for name, counts in before.items()
    }
    features = {name: counts for name, counts in before.items() if name.startswith(FEATURE)}
    if features:
        effects[ALL_FEATURES] = partial(_together, features)
    found = {
        name: _Stream(_rule(watched, name, effect), layout, max(over))
        for name, effect in effects.items()
    }
    return found, fresh, reference.rows


def _stream_of(column: str) -> str:
    is_output = column in {SCORE, ANSWER}
    return column if is_output else f"{FEATURE}{column.removeprefix('f_')}"


def _together(before: "Mapping[str, np.ndarray]", counts: "np.ndarray") -> float:
    """Mean logarithm of the features' PSI: many small shifts move it, no single scale rules it."""
    import numpy as np

    from tenure.lifecycle.monitoring.drift import psi_above_noise

    parts = np.split(counts, np.cumsum([len(one) for one in before.values()])[:-1])
    found = [psi_above_noise(a, b) for a, b in zip(before.values(), parts, strict=True)]
    return float(np.mean([log(_FLOOR + max(one, 0.0)) for one in found]))


def _losses(
    platform: Installation,
    engine: "IbisEngine",
    watched: WatchedModel,
    over: Mapping[date, int],
    holdout_rows: int,
) -> "tuple[_Stream, list[CountedDay]]":
    """The stream of performance, and the losses of all days whose labels are mature."""
    from tenure.adapters.ibis_engine.days import losses_by_day
    from tenure.adapters.sql.streams import CountedDay
    from tenure.lifecycle.monitoring.window import mature_until

    kind, metric = _loss_of(watched)
    value = watched.row.facts.metrics.get(metric)
    mature = mature_until(watched.watermark, watched.config.label.horizon_hours)
    days = [day for day in over if mature is not None and _end(day) <= mature]
    if value is None or not days:
        why = "no labels are mature yet" if value is not None else f"the holdout has no {metric}"
        return _Stream(None, kind, _EPOCH, why), []
    unit = _unit(value) if kind == "absolute" else 1.0
    layout = f"{kind} {unit:g}"
    decisions, outcomes = (
        watched.decisions(_end(max(days))),
        outcome_files(platform, watched.row.model),
    )
    losses = losses_by_day(engine, decisions, outcomes, kind, unit)
    rows = [
        CountedDay(PERFORMANCE, day, layout, over[day], one.labelled, _vector(one))
        for day, one in losses.items()
        if day in over
    ]
    policy = watched.config.monitoring
    doubt = sqrt(log(1 / (1 - policy.confidence)) / (2 * max(holdout_rows, 1)))
    most = None if kind == "absolute" else min((value + doubt) * (1 + policy.max_decay), 0.99)
    rule = _rule(watched, PERFORMANCE, partial(_mean_loss, policy.min_label_coverage, unit), most)
    return _Stream(rule, layout, max(days)), rows


def _unit(error: float) -> float:
    """The power of ten below the holdout's error: prices and probabilities keep their digits."""
    return float(10.0 ** floor(log10(error))) if error > 0 else 1.0


def _vector(found: LossCounts) -> tuple[int, int, int]:
    return found.answered, found.labelled, found.loss


def _loss_of(watched: WatchedModel) -> "tuple[Loss, str]":
    """Which loss is watched, and the metric of the holdout that it is compared with."""
    task = watched.row.facts.task
    if task == "regression":
        return "absolute", "mae"
    if task == "multiclass":
        return "class", "wrong_label_rate"
    if watched.config.monitoring.metric in _SQUARED:
        return "squared", "brier"
    return "wrong", "wrong_label_rate"


def _mean_loss(min_coverage: float, unit: float, counts: "np.ndarray") -> float | None:
    """Mean loss of the labelled; None when too few of those that were answered are."""
    answered, labelled, loss = (float(n) for n in counts)
    if not labelled or labelled < min_coverage * answered:
        return None
    return loss * unit / 1e6 / labelled


def _rule(
    watched: WatchedModel,
    stream: str,
    effect: "Callable[[np.ndarray], float | None]",
    most: float | None = None,
) -> "StreamRule":
    from tenure.lifecycle.monitoring.streams import StreamRule

    def draw(start: int, days: int) -> float:
        said = f"{watched.row.id}|{stream}|{start}|{days}".encode()
        return (int.from_bytes(blake2b(said, digest_size=8).digest()) + 0.5) / 2**64

    return StreamRule(effect, watched.config.monitoring.min_decisions, draw, most)


def _judge(
    connection: "Connection",
    platform: Installation,
    watched: WatchedModel,
    found: Mapping[str, _Stream],
    now: datetime,
) -> str:
    """Replay every stream, keep its state, and open or close the incidents of its alarms."""
    from tenure.adapters.sql import streams

    counts = _by_stream(streams.counted(connection, watched.row.id), found)
    stored = streams.windows(connection, watched.row.id)
    share = streams.streams_served(connection) / platform.config.monitoring.pages_per_quarter
    in_force = {(one.stream, one.start): one.quarters for one in stored}
    states = {
        name: _replayed(counts[name], one, in_force, name, share) for name, one in found.items()
    }
    windows = [row for name, state in states.items() for row in _rows(name, state)]
    promised = [_promise(name, state) for name, state in states.items()]
    streams.replace_all(connection, watched.row.id, promised, windows, at=now)
    alarmed = {(one.stream, one.start) for one in stored if one.state == "alarm"}
    fresh = {(w.stream, w.start) for w in windows if w.state == "alarm"} - alarmed
    opened = _report_alarms(connection, watched, windows, fresh, now)
    many = sum(one.since is not None for one in promised)
    said = f"{many} of {len(promised)} streams promised, {opened} pages"
    _log.info("streams=%s %s", watched.name, said)
    return said


def _by_stream(
    known: "Sequence[CountedDay]", found: Mapping[str, _Stream]
) -> "dict[str, dict[int, DayCount]]":
    """Counts in today's layout by stream and day; those of all features side by side."""
    from tenure.lifecycle.monitoring.streams import DayCount

    counts: dict[str, dict[int, DayCount]] = defaultdict(dict)
    for one in known:
        if one.stream in found and found[one.stream].layout == one.layout:
            counts[one.stream][one.day.toordinal()] = DayCount(one.rows, one.counts)
    features = [name for name in found if name.startswith(FEATURE)]
    for day, first in counts[features[0]].items():
        parts = [counts[name].get(day) for name in features]
        if None not in parts:
            vector = tuple(n for part in parts if part for n in part.counts)
            counts[ALL_FEATURES][day] = DayCount(first.rows, vector)
    return counts


def _replayed(
    days: "Mapping[int, DayCount]",
    stream: _Stream,
    in_force: Mapping[tuple[str, date], float],
    name: str,
    share: float,
) -> "StreamState":
    from tenure.lifecycle.monitoring.streams import GateResult, StreamState, replay

    if stream.rule is None:
        return StreamState((), GateResult(why=stream.why))
    return replay(
        days,
        stream.rule,
        until=stream.until.toordinal(),
        quarters=lambda day: in_force.get((name, date.fromordinal(day)), share),
    )


def _rows(name: str, state: "StreamState") -> "list[StoredWindow]":
    from tenure.adapters.sql.streams import StoredWindow

    return [
        StoredWindow(
            name,
            date.fromordinal(w.start),
            w.days,
            w.rows,
            w.effect,
            w.u,
            w.quarters,
            str(w.state),
            w.log_m,
            w.log_c,
            w.is_over,
        )
        for w in state.windows
    ]


def _promise(name: str, state: "StreamState") -> "StoredStream":
    from tenure.adapters.sql.streams import StoredStream

    since = date.fromordinal(state.since) if state.since is not None else None
    gate = state.gate
    return StoredStream(name, gate.days, since, gate.by_weekend, gate.is_tested, gate.why)


def _report_alarms(
    connection: "Connection",
    watched: WatchedModel,
    windows: "Sequence[StoredWindow]",
    fresh: set[tuple[str, date]],
    now: datetime,
) -> int:
    """One incident for all alarms of a window; over when each of their streams is watched again.

    An alarm that is over when it is first seen, in a history that comes all at once, is only kept.
    One that is no alarm any more, since late rows changed its window, is over as well.
    """
    from tenure.adapters.sql import incidents, maintenance, streams

    alarms: dict[date, list[StoredWindow]] = defaultdict(list)
    for window in windows:
        if window.state == "alarm":
            alarms[_last(window)].append(window)
    prefix = f"monitoring:{watched.row.model}:{streams.STREAM_ALARM}:"
    for key in {*maintenance.open_incidents(connection, prefix)} - {f"{prefix}{d}" for d in alarms}:
        incidents.close_incident(connection, dedupe_key=key, at=now)
    opened = 0
    for day, those in alarms.items():
        key = f"{prefix}{day}"
        if all(one.is_over for one in those):
            incidents.close_incident(connection, dedupe_key=key, at=now)
            continue
        if not any((one.stream, one.start) in fresh for one in those):
            continue
        opened += 1
        incidents.open_incident(
            connection,
            dedupe_key=key,
            kind=streams.STREAM_ALARM,
            subject=watched.name,
            summary=_summary(watched, day, those, windows),
            facts={
                "model": watched.row.model,
                "day": day.isoformat(),
                "streams": [one.stream for one in _ranked(those)],
            },
            at=now,
        )
    return opened


def _summary(
    watched: WatchedModel,
    day: date,
    alarms: "Sequence[StoredWindow]",
    windows: "Sequence[StoredWindow]",
) -> str:
    over = _ranked(alarms)
    others = _ranked(
        [w for w in windows if w.state == "watched" and _last(w) == day and w not in over]
    )
    said = (
        f"{len(over)} of {watched.name}'s promised streams changed beyond chance by {day}: "
        f"{'; '.join(_words(one) for one in over[:_NAMED])}"
    )
    if len(over) > _NAMED:
        said += f"; and {len(over) - _NAMED} more"
    if others:
        said += f". Next, below their thresholds: {'; '.join(map(_words, others[:_NAMED]))}"
    return f"{said}."


def _words(one: "StoredWindow") -> str:
    """`feature temp 0.312 in 1 day, evidence 2,340 of 1,820 needed`."""
    from math import exp

    days = "1 day" if one.days == 1 else f"{one.days} days"
    effect = f"{one.effect:.3g}" if one.effect is not None else "nothing"
    return (
        f"{one.stream} {effect} in {days}, evidence {exp(min(one.log_m or 0.0, 50.0)):,.3g} of "
        f"{exp(one.log_c or 0.0):,.0f} needed"
    )


def _ranked(windows: "Sequence[StoredWindow]") -> "list[StoredWindow]":
    """The one that is furthest beyond its threshold, or nearest below, first."""
    return sorted(windows, key=lambda w: ((w.log_c or 0.0) - (w.log_m or 0.0), w.stream))


def _last(window: "StoredWindow") -> date:
    return window.start + timedelta(days=window.days - 1)


def _end(day: date) -> datetime:
    """The last moment of a day in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
