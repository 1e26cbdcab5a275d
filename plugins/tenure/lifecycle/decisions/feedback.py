"""What people think of decisions: accepted, overridden or wrong, each with its reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class FeedbackVerdict(StrEnum):
    """What somebody thinks of one decision."""

    ACCEPT = "accept"
    """It was followed."""
    OVERRIDE = "override"
    """Something else was done."""
    WRONG = "wrong"
    """It was wrong, whatever was done."""

    @property
    def needs_reason(self) -> bool:
        """Whether nothing can be learnt from it without a reason."""
        return self is not FeedbackVerdict.ACCEPT


class FeedbackState(StrEnum):
    """Whether feedback has found its decision."""

    WAITING = "waiting"
    """Its decision may not be shipped yet."""
    JOINED = "joined"
    """Its decision is known."""
    UNMATCHED = "unmatched"
    """No one decision is meant; it is kept, and looked for ever more rarely."""


MATCHED_WITHIN = timedelta(hours=1)
"""A gateway ships within seconds; feedback that is older and has no decision is reported."""


@dataclass(frozen=True)
class FeedbackSum:
    """Where all feedback about a model is: given = counted + replaced + waiting + unmatched.

    Args:
        counted: The newest of each person, or client, about each decision.
        replaced: Of the same one about the same decision, and older.
        waiting: Their decisions may not be shipped yet.
        unmatched: They name no one decision.
    """

    counted: int = 0
    replaced: int = 0
    waiting: int = 0
    unmatched: int = 0

    @property
    def given(self) -> int:
        """All that ever came."""
        return self.counted + self.replaced + self.waiting + self.unmatched


MOST_REASONS = 5


def grouped_reasons(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """The reasons that come most often, with how often; case, spaces and a last dot do not count.

    Each is written as it came first; erased ones are left out.

    >>> grouped_reasons(["It snowed.", "it  snowed", "Strike", ""])
    [('It snowed.', 2), ('Strike', 1)]
    """
    written: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for reason in reasons:
        key = " ".join(reason.casefold().split()).rstrip(".!")
        if key:
            written.setdefault(key, reason)
            counts[key] += 1
    return [(written[key], number) for key, number in counts.most_common(MOST_REASONS)]
