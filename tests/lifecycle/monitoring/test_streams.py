"""Streams over simulated days: the budget is kept, a change is found, the gate refuses and says."""

import hashlib
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from tenure.lifecycle.monitoring.streams import (
    DayCount,
    StreamRule,
    StreamState,
    WindowState,
    replay,
)

FIRST = date(2026, 1, 5).toordinal()
ROWS = 1000
UNIT = 10**6


def draw(start: int, width: int) -> float:
    digest = hashlib.blake2b(f"{start} {width}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) + 0.5) / 2**64


def rule(**changes: object) -> StreamRule:
    """Effect: the mean of a day's values."""
    wanted = {"effect": lambda c: c[1] / c[0] / UNIT, "min_rows": 500, "draw": draw} | changes
    return StreamRule(**wanted)  # type: ignore[arg-type]


def counted(values: Sequence[float], rows: int = ROWS, first: int = FIRST) -> dict[int, DayCount]:
    return {
        first + i: DayCount(rows, (rows, round(value * rows * UNIT)))
        for i, value in enumerate(values)
    }


def state(
    days: dict[int, DayCount], quarters: float = 2.0, until: int | None = None, **changes: object
) -> StreamState:
    last = max(days) if until is None else until
    return replay(days, rule(**changes), until=last, quarters=lambda _: quarters)


def alarms(found: StreamState) -> list[int]:
    return [w.start - FIRST for w in found.windows if w.state is WindowState.ALARM]


def quiet(seed: int, days: int = 150) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=days) + 10


def test_nothing_is_promised_before_sixty_windows() -> None:
    found = state(counted(quiet(1, 59)))
    assert found.since is None
    assert found.gate.why.startswith("one day: 59 of 60 windows; 2 days: 29 of 60 windows")
    assert {w.state for w in found.windows} == {WindowState.REPORTED}
    assert all(w.log_m is None and w.effect is not None for w in found.windows)


def test_a_full_history_waits_for_its_test() -> None:
    found = state(counted(quiet(1, 60)))
    assert found.gate.why == f"its history is tested next on {date.fromordinal(FIRST + 60)}"


def test_a_quiet_history_is_promised_from_then_on() -> None:
    found = state(counted(quiet(1)))
    assert (found.gate.days, found.since) == (1, FIRST + 60)
    by_state = [w.state for w in found.windows]
    assert by_state == [WindowState.REPORTED] * 60 + [WindowState.WATCHED] * 90


def test_a_change_is_one_alarm_and_the_pool_goes_back() -> None:
    values = quiet(1, 200)
    values[120:] += 6
    found = state(counted(values))
    (alarm,) = alarms(found)
    assert 120 <= alarm <= 126
    assert all(w.state is WindowState.HELD for w in found.windows[alarm + 1 :])
    assert not found.windows[alarm].is_over


def test_a_change_that_ends_is_over_and_speaks_against_the_next_promise() -> None:
    values = quiet(1, 200)
    values[152:160] += 6
    found = state(counted(values[:179]))
    (alarm,) = alarms(found)
    assert 152 <= alarm <= 158
    assert found.windows[alarm].is_over
    assert found.windows[178].state is WindowState.WATCHED
    later = state(counted(values))
    assert later.since is None
    assert later.windows[190].state is WindowState.REPORTED
    assert later.gate.why.startswith("one day: ")


def test_autocorrelated_days_are_refused_or_widened() -> None:
    noise = np.random.default_rng(3).normal(size=400)
    values = [0.0]
    for step in noise:
        values.append(0.97 * values[-1] + step)
    found = state(counted(values))
    assert found.since is None
    assert found.gate.why.startswith("one day: neighboring windows are alike, correlation 0.9")
    assert alarms(found) == []


def test_windows_that_are_all_equal_are_exchangeable() -> None:
    assert state(counted(np.full(100, 0.3)), quarters=20).since == FIRST + 60


def test_a_generous_budget_does_not_fail_the_test_of_a_quiet_history() -> None:
    """At one false alarm in half a quarter a bar of its own keeps refusals below one in ten."""
    refused = [state(counted(quiet(seed)), quarters=0.5).gate.days != 1 for seed in range(20)]
    assert sum(refused) <= 4  # 2 expected at most


def test_weekends_are_ranked_among_weekends() -> None:
    values = quiet(5, 300)
    weekend = [date.fromordinal(FIRST + i).weekday() >= 5 for i in range(300)]
    values[np.array(weekend)] += 20
    found = state(counted(values), quarters=20)
    assert found.gate.by_weekend
    assert alarms(found) == []
    values[np.flatnonzero(~np.array(weekend))[-8:]] += 20  # workdays as high as any weekend
    assert alarms(state(counted(values), quarters=20))


def test_a_window_with_too_few_rows_is_listed_and_never_passed() -> None:
    days = counted(quiet(1))
    days[FIRST + 100] = DayCount(499, (499, 0))
    days[FIRST + 101] = DayCount(500, (500, 10 * 500 * UNIT))
    days[FIRST + 102] = DayCount(0, (0, 0))  # decisions, none of which has a label
    del days[FIRST + 103]  # no decision
    found = state(days)
    few, enough, none = found.windows[100:103]
    assert (few.state, few.effect) == (WindowState.INCONCLUSIVE, None)
    before = found.windows[99].log_m
    assert few.log_m is not None
    assert before is not None
    assert few.log_m == pytest.approx(np.logaddexp(0.0, before))  # M + 1: E = 1
    assert enough.effect == 10.0
    assert none.state is WindowState.INCONCLUSIVE
    assert FIRST + 103 not in {w.start for w in found.windows}


def test_a_day_that_is_not_over_is_not_judged() -> None:
    days = counted(quiet(1, 100))
    assert state(days, until=FIRST + 98).windows == state(days).windows[:-1]


def test_the_order_of_arrival_changes_nothing() -> None:
    days = counted(quiet(1))
    backwards = dict(sorted(days.items(), reverse=True))
    assert state(days) == state(backwards)


def test_a_bet_on_the_loss_needs_no_pool() -> None:
    losses = np.full(150, 0.10)
    steady = state(counted(losses), most=0.12)
    assert alarms(steady) == []
    losses[100:] = 0.24
    (alarm,) = alarms(state(counted(losses), most=0.12))
    assert 100 < alarm < 115


def test_alarms_stay_within_the_budget() -> None:
    """5 streams, 5 pages a quarter, 240 days of which 180 are promised: 20 runs, seeded."""
    streams, pages, runs, days = 5, 5.0, 20, 240
    rng = np.random.default_rng(20261129)
    sent = []
    for _ in range(runs):
        shared = rng.normal(size=days)  # a day's own effect: streams depend on each other
        found = [
            state(counted(shared + rng.normal(size=days)), quarters=streams / pages)
            for _ in range(streams)
        ]
        sent.append(sum(len(alarms(one)) for one in found))
    allowed = pages * (days - 60) / (365.25 / 4)
    error = np.std(sent, ddof=1) / np.sqrt(runs)
    assert np.mean(sent) <= allowed + 2 * error
    assert np.mean(sent) > 0  # a test that could not fail would say nothing


def recomputed(days: dict[int, DayCount], quarters: float) -> list[tuple[int, float, float]]:
    """(day, log M, effect) of daily windows by another hand: no pool kept sorted, no logarithms.

    Only what the promised days hold: first 60 days as the pool, then one window a day.
    """
    kappas = [k / 20 for k in range(1, 20)]
    effects = {d: c.counts[1] / c.counts[0] / UNIT for d, c in sorted(days.items())}
    starts = sorted(effects)
    pool = [effects[d] for d in starts[:60]]
    m = [0.0] * len(kappas)
    history: list[tuple[int, list[float]]] = []
    found = []
    held, calm = False, 0
    c = quarters * 365.25 / 4
    for day in starts[60:]:
        w = effects[day]
        greater = sum(v > w for v in pool)
        equal = sum(v == w for v in pool)
        p = (greater + draw(day, 1) * (equal + 1)) / (len(pool) + 1)
        if held:
            calm = calm + 1 if p > 0.25 else 0
            held = calm < 3
            continue
        e = [k * p ** (k - 1) for k in kappas]
        m = [(1 + old) * new for old, new in zip(m, e, strict=True)]
        history.append((day, e))
        pool.append(w)
        mean = sum(m) / len(m)
        found.append((day, float(np.log(mean)), w))
        if mean >= c:
            best = m.index(max(m))
            sums = [0.0]
            for _, one in history:
                sums.append(sums[-1] + float(np.log(one[best])))
            first = sums.index(min(sums[:-1]))
            for other, _ in history[first:]:
                pool.remove(effects[other])
            m, history, held, calm = [0.0] * len(kappas), [], True, 0
    return found


def test_an_independent_recomputation_agrees() -> None:
    values = quiet(1, 179)
    values[152:160] += 6  # an alarm, the pool put back, held, and watched again
    days = counted(values)
    found = state(days)
    mine = [(w.start, w.log_m, w.effect) for w in found.windows if w.log_m is not None]
    theirs = recomputed(days, 2.0)
    assert len(mine) == len(theirs) > 90
    for one, other in zip(mine, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)
    assert all(a[0] < b[0] for a, b in pairwise(mine))
