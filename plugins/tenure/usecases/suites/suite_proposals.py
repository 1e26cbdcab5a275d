"""A change of a suite is proposed by a steward, and answered by a second person.

Import it inside functions: it loads SQLAlchemy.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from tenure.adapters import git_revisions
from tenure.adapters.sql import data
from tenure.adapters.sql import suite_proposals as rows
from tenure.adapters.sql.suite_proposals import NewProposal, SuiteProposal
from tenure.config import DatasetConfig, load_all
from tenure.config.suite_limits import LimitChange, NoSuchLimit, with_limits
from tenure.config.suites import parse_suite_for, users_of
from tenure.errors import ConfigInvalid, NotPermitted, StateConflict, TextRefused
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.installation.suite_in_force import SuiteInForce, suite_branch, suite_in_force
from tenure.lifecycle.data.expectations import Suite
from tenure.lifecycle.data.suite_changes import changes
from tenure.usecases.data.second_person import require_second_person
from tenure.usecases.suites.suites import Edit
from tenure.vocabulary import REASON, Role, op_key

_log = logging.getLogger("tenure.suites")
_SAFE = "The suite in force was not changed."


@dataclass(frozen=True)
class LimitEdit:
    """What a person changed on a page.

    Args:
        changes: The numbers that differ.
        seen: Digest of the suite that the page showed.
    """

    changes: Sequence[LimitChange]
    seen: str


def edited(platform: Installation, name: str, edit: LimitEdit) -> Edit:
    """The suite with other limits, beside the one in force.

    Raises:
        TextRefused: The change is none that can be made, or makes a suite that is not valid.
        StateConflict: The suite in force is not any more the one that the person saw.
    """
    users = _users(platform, name)
    current = suite_in_force(platform, name, users)
    return _beside(current, _with(current, edit, users))


def proposed(platform: Installation, number: int, *, of: str) -> Edit:
    """What a proposal of a suite would change, beside the suite in force.

    Raises:
        StateConflict: There is no such proposal, or it does not fit the suite in force any more.
    """
    with platform.database.begin() as connection:
        found = _found(connection, number, of)
    users = _users(platform, found.suite)
    current = suite_in_force(platform, found.suite, users)
    _require_current(found, current)
    return _beside(current, _parsed(found.body, found.suite, users))


def propose(
    platform: Installation, name: str, edit: LimitEdit, *, user: str, reason: str
) -> SuiteProposal:
    """Ask that a suite be changed; nothing is judged by it before a second person accepts.

    Raises:
        NotPermitted: The person is no steward.
        TextRefused: The reason cannot be kept, or see `edited`.
        StateConflict: See `edited`.
    """
    REASON.require(reason, "reason", still_safe=_SAFE)
    if not platform.config.allows(user, Role.STEWARD):
        raise NotPermitted(
            f"{user} may not propose a change of the suite {name}: that needs the role steward.",
            still_safe=_SAFE,
            next_step="Ask the dataset's steward, or add the name to `roles.steward` in "
            "include/configs/platform.yaml.",
        )
    users = _users(platform, name)
    current = suite_in_force(platform, name, users)
    after = _with(current, edit, users)
    new = NewProposal(
        suite=name,
        file_digest=current.file_digest,
        before_digest=current.suite.digest,
        digest=after.digest,
        body=after.body,
        changes=tuple(map(str, changes(current.suite, after))),
        reason=reason,
        proposed_by=user,
    )
    with platform.database.begin() as connection:
        platform.ledger.take_turn(connection)
        number = rows.add(connection, new)
        platform.ledger.note(
            connection,
            subject=f"suite:{name}",
            actor=user,
            body={
                "proposal": number,
                "before": new.before_digest,
                "digest": new.digest,
                "changes": list(new.changes),
                "reason": reason,
            },
            op_key=op_key("suite.propose", f"suite:{name}", {"proposal": number}),
        )
        failpoint("suite.proposed")
        made = rows.find(connection, number)
    assert made is not None
    return made


def answer(
    platform: Installation, number: int, *, of: str, accept: bool, user: str, reason: str
) -> SuiteProposal:
    """Accept a proposal, so that the next ingestion judges by it, or decline it; once.

    Who proposed it cannot accept it, and takes it back by declining it.

    Args:
        platform: The installation.
        number: Of the proposal.
        of: The suite that it is about.
        accept: Yes or no.
        user: Who answers.
        reason: Why.

    Raises:
        NotPermitted: The person is neither steward nor approver, or it is her own proposal.
        TextRefused: The reason cannot be kept.
        StateConflict: There is no such proposal, it was answered, or the suite in force is not any
            more the one that it would change.
        ConfigInvalid: The suite in force is broken.
    """
    REASON.require(reason, "reason", still_safe=_SAFE)
    with platform.database.begin() as connection:
        platform.ledger.take_turn(connection)
        found = _found(connection, number, of)
        require_second_person(
            platform,
            f"change {found.id} of {found.suite}",
            proposed_by=found.proposed_by,
            user=user,
            accept=accept,
            still_safe=_SAFE,
        )
        if not found.is_open:
            raise StateConflict(
                f"Proposal {number} was {_past(found)} by {found.answered_by} already.",
                still_safe=_SAFE,
                next_step="Nothing: an answer is never changed. Propose the change again if it "
                "is still wanted.",
            )
        if accept:
            users = _users(platform, found.suite)
            _require_current(found, suite_in_force(platform, found.suite, users))
            _parsed(found.body, found.suite, users)
            data.remember_suite(connection, digest=found.digest, name=found.suite, body=found.body)
        rows.answer(connection, number, accept=accept, answered_by=user, reason=reason)
        platform.ledger.note(
            connection,
            subject=f"suite:{found.suite}",
            actor=user,
            body={
                "proposal": number,
                "answer": "accept" if accept else "decline",
                "proposed_by": found.proposed_by,
                "digest": found.digest,
                "changes": list(found.changes),
                "reason": reason,
            },
            op_key=op_key("suite.answer", f"suite:{found.suite}", {"proposal": number}),
        )
        failpoint("suite.answered")
        answered = rows.find(connection, number)
    assert answered is not None
    if accept:
        _commit(platform, answered)
    return answered


def _commit(platform: Installation, accepted: SuiteProposal) -> None:
    """Offer the accepted text to the repository of the configs, where there is one.

    It holds without: what git does not take is in the log, and on the page no branch is named.
    """
    path = platform.settings.suites / f"{accepted.suite}.json"
    words = "\n".join(f"- {one}" for one in accepted.changes)
    try:
        git_revisions.commit_to_branch(
            path,
            accepted.body.encode(),
            branch=suite_branch(accepted),
            message=f"Suite {accepted.suite}: {accepted.reason}\n\n{words}\n\n"
            f"Proposal {accepted.id} of {accepted.proposed_by}, accepted by "
            f"{accepted.answered_by}: {accepted.answer_reason}\n",
            author=accepted.proposed_by,
        )
    except git_revisions.NoRevision as error:
        _log.warning("suite=%s proposal=%s git=%s", accepted.suite, accepted.id, error)


def _users(platform: Installation, name: str) -> list[DatasetConfig]:
    return users_of(load_all(platform.settings.include), name)


def _with(current: SuiteInForce, edit: LimitEdit, users: Sequence[DatasetConfig]) -> Suite:
    suite = current.suite
    if edit.seen != suite.digest:
        raise StateConflict(
            f"The suite {suite.name} was changed since you opened the page.",
            still_safe=_SAFE,
            next_step="Open the page again and look at the rules in force.",
        )
    try:
        after = _parsed(with_limits(suite, edit.changes), suite.name, users)
    except NoSuchLimit as error:
        raise _unfit(str(error)) from None
    if not changes(suite, after):
        raise _unfit("no limit differs from the one in force")
    return after


def _parsed(body: str, name: str, users: Sequence[DatasetConfig]) -> Suite:
    try:
        return parse_suite_for(body.encode(), name, users, Path(f"{name}.json"))
    except ConfigInvalid as error:
        raise _unfit(error.what) from None


def _unfit(why: str) -> TextRefused:
    return TextRefused(
        f"This change makes no suite: {why}.", still_safe=_SAFE, next_step="Choose another limit."
    )


def _beside(current: SuiteInForce, after: Suite) -> Edit:
    return Edit(current.suite, after, f"the suite in force ({current.suite.digest[:12]}…)")


def _require_current(found: SuiteProposal, current: SuiteInForce) -> None:
    """A proposal fits one suite: accepted later, it would take back what came in between."""
    if (found.before_digest, found.file_digest) == (current.suite.digest, current.file_digest):
        return
    raise StateConflict(
        f"Proposal {found.id} was made from another suite {found.suite} "
        f"({found.before_digest[:12]}…) than the one in force ({current.suite.digest[:12]}…).",
        still_safe=_SAFE,
        next_step="Decline it, and propose the change anew from the rules in force.",
    )


def _past(found: SuiteProposal) -> str:
    return "accepted" if found.is_accepted else "declined"


def _found(connection: Connection, number: int, suite: str) -> SuiteProposal:
    found = rows.find(connection, number)
    if found is None or found.suite != suite:
        raise StateConflict(
            f"There is no proposal {number} for the suite {suite}.",
            still_safe=_SAFE,
            next_step="Look at the proposals on the workbench of the dataset.",
        )
    return found
