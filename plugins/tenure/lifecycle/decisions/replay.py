"""Compares a logged decision with what its version says about the same features now."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenure.verdicts import Verdict

TOLERANCE = 1e-12
"""Scores may differ by so much, or by this part of a value beyond 1: sums of a linear model depend
on how many rows came together."""


Ends = tuple[float, float] | None
"""Of an interval."""


class ReplayVerdict(StrEnum):
    """What a replay of one decision found."""

    IDENTICAL = "identical"
    CLOSE = "close"
    DIFFERENT = "different"
    NO_MODEL = "no_model"
    ERASED = "erased"
    GONE = "gone"
    REFUSED = "refused"
    MISSING = "missing"


GOOD = frozenset({ReplayVerdict.IDENTICAL, ReplayVerdict.CLOSE, ReplayVerdict.NO_MODEL})
"""The decision is explained; everything else is for a person."""
BAD = frozenset({ReplayVerdict.DIFFERENT, ReplayVerdict.REFUSED})
"""The log, or the artifact, is not what it was."""


@dataclass(frozen=True)
class ReplayResult:
    """One decision, scored again.

    Args:
        decision_id: Its id.
        found: What the comparison found.
        version: `model@version` that answered; empty when the decision is not known.
        logged: Score in the log.
        score: Score now; None when nothing could be scored.
        difference: Absolute difference of the two, or of two ends of their intervals if larger.
        why: For people.
    """

    decision_id: str
    found: ReplayVerdict
    version: str = ""
    logged: float | None = None
    score: float | None = None
    difference: float | None = None
    why: str = ""


def compare(
    decision_id: str,
    version: str,
    *,
    logged: float,
    decided: bool | str | None,
    score: float,
    threshold: float | None,
    answer: str | None = None,
    ends: Ends = None,
    logged_ends: Ends = None,
) -> ReplayResult:
    """Identical, within the tolerance, or different: in score, in what was decided, or interval.

    Args:
        decision_id: Of the decision.
        version: `model@version` that answered.
        logged: The score in the log.
        decided: The decision, or the class that was answered, in the log; None of a regression.
        score: The score now.
        threshold: Of a binary version.
        answer: The class that a multiclass version answers now.
        ends: Lower and upper end of a regression's interval now; None where it gives none.
        logged_ends: Those of the log.
    """
    parts = [(score, logged), *zip(ends or (), logged_ends or (), strict=False)]
    difference = max(abs(one - other) for one, other in parts)
    now = answer if threshold is None else score >= threshold
    close = all(abs(a - b) <= TOLERANCE * max(1.0, abs(b)) for a, b in parts)
    if now != decided or not close or (ends is None) != (logged_ends is None):
        found = ReplayVerdict.DIFFERENT
        then = f"{logged!r}{_word(decided)}{_between(logged_ends)}"
        why = f"logged {then}, now {score!r}{_word(now)}{_between(ends)}"
    elif all(one == other for one, other in parts):
        found, why = ReplayVerdict.IDENTICAL, ""
    else:
        found, why = ReplayVerdict.CLOSE, f"differs by {difference:.3g}"
    return ReplayResult(
        decision_id,
        found,
        version,
        logged,
        score,
        difference if math.isfinite(difference) else None,
        why,
    )


def verdict(replayed: Sequence[ReplayResult]) -> Verdict:
    """Failed by one that is bad; inconclusive when one cannot be scored again, or there is none."""
    found = {one.found for one in replayed}
    if not found.isdisjoint(BAD):
        return Verdict.FAILED
    return Verdict.PASSED if found and found <= GOOD else Verdict.INCONCLUSIVE


def _between(ends: Ends) -> str:
    return "" if ends is None else f" [{ends[0]!r}, {ends[1]!r}]"


def _word(decided: bool | str | None) -> str:
    if decided is None:
        return ""
    if isinstance(decided, str):
        return f" for class {decided!r}"
    return " and positive" if decided else " and negative"
