"""A trial: gateways load a version, where it is to serve, before any traffic moves to it."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from tenure.lifecycle.model_version import VersionRecord

TRIAL_SECONDS = 5.0
"""Age after which nobody waits for the answer: a gateway that starts loads no old trial."""
TRIAL_PATIENCE_SECONDS = 0.7
"""So long an asker waits for gateways before it tries by itself; most load in 0.1 to 0.3 s."""


@dataclass(frozen=True)
class Trial:
    """A question: does this version load?"""

    id: int
    row: VersionRecord


@dataclass(frozen=True)
class TrialAnswer:
    """What one gateway found.

    Args:
        gateway: Its id.
        loads: Whether the version is verified, loaded and warm there.
        cause: Why it was refused; empty when it loads.
    """

    gateway: str
    loads: bool
    cause: str = ""


def verdict(
    answers: Sequence[TrialAnswer], *, known: Set[str], is_over: bool
) -> TrialAnswer | None:
    """The answer that counts; None as long as another one may still come, or when none came.

    One gateway where it loads is enough: bytes and signature are the same everywhere, so a refusal
    beside it is about the other gateway, which keeps its plan. A refusal counts when all known
    gateways have answered, or the time is over.

    Args:
        answers: So far, oldest first.
        known: Ids of gateways that may answer.
        is_over: Whether no more are waited for.
    """
    for answer in answers:
        if answer.loads:
            return answer
    is_complete = is_over or known <= {answer.gateway for answer in answers}
    return answers[0] if answers and is_complete else None
