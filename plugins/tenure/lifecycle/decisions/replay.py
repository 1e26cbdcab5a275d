"""Compares a logged decision with what its version says about the same features now."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tenure.verdicts import Verdict

TOLERANCE = 1e-12
"""Scores may differ by so much, or by this part of a value beyond 1: sums of a linear model depend
on how many rows came together."""


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
        difference: Absolute difference of the two.
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
    decided: bool | None,
    score: float,
    threshold: float | None,
) -> ReplayResult:
    """Identical, within the tolerance, or different: in score or in the decision.

    A regression has neither threshold nor decision.
    """
    difference = abs(score - logged)
    now = None if threshold is None else score >= threshold
    if now != decided or not difference <= TOLERANCE * max(1.0, abs(logged)):
        found = ReplayVerdict.DIFFERENT
        why = f"logged {logged!r}{_word(decided)}, now {score!r}{_word(now)}"
    elif score == logged:
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


def _word(decided: bool | None) -> str:
    if decided is None:
        return ""
    return " and positive" if decided else " and negative"
