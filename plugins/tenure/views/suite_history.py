"""Who changed a suite, when and why.

Import it inside functions: it loads SQLAlchemy.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tenure.adapters import git_revisions
from tenure.adapters.sql import suite_proposals
from tenure.adapters.sql import suites as rows
from tenure.installation import Installation

_SECOND_OF_GIT = timedelta(microseconds=999_999)


@dataclass(frozen=True)
class SuiteRevision:
    """One revision of a suite; `why` is the commit's subject."""

    revision: str
    author: str
    at: datetime | str
    why: str


def history(platform: Installation, name: str, last: int) -> list[SuiteRevision]:
    """Revisions of a suite, newest first: its commits, or without git those that judged.

    Proposals that were accepted are among them, with the moment of the acceptance.
    """
    with platform.database.begin() as connection:
        proposals = suite_proposals.of_suite(connection, name, last)
        judged = rows.revisions(connection, name, last)
    accepted = [_accepted(one) for one in proposals if one.is_accepted]
    try:
        path = platform.settings.suites / f"{name}.json"
        others = [
            SuiteRevision(r.commit, r.author, r.at, r.why)
            for r in git_revisions.history(path, last)
        ]
    except git_revisions.NoRevision:
        known = {one.revision for one in accepted}
        others = [
            SuiteRevision(row.digest, "-", row.created_at, "judged first")
            for row in judged
            if row.digest not in known
        ]
    return sorted([*accepted, *others], key=_moment_of, reverse=True)[:last]


def _accepted(one: suite_proposals.SuiteProposal) -> SuiteRevision:
    assert one.answered_at is not None
    who = f"{one.proposed_by}, accepted by {one.answered_by}"
    return SuiteRevision(one.digest, who, one.answered_at, one.reason)


def _moment_of(one: SuiteRevision) -> datetime:
    """Git tells whole seconds: an acceptance in the second of a commit went before it."""
    if isinstance(one.at, datetime):
        return one.at
    return datetime.fromisoformat(one.at) + _SECOND_OF_GIT
