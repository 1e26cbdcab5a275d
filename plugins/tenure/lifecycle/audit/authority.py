"""Whether those who approved were allowed to, by the revision of `platform.yaml` in force then."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RoleRevision:
    """A revision of the file: the number of its event, its digest, approvers' case-folded names."""

    seq: int
    digest: str
    approvers: frozenset[str]


@dataclass(frozen=True)
class GivenApproval:
    """An answer: the number of its event, who gave it, and the revision that it refers to."""

    seq: int
    approver: str
    revision: str | None


def unauthorized(
    given: Sequence[GivenApproval], revisions: Sequence[RoleRevision]
) -> Iterator[tuple[GivenApproval, str]]:
    """Answers that do not count, each with the reason.

    Args:
        given: All of them.
        revisions: By number, oldest first.
    """
    for one in given:
        before = [revision for revision in revisions if revision.seq < one.seq]
        if not before or before[-1].digest != one.revision:
            yield one, "it does not refer to the platform.yaml in force then"
        elif one.approver.casefold() not in before[-1].approvers:
            yield one, "the platform.yaml in force then names no such approver"
