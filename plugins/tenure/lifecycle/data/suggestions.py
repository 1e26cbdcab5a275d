"""Expectations that history would justify, beside what the suite asks already."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tenure.lifecycle.data.expectations import Expectation, Suite, allowed, topic
from tenure.lifecycle.data.profiling import Proposal
from tenure.lifecycle.data.suite_changes import SuiteChangeKind, direction


class SuggestionState(StrEnum):
    """How a proposal compares with the suite."""

    NEW = "new"
    """The suite has no such rule for the column."""
    TIGHTER = "tighter"
    """The proposal would let less pass than the suite does."""
    LOOSER = "looser"
    OTHER = "other"
    """Neither only tighter nor only looser."""
    COVERED = "covered"
    """The suite asks the same."""


_STANDING = {
    None: SuggestionState.COVERED,
    SuiteChangeKind.LOOSENED: SuggestionState.LOOSER,
    SuiteChangeKind.TIGHTENED: SuggestionState.TIGHTER,
    SuiteChangeKind.CHANGED: SuggestionState.OTHER,
}


@dataclass(frozen=True)
class Suggestion:
    """A proposal and what the suite says today; `today` is empty when it says nothing."""

    proposal: Proposal
    standing: SuggestionState
    words: str
    """`temp, nulls: at most 2.1%`."""
    today: str

    def __str__(self) -> str:
        today = f" (the suite allows {self.today})" if self.today else ""
        return f"{self.standing}: {self.words}{today}. {self.proposal.evidence}"


def beside(proposals: Iterable[Proposal], suite: Suite) -> list[Suggestion]:
    """Each proposal with its standing: new ones first, what is covered last."""
    found = [_beside(proposal, suite) for proposal in proposals]
    order = list(SuggestionState)
    return sorted(found, key=lambda suggestion: order.index(suggestion.standing))


def _beside(proposal: Proposal, suite: Suite) -> Suggestion:
    """Of several rules of one kind and column the one that asks the same counts, else the first."""
    wanted = Expectation("", proposal.type, proposal.kwargs, proposal.severity)
    words = f"{topic(wanted)}: {allowed(wanted)}"
    place = (wanted.type, wanted.subject)
    present = [e for e in suite.expectations if (e.type, e.subject) == place]
    if not present:
        return Suggestion(proposal, SuggestionState.NEW, words, "")
    nearest = next((e for e in present if direction(e, wanted) is None), present[0])
    return Suggestion(proposal, _STANDING[direction(nearest, wanted)], words, allowed(nearest))
