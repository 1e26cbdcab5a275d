"""What the next step of a canary waits for, and when it can come at the present traffic."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tenure.lifecycle.promotion.canary import CanaryPolicy
from tenure.lifecycle.promotion.event_rates import e_words

RECENT = 20
"""Analyses at the present share over which the pace is measured."""

_FARTHEST = timedelta(days=365)


@dataclass(frozen=True)
class PastAnalysis:
    """An analysis as it is stored: its share, its moment, and the facts of its judgement."""

    share_bp: int
    at: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class CanaryWait:
    """One thing that the next step needs.

    Args:
        what: With what there is and what it takes.
        at: When it can be there at the earliest; None where that cannot be estimated.
        why: How that was estimated, or why it cannot be.
    """

    what: str
    at: datetime | None
    why: str


def waits_for(
    policy: CanaryPolicy, analyses: Sequence[PastAnalysis], now: datetime
) -> list[CanaryWait]:
    """What is missing at the present share for the next one, or for the promotion.

    Subjects come at the pace of the last analyses at this share, and the logarithm of an e-value
    grows by that of theirs: on average it does so straight, a single run goes up and down.

    Args:
        policy: Of the canary.
        analyses: The canary's, in their order.
        now: What is due by then is due now.
    """
    if not analyses:
        return []
    last = analyses[-1]
    recent = [one for one in analyses if one.share_bp == last.share_bp][-RECENT:]
    found = _subjects(policy, recent, now)
    if last.share_bp < policy.observed_shares[-1]:
        return found
    found += [
        wait
        for place, metric in enumerate(last.facts["metrics"])
        if metric["required"] and not metric["safe"]
        for wait in _of_metric(policy, recent, place, now)
    ]
    return found + _of_groups(recent, now)


def _subjects(
    policy: CanaryPolicy, recent: Sequence[PastAnalysis], now: datetime
) -> list[CanaryWait]:
    have = int(recent[-1].facts["step_subjects"])
    if have >= policy.min_step_subjects:
        return []
    what = f"{have:,} of {policy.min_step_subjects:,} subjects of the challenger at this share"
    counts = [float(one.facts["step_subjects"]) for one in recent]
    return [_wait(what, recent, counts, policy.min_step_subjects, now, "subjects")]


def _of_metric(
    policy: CanaryPolicy, recent: Sequence[PastAnalysis], place: int, now: datetime
) -> list[CanaryWait]:
    metrics = [one.facts["metrics"][place] for one in recent]
    last, event = metrics[-1], str(metrics[-1]["event"]).replace("_", " ")
    configured = next((m for m in policy.metrics if m.event == last["event"]), None)
    found = []
    need = configured.min_subjects if configured else 0
    if last["canary_subjects"] < need:
        what = f"{last['canary_subjects']:,} of {need:,} subjects of the challenger for {event}"
        counts = [float(one["canary_subjects"]) for one in metrics]
        found.append(_wait(what, recent, counts, need, now, "subjects"))
    limit = 1 / policy.alpha
    if last["log_safe"] < math.log(limit):
        what = (
            f"evidence of safety on {event}: E = {e_words(last['log_safe'])} of {limit:g}, that "
            f"the challenger has less than {last['margin']:g} times the champion's"
        )
        logs = [float(one["log_safe"]) for one in metrics]
        found.append(_wait(what, recent, logs, math.log(limit), now, ""))
    return found


def _of_groups(recent: Sequence[PastAnalysis], now: datetime) -> list[CanaryWait]:
    """Those that are too small to pass, where that holds the canary."""
    judged = recent[-1].facts.get("groups")
    if not judged or judged["small_groups"] != "hold":
        return []
    need, found = judged["min_subjects"], []
    for row in judged["rows"]:
        if row["unjudged"]:
            found.append(CanaryWait(row["name"], None, f"not judged: {row['unjudged']}"))
        elif row["is_small"]:
            what = (
                f"{row['canary_subjects']:,} of {need:,} subjects of the challenger, {row['name']}"
            )
            counts = [_subjects_of(one, row["name"]) for one in recent]
            found.append(_wait(what, recent, counts, need, now, "subjects"))
    return found


def _subjects_of(one: PastAnalysis, name: str) -> float:
    rows = (one.facts.get("groups") or {"rows": ()})["rows"]
    return next((float(row["canary_subjects"]) for row in rows if row["name"] == name), 0.0)


def _wait(  # noqa: PLR0917 -- one row of a table
    what: str,
    recent: Sequence[PastAnalysis],
    values: Sequence[float],
    need: float,
    now: datetime,
    unit: str,
) -> CanaryWait:
    """By a straight line through the first and the last of the recent analyses."""
    seconds = (recent[-1].at - recent[0].at).total_seconds()
    gained = values[-1] - values[0]
    if seconds <= 0:
        return CanaryWait(what, None, "not to be estimated from one analysis at this share")
    over = f"in the last {_span(seconds)} at this share"
    if gained <= 0:
        had = f"no {unit} came" if unit else "the evidence did not grow"
        return CanaryWait(what, None, f"not to be estimated: {had} {over}")
    pace = gained / seconds
    left = (need - values[-1]) / pace
    if left > _FARTHEST.total_seconds():
        return CanaryWait(what, None, f"more than a year at the pace {over}")
    at = recent[-1].at + timedelta(seconds=left)
    grew = f"{pace * 3600:,.0f} {unit} an hour" if unit else "it grew"
    says = f"{grew} {over}" if unit else f"as {grew} {over}; it goes up and down"
    return CanaryWait(what, max(at, now), says)


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
