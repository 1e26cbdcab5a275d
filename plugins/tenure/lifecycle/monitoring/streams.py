"""Streams: one number a window, watched for ever, and paged about only when that was earned.

A stream is *promised* when its own history passed a test: `MIN_WINDOWS` windows with enough rows,
neighbors that are not alike, the first third taken as the pool, and no alarm of the detector over
the rest. Where days follow each other too closely for that, windows of 2, 4, 7 and 14 days are
tried. What passes none is only reported, with the reason. The gate is asked again each `GATE_DAYS`
days, about the whole history: a change that ended by itself speaks against the next promise.

After an alarm the windows of the change leave the pool, and the stream is *held*: it raises no
further alarm before `CALM` windows in a row look as before. So one change is one alarm.

State is a pure function of what was counted on each day. A window that is judged again, late, or
after a restart therefore leaves the same state.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from math import log

import numpy as np

from tenure.lifecycle.monitoring.evidence import (
    NOTHING,
    add,
    change_start,
    level,
    levels,
    loss_evidence,
    rank,
    rank_evidence,
    threshold,
)

WIDTHS = (1, 2, 4, 7, 14)
"""Days of a window; the first of these that passes the test is taken."""
MIN_WINDOWS = 60
"""With so many before it a window that beats them all says 5 : 1 against no change."""
GATE_DAYS = 30
GATE_ERROR = 0.1
"""How often the detector refuses a history in control, at most, whatever the budget is."""
CALM = 3
CALM_RANK = 0.25
"""In control three windows in a row rank above this after about six; shifted ones never do."""
MOST_ALIKE = 2.0
"""Standard errors of that correlation above which windows are no longer taken for exchangeable."""
MIN_STRATUM = 30
"""Windows of each kind of day before weekends are ranked among weekends."""
STRATA_SHARE = 0.2
"""Of the effects' variance: what weekends must explain for that."""


class WindowState(StrEnum):
    """What became of a window of a stream."""

    REPORTED = "reported"
    """Nothing is promised yet: it has an effect size, and never pages."""
    WATCHED = "watched"
    """The detector took it."""
    INCONCLUSIVE = "inconclusive"
    """Too few rows: it says neither yes nor no (E = 1)."""
    ALARM = "alarm"
    """With it the detector reached its threshold."""
    HELD = "held"
    """It follows an alarm, before the stream looked again as before."""


_WAITING = (WindowState.HELD, WindowState.INCONCLUSIVE)


@dataclass(frozen=True)
class DayCount:
    """What was counted of a stream on one day; a window is a sum of days."""

    rows: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class StreamRule:
    """How a stream's windows are read.

    Args:
        effect: Effect size of summed counts; None when they say too little.
        min_rows: Below so many rows a window is inconclusive.
        draw: A number in (0, 1) for the window of this first day and width, always the same.
        most: Mean loss that is accepted; None: windows are ranked among those before.
    """

    effect: Callable[[np.ndarray], float | None]
    min_rows: int
    draw: Callable[[int, int], float]
    most: float | None = None


@dataclass(frozen=True)
class StreamWindow:
    """One window of a stream: what it is in effect, and the detector after it.

    Args:
        start: Its first day, as a proleptic ordinal.
        days: How many it has.
        rows: What it was computed from.
        effect: Effect size; None when there are too few rows.
        u: Drawn for it once: settles ties of ranks.
        quarters: In how many quarters the stream may raise one false alarm; in force then.
        state: What became of it.
        log_m: Of the detector after it, or at its alarm; None where it does not run.
        log_c: The threshold.
        is_over: Of an alarm: whether the stream looked again as before, later.
    """

    start: int
    days: int
    rows: int
    effect: float | None
    u: float
    quarters: float
    state: WindowState = WindowState.REPORTED
    log_m: float | None = None
    log_c: float | None = None
    is_over: bool = False

    @property
    def last(self) -> int:
        """Its last day."""
        return self.start + self.days - 1


@dataclass(frozen=True)
class GateResult:
    """Whether a stream may be promised, by its history: at which width, or why not.

    It was tested when there were enough windows of any width.
    """

    days: int | None = None
    by_weekend: bool = False
    why: str = ""
    is_tested: bool = False


@dataclass(frozen=True)
class StreamState:
    """A stream after all its windows.

    Args:
        windows: Oldest first; those before the promise are of one day.
        gate: What the gate said last.
        since: First day that the promise of this width covers; None without a promise.
    """

    windows: tuple[StreamWindow, ...]
    gate: GateResult
    since: int | None = None


@dataclass
class _Detector:
    """Runs over windows of one width, in order."""

    rule: StreamRule
    by_weekend: bool
    pools: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    log_m: np.ndarray = field(default_factory=NOTHING.copy)
    taken: list[tuple[StreamWindow, np.ndarray]] = field(default_factory=list)
    calm: int | None = None
    """Windows in a row that look as before, while it is held."""
    out: list[StreamWindow] = field(default_factory=list)
    """Windows of changes: they are in no pool."""

    def learn(self, windows: Iterable[StreamWindow]) -> None:
        """Take windows for the pool without judging them."""
        for window in windows:
            if window.effect is not None:
                insort(self._pool(window), window.effect)

    def step(self, window: StreamWindow) -> StreamWindow:
        """The window judged, and the detector moved on."""
        if window.effect is None:
            if not self.is_held:
                self._take(window, np.zeros_like(NOTHING))
            return self._judged(window, WindowState.INCONCLUSIVE)
        sign = self.sign(window, window.effect)
        if self.calm is not None:
            self.out.append(window)
            found = self._judged(window, WindowState.HELD)
            calm = self.calm + 1 if self._is_calm(sign) else 0
            self.calm = None if calm == CALM else calm
            return found
        self._take(window, self.evidence(sign))
        self.learn([window])
        if level(self.log_m) < threshold(window.quarters, window.days):
            return self._judged(window, WindowState.WATCHED)
        found = self._judged(window, WindowState.ALARM)
        self._alarm()
        return found

    def sign(self, window: StreamWindow, effect: float) -> float:
        """What evidence is computed from: the rank among those before, or the loss itself."""
        if self.rule.most is not None:
            return effect
        return rank(effect, self._pool(window), window.u)

    def evidence(self, sign: float | np.ndarray) -> np.ndarray:
        """Logarithms of the e-values; one row for each sign of a column."""
        most = self.rule.most
        return rank_evidence(sign) if most is None else loss_evidence(sign, most)

    def _is_calm(self, sign: float) -> bool:
        most = self.rule.most
        return sign > CALM_RANK if most is None else sign <= most

    @property
    def is_held(self) -> bool:
        """Whether it waits for the stream to look as before."""
        return self.calm is not None

    def _judged(self, window: StreamWindow, state: WindowState) -> StreamWindow:
        log_m = None if self.is_held else level(self.log_m)
        log_c = threshold(window.quarters, window.days)
        return replace(window, state=state, log_m=log_m, log_c=log_c)

    def _pool(self, window: StreamWindow) -> list[float]:
        return self.pools[self.by_weekend and _is_weekend(window.start)]

    def _take(self, window: StreamWindow, log_e: np.ndarray) -> None:
        self.log_m = add(self.log_m, log_e)
        self.taken.append((window, log_e))

    def _alarm(self) -> None:
        """The pool goes back to before the change; the detector begins anew, held."""
        first = change_start([log_e for _, log_e in self.taken], self.log_m)
        for window, _ in self.taken[first:]:
            if window.effect is not None:
                pool = self._pool(window)
                del pool[bisect_left(pool, window.effect)]
            self.out.append(window)
        self.log_m, self.taken, self.calm = NOTHING.copy(), [], 0


def replay(
    days: Mapping[int, DayCount],
    rule: StreamRule,
    *,
    until: int,
    quarters: Callable[[int], float],
) -> StreamState:
    """The stream's windows, and what it may promise, by all that was counted.

    Args:
        days: What was counted, by ordinal of the day.
        rule: How it is read.
        until: The last day that is over: later ones are not looked at.
        quarters: Quarters for one false alarm that were in force at a day.
    """
    by_width = {width: _windows(days, rule, width, until, quarters) for width in WIDTHS}
    gate, since = GateResult(why="no day is over yet"), None
    if not by_width[1]:
        return StreamState((), gate)
    found: list[StreamWindow] = []
    detector: _Detector | None = None
    out: list[StreamWindow] = []
    done = by_width[1][0].start - 1
    for begin in range(done + 1, until + 1, GATE_DAYS):
        history = {
            width: [w for w in windows if w.last < begin] for width, windows in by_width.items()
        }
        is_held = detector is not None and detector.is_held
        asked = gate if is_held else judge_history(history, rule)
        if (asked.days, asked.by_weekend) != (gate.days, gate.by_weekend):
            detector, since = None, None
        gate = asked
        if gate.days is not None and detector is None:
            detector, since = _Detector(rule, gate.by_weekend), begin
            detector.learn(w for w in history[gate.days] if not _within(w, out))
        for window in by_width[gate.days or 1]:
            if begin <= window.last < begin + GATE_DAYS and window.start > done:
                found.append(detector.step(window) if detector else _reported(window))
                done = window.last
        out += [w for w in detector.out if w not in out] if detector else []
    if gate.days is None:
        tested = f"its history is tested next on {date.fromordinal(begin + GATE_DAYS):%Y-%m-%d}"
        gate = replace(gate, why=judge_history(by_width, rule).why or tested)
    return StreamState(tuple(_with_ends(found)), gate, since)


def judge_history(history: Mapping[int, Sequence[StreamWindow]], rule: StreamRule) -> GateResult:
    """The narrowest windows over whose own history the detector is silent, or why there are none.

    Args:
        history: Windows of the past, by width.
        rule: How they are read.
    """
    reasons, is_tested = [], False
    for width in WIDTHS:
        windows = [w for w in history[width] if w.effect is not None]
        if len(windows) < MIN_WINDOWS:
            reasons.append(f"{_days(width)}: {len(windows)} of {MIN_WINDOWS} windows")
            continue
        is_tested = True
        by_weekend = rule.most is None and width == 1 and _weekends_differ(windows)
        alike = _alike(windows, by_weekend=by_weekend)
        if rule.most is None and alike > MOST_ALIKE / len(windows) ** 0.5:
            reasons.append(
                f"{_days(width)}: neighboring windows are alike, correlation {alike:.2f}"
            )
            continue
        alarm = _first_alarm(windows, rule, by_weekend=by_weekend)
        if alarm is None:
            return GateResult(width, by_weekend, is_tested=True)
        day = date.fromordinal(alarm.last)
        reasons.append(f"{_days(width)}: its own history raised an alarm on {day:%Y-%m-%d}")
    return GateResult(why="; ".join(reasons), is_tested=is_tested)


def _alike(windows: Sequence[StreamWindow], *, by_weekend: bool) -> float:
    """Correlation of the ranks of neighboring windows; 0 in expectation when exchangeable."""
    effects = np.array([window.effect for window in windows], dtype=float)
    _, which, many = np.unique(effects, return_inverse=True, return_counts=True)
    place = (np.cumsum(many) - (many - 1) / 2)[which]  # equal ones share their mean rank
    if by_weekend:
        weekend = np.array([_is_weekend(window.start) for window in windows])
        for part in (weekend, ~weekend):
            place[part] -= place[part].mean()
    place -= place.mean()
    total = float(place @ place)
    return float(place[1:] @ place[:-1]) / total if total else 0.0


def _first_alarm(
    windows: Sequence[StreamWindow], rule: StreamRule, *, by_weekend: bool
) -> StreamWindow | None:
    """Where a detector that took the first third as its pool would raise an alarm."""
    detector = _Detector(rule, by_weekend)
    third = len(windows) // 3
    detector.learn(windows[:third])
    signs = []
    for window in windows[third:]:
        signs.append(detector.sign(window, window.effect or 0.0))
        detector.learn([window])
    log_es = detector.evidence(np.array(signs)[:, None])
    fair = log(len(signs) / GATE_ERROR)
    over = np.flatnonzero(levels(log_es) >= fair)
    return windows[third + int(over[0])] if len(over) else None


def _windows(
    days: Mapping[int, DayCount],
    rule: StreamRule,
    width: int,
    until: int,
    quarters: Callable[[int], float],
) -> list[StreamWindow]:
    """Windows that are over, of days on which something was decided; the first is whole."""
    first = min(days, default=0)
    members: dict[int, list[DayCount]] = {}
    for day, count in sorted(days.items()):
        start = day - day % width
        if start >= first and start + width - 1 <= until:
            members.setdefault(start, []).append(count)
    found = []
    for start, counted in members.items():
        rows = sum(one.rows for one in counted)
        total = np.sum([one.counts for one in counted], axis=0, dtype=float)
        effect = rule.effect(total) if rows >= rule.min_rows else None
        draw = rule.draw(start, width)
        found.append(StreamWindow(start, width, rows, effect, draw, quarters(start)))
    return found


def _reported(window: StreamWindow) -> StreamWindow:
    if window.effect is None:
        return replace(window, state=WindowState.INCONCLUSIVE)
    return window


def _with_ends(found: Sequence[StreamWindow]) -> list[StreamWindow]:
    """An alarm is over when a later window is neither held nor inconclusive."""
    last = max((i for i, w in enumerate(found) if w.state not in _WAITING), default=-1)
    return [
        replace(w, is_over=i < last) if w.state is WindowState.ALARM else w
        for i, w in enumerate(found)
    ]


def _weekends_differ(windows: Sequence[StreamWindow]) -> bool:
    """Whether Saturday and Sunday carry more than `STRATA_SHARE` of the effects' variance."""
    parts: dict[bool, list[float]] = {False: [], True: []}
    for window in windows:
        if window.effect is not None:
            parts[_is_weekend(window.start)].append(window.effect)
    if min(map(len, parts.values())) < MIN_STRATUM:
        return False
    every = np.concatenate([np.array(part) for part in parts.values()])
    between = sum(len(p) * (np.mean(p) - every.mean()) ** 2 for p in parts.values()) / len(every)
    return bool(between > STRATA_SHARE * every.var())


def _is_weekend(day: int) -> bool:
    return date.fromordinal(day).weekday() >= 5


def _within(window: StreamWindow, out: Sequence[StreamWindow]) -> bool:
    return any(window.start <= one.last and one.start <= window.last for one in out)


def _days(width: int) -> str:
    return "one day" if width == 1 else f"{width} days"
