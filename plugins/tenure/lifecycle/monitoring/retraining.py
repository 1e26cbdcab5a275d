"""One controller that decides for every model whether to retrain, and says why or why not.

It looks at what is, never at what happened: the newest results, the published batches, the
requests. So it may be woken at any time, by anything, and gives the same answer twice.

A model is retrained on data that holds what went wrong. Batches come by themselves, in any order
and perhaps in the middle of a decision, so a reason alone is not enough: the batches must be new,
reach the end of the window that first failed, and leave no hole among themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from pydantic import Field

from tenure.errors import GateInconclusive
from tenure.lifecycle.policy import Policy
from tenure.lifecycle.training import PublishedSnapshot, choose_snapshots
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import State

IN_PLAY = frozenset(State) - {State.DRAFT, State.TRAINED, State.REJECTED}
"""A model with a version in one of these has had its first version."""
UNDER_WAY = frozenset({State.VALIDATED, State.APPROVED, State.CANARY})
"""Not a trained one: while its run lives its request is open, and a run that died leaves it so."""
_HOLE = 1.5
"""Between two batches more than this many times the longest other distance is a missing batch."""


class RetrainingPolicy(Policy):
    """What asks for retraining and what holds it back."""

    on_performance: bool = True
    """Whether worse performance asks for retraining."""
    on_drift: bool = False
    """Drift alone asks for a look (`investigate`), not for retraining, unless this is set."""
    new_batches: int | None = Field(default=None, ge=1)
    """Published batches since the last training that ask for retraining by themselves."""
    max_age_days: int | None = Field(default=None, ge=1)
    """Age of the last training that asks for retraining by itself."""
    cooldown_hours: float = Field(default=24.0, ge=0.0)
    """No second request within this time of the last one (wall clock)."""
    catch_up_hours: float = Field(default=24.0, ge=0.0)
    """How far the newest batch may end before the window that failed (event time)."""
    frozen: bool = False
    """Nothing is retrained while this is set."""


class RetrainAction(StrEnum):
    """What the controller does about a model."""

    RETRAIN = "retrain"
    HOLD = "hold"
    """There is a reason, and something that must change first."""
    INVESTIGATE = "investigate"
    """A person should look; no retraining."""
    NOTHING = "nothing"


@dataclass(frozen=True)
class VersionHistory:
    """A version, as far as retraining asks."""

    version: int
    state: State
    snapshots: frozenset[str]
    """Digests that it was trained on."""
    at: datetime


@dataclass(frozen=True)
class MonitoringResult:
    """A monitoring result of the champion; `until` in event time."""

    kind: str
    verdict: Verdict
    until: datetime
    summary: str


@dataclass(frozen=True)
class RetrainRequest:
    """The newest retrain request; `is_open` until its training ended."""

    id: int
    is_open: bool
    at: datetime


@dataclass(frozen=True)
class Situation:
    """Everything that a decision rests on.

    Args:
        model: Name.
        now: Wall clock.
        versions: All of the model, newest first.
        results: Of the champion, newest window first.
        published: Snapshots of the dataset.
        window_batches: Batches that a training takes.
        asked: The newest request, if any.
    """

    model: str
    now: datetime
    versions: Sequence[VersionHistory]
    results: Sequence[MonitoringResult]
    published: Sequence[PublishedSnapshot]
    window_batches: int
    asked: RetrainRequest | None


@dataclass(frozen=True)
class RetrainDecision:
    """What to do about a model, in one sentence with numbers; `code` is the reason, if any."""

    action: RetrainAction
    code: str
    sentence: str
    needs_until: datetime | None = None
    """Event time that the batches must reach before this reason may retrain."""


def decide(policy: RetrainingPolicy, seen: Situation) -> RetrainDecision:
    """The first reason that holds, unless something holds it back."""
    reason = next(_reasons(policy, seen))
    if reason.action is not RetrainAction.RETRAIN:
        return reason
    obstacle = next(_obstacles(policy, seen, reason), None)
    if obstacle is not None:
        return RetrainDecision(
            RetrainAction.HOLD, reason.code, f"{reason.sentence} Held back: {obstacle}."
        )
    batches = ", ".join(s.batch for s in _newest(seen))
    return RetrainDecision(
        RetrainAction.RETRAIN, reason.code, f"{reason.sentence} Trains on {batches}."
    )


def report(seen: Situation, decision: RetrainDecision) -> Report:
    """The decision as evidence; a reason that is held back or needs a look is inconclusive."""
    settled = decision.action in (RetrainAction.RETRAIN, RetrainAction.NOTHING)
    return Report(
        stage="retraining",
        subject=seen.model,
        verdict=Verdict.PASSED if settled else Verdict.INCONCLUSIVE,
        summary=decision.sentence,
        facts={
            "action": str(decision.action),
            "reason_code": decision.code,
            "newest_version": seen.versions[0].version if seen.versions else None,
            "batches": sorted({s.batch for s in seen.published}),
        },
        enforced=False,
    )


def _reasons(policy: RetrainingPolicy, seen: Situation) -> Iterator[RetrainDecision]:
    if any(v.state in IN_PLAY for v in seen.versions):
        yield from _later_versions(policy, seen)
    else:
        yield _first_version(seen)


def _later_versions(policy: RetrainingPolicy, seen: Situation) -> Iterator[RetrainDecision]:
    performance = _newest_result(seen, "performance")
    if policy.on_performance and performance and performance.verdict is Verdict.FAILED:
        since = _first_failure(seen, "performance")
        yield RetrainDecision(
            RetrainAction.RETRAIN, "performance", performance.summary, since.until
        )
    drift = _newest_result(seen, "drift")
    drifted = drift is not None and drift.verdict is Verdict.FAILED
    if drift and drifted and policy.on_drift:
        since = _first_failure(seen, "drift")
        yield RetrainDecision(RetrainAction.RETRAIN, "drift", drift.summary, since.until)
    yield from _calendar(policy, seen)
    if drift and drifted:
        told = (
            f"{drift.summary} Drift alone does not retrain (on_drift is off): look at the report."
        )
        yield RetrainDecision(RetrainAction.INVESTIGATE, "drift", told)
    yield RetrainDecision(RetrainAction.NOTHING, "", _quiet(policy, seen, performance))


def _first_version(seen: Situation) -> RetrainDecision:
    count = len({s.batch for s in seen.published})
    if count < seen.window_batches:
        return RetrainDecision(
            RetrainAction.NOTHING,
            "",
            f"No version yet, and {count} of the {seen.window_batches} batches that training "
            "needs are published.",
        )
    told = (
        f"No version is in play and {count} batches are published ({seen.window_batches} needed)."
    )
    return RetrainDecision(RetrainAction.RETRAIN, "first_version", told)


def _calendar(policy: RetrainingPolicy, seen: Situation) -> Iterator[RetrainDecision]:
    fresh, days = len(_new_batches(seen)), (seen.now - seen.versions[0].at).days
    if policy.new_batches is not None and fresh >= policy.new_batches:
        told = (
            f"{fresh} batches are new since the last training ({policy.new_batches} ask for one)."
        )
        yield RetrainDecision(RetrainAction.RETRAIN, "new_batches", told)
    if policy.max_age_days is not None and days >= policy.max_age_days:
        told = f"The newest version is {days} days old (at most {policy.max_age_days})."
        yield RetrainDecision(RetrainAction.RETRAIN, "age", told)


def _quiet(policy: RetrainingPolicy, seen: Situation, performance: MonitoringResult | None) -> str:
    told = performance.summary if performance else "Performance was not judged yet."
    fresh, days = len(_new_batches(seen)), (seen.now - seen.versions[0].at).days
    asked = (
        "" if policy.new_batches is None else f" (of {policy.new_batches} that ask for training)"
    )
    limit = "" if policy.max_age_days is None else f" of at most {policy.max_age_days}"
    return f"No reason to retrain. {told} {fresh} new batches{asked}; {days} days old{limit}."


def _obstacles(policy: RetrainingPolicy, seen: Situation, reason: RetrainDecision) -> Iterator[str]:
    """What must change first, the plainest first."""
    if policy.frozen:
        yield "retraining of this model is frozen in its YAML"
    if seen.asked and seen.asked.is_open:
        yield f"request {seen.asked.id} is not finished yet"
    under_way = [v for v in seen.versions if v.state in UNDER_WAY]
    if under_way:
        yield f"version {under_way[0].version} is under way ({under_way[0].state})"
    if seen.asked:
        free_at = seen.asked.at + timedelta(hours=policy.cooldown_hours)
        if seen.now < free_at:
            yield f"cooldown since request {seen.asked.id} until {free_at:%Y-%m-%d %H:%M:%S} UTC"
    yield from _missing_data(policy, seen, reason)


def _missing_data(
    policy: RetrainingPolicy, seen: Situation, reason: RetrainDecision
) -> Iterator[str]:
    chosen = _newest(seen)
    if chosen:
        yield from _unfit_data(policy, seen, reason, chosen)
    else:
        count = len({s.batch for s in seen.published})
        yield f"{count} of the {seen.window_batches} batches that training needs are published"


def _unfit_data(
    policy: RetrainingPolicy,
    seen: Situation,
    reason: RetrainDecision,
    chosen: Sequence[PublishedSnapshot],
) -> Iterator[str]:
    newest = seen.versions[0] if seen.versions else None
    if newest and {s.digest for s in chosen} == newest.snapshots:
        batches = ", ".join(s.batch for s in chosen)
        yield f"nothing new to learn from, version {newest.version} is trained on {batches}"
    reached = chosen[-1].time_max
    if reason.needs_until and reached:
        needed = reason.needs_until - timedelta(hours=policy.catch_up_hours)
        if reached < needed:
            yield (
                f"waiting for batches up to {reason.needs_until:%Y-%m-%d %H:%M}, published up to "
                f"{reached:%Y-%m-%d %H:%M}"
            )
    hole = _hole(seen, chosen)
    if hole:
        yield f"waiting for a batch that seems to be missing between {hole[0]} and {hole[1]}"


def _newest(seen: Situation) -> tuple[PublishedSnapshot, ...]:
    """What a training would take now; nothing when there are too few."""
    try:
        return choose_snapshots(
            seen.published, dataset=seen.model, window_batches=seen.window_batches
        )
    except GateInconclusive:
        return ()


def _hole(seen: Situation, chosen: Sequence[PublishedSnapshot]) -> tuple[str, str] | None:
    """Two neighbors among the chosen batches that lie further apart than batches ever did."""
    ends = {s.batch: s.time_max for s in seen.published if s.time_max}
    ordered = sorted(ends, key=lambda batch: ends[batch])
    distances = {(a, b): ends[b] - ends[a] for a, b in pairwise(ordered)}
    wanted = {s.batch for s in chosen}
    for pair, distance in distances.items():
        others = [d for other, d in distances.items() if other != pair]
        if pair[1] in wanted and others and distance > _HOLE * max(others):
            return pair
    return None


def _new_batches(seen: Situation) -> list[PublishedSnapshot]:
    """Snapshots published after the youngest that the newest version was trained on."""
    known = [s.id for s in seen.published if s.digest in seen.versions[0].snapshots]
    return [s for s in seen.published if s.id > max(known, default=0)]


def _newest_result(seen: Situation, kind: str) -> MonitoringResult | None:
    """The newest window that could be judged."""
    judged = (r for r in seen.results if r.kind == kind and r.verdict is not Verdict.INCONCLUSIVE)
    return next(judged, None)


def _first_failure(seen: Situation, kind: str) -> MonitoringResult:
    """The oldest window of the unbroken row of failures that lasts until now."""
    oldest = None
    for result in seen.results:
        if result.kind != kind or result.verdict is Verdict.INCONCLUSIVE:
            continue
        if result.verdict is Verdict.PASSED:
            break
        oldest = result
    assert oldest is not None
    return oldest
