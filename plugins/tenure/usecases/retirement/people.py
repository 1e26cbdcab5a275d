"""Two people: one asks for a retirement, another one confirms it."""

from typing import TYPE_CHECKING

from tenure.errors import NotPermitted, StateConflict
from tenure.lifecycle.retirement.decommission import (
    REQUESTERS,
    DecommissionStep,
    Progress,
    person_refusal,
    question,
    refusal,
    second_people,
)
from tenure.usecases.retirement.archive import planned_deletions
from tenure.usecases.retirement.retirement import Retirement, StepResult
from tenure.vocabulary import NAME, REASON, Role, RunRef, VersionRef

if TYPE_CHECKING:
    from sqlalchemy import Connection


def request(
    retirement: Retirement, version: int, *, reason: str, successor: str, run: RunRef
) -> StepResult:
    """Register the wish to retire a version, for the person who triggered the run.

    Raises:
        TextRefused: The reason or the successor cannot be kept.
        NotPermitted: Nobody who is known asked, or she may not.
        StateConflict: The version does not exist, is live, or is in no state to retire.
    """
    from tenure.adapters.sql import decommissions, versions

    if reason:
        REASON.require(reason, "reason", still_safe="Nothing was registered.")
    if successor:
        NAME.require(successor, "successor", still_safe="Nothing was registered.")
    platform = retirement.platform
    with platform.database.begin() as connection:
        ref = versions.get(connection, retirement.model, version)
        if ref is None:
            raise _unfit(f"{retirement.model}@{version}", "there is no such version")
        known = decommissions.get(connection, ref.id, lock=True)
        if known is not None and known.step not in {
            DecommissionStep.REFUSED,
            DecommissionStep.WITHDRAWN,
        }:
            return StepResult(
                f"{ref.name}: {known.requested_by} asked already; it is {known.step}."
            )
        person = _requester(retirement, connection, run)
        _require_fit(connection, ref)
        config = retirement.config
        consumers = [(one.name, one.webhook) for one in config.consumers]
        decommissions.sync_consumers(connection, retirement.model, consumers)
        decommissions.request(
            connection,
            version_id=ref.id,
            reason=reason.strip() or "No reason was given.",
            successor=successor.strip(),
            requested_by=person,
            at=platform.clock.now(),
        )
        progress = retirement.look(connection, version)[1]
        body = {"reason": progress.reason, "consumers": [name for name, _ in consumers]}
        retirement.note(connection, progress, "requested", actor=person, **body)
    return StepResult(f"{ref.name}: {person} asks for its retirement; {len(consumers)} consumers.")


def ask(retirement: Retirement, version: int) -> tuple[str, list[str]] | None:
    """The question to the second person and who may answer it; None when it is answered.

    Raises:
        NotPermitted: There is no second person who could.
    """
    from tenure.adapters.sql import decommissions

    with retirement.platform.database.begin() as connection:
        progress = retirement.look(connection, version)[1]
        if progress.step is not DecommissionStep.REQUESTED:
            return None
        consumers = [name for name, _ in decommissions.consumers_of(connection, progress.model)]
        keys = planned_deletions(connection, progress)
    listed = retirement.platform.config.roles.get(Role.DECOMMISSIONER, ())
    others = second_people(listed, progress.requested_by)
    if not others:
        raise NotPermitted(
            f"{progress.requested_by} asked, and platform.yaml lists no other decommissioner.",
            still_safe=f"{progress.name} was not touched.",
            next_step="Add a second name under roles.decommissioner, then clear this task.",
        )
    policy = retirement.config.decommission
    return question(progress, policy, consumers=consumers, keys=keys), others


def confirm(
    retirement: Retirement, version: int, *, agrees: bool, person: str | None
) -> StepResult:
    """Take the second person's answer; the database refuses the requester once more.

    Raises:
        NotPermitted: This person may not answer.
    """
    from tenure.adapters.sql import decommissions

    with retirement.platform.database.begin() as connection:
        _, progress = retirement.look(connection, version, lock=True)
        if progress.step is not DecommissionStep.REQUESTED:
            return StepResult(f"{progress.name} was answered already: it is {progress.step}.")
        name = _second_person(retirement, progress, person)
        if not agrees:
            decommissions.set_columns(connection, progress.id, step=str(DecommissionStep.REFUSED))
            retirement.note(connection, progress, "refused", actor=name)
            return StepResult(f"{name} refused the retirement of {progress.name}.", waiting=True)
        decommissions.set_columns(
            connection, progress.id, step=str(DecommissionStep.CONFIRMED), second_person=name
        )
        retirement.note(
            connection, progress, "confirmed", actor=name, requested_by=progress.requested_by
        )
    return StepResult(f"{name} confirmed the retirement of {progress.name}.")


def _requester(retirement: Retirement, connection: "Connection", run: RunRef) -> str:
    from tenure.adapters.sql import decommissions

    owner = decommissions.owner_of(connection, retirement.model)
    person, config = run.user, retirement.platform.config
    is_owner = person and owner and person.casefold() == owner.casefold()
    if person and (is_owner or any(config.allows(person, role) for role in REQUESTERS)):
        return person
    who = person or "A run that no known person triggered"
    raise NotPermitted(
        f"{who} may not ask for a retirement; the owner {owner} and these roles may: "
        f"{', '.join(REQUESTERS)}.",
        still_safe="Nothing was registered.",
        next_step="Let one of them trigger this DAG, or change roles in platform.yaml.",
    )


def _require_fit(connection: "Connection", ref: VersionRef) -> None:
    from tenure.adapters.sql import decommissions

    why = refusal(ref.state, in_live_plan=decommissions.in_live_plan(connection, ref.id))
    if why is not None:
        raise _unfit(ref.name, why)


def _unfit(name: str, why: str) -> StateConflict:
    return StateConflict(
        f"{name} cannot be retired: {why}.",
        still_safe="Nothing was registered, nobody was told, access is as before.",
        next_step="Choose a version that serves nobody; promote a successor first if need be.",
    )


def _second_person(retirement: Retirement, progress: Progress, person: str | None) -> str:
    config = retirement.platform.config
    roles = [role for role in Role if person and config.allows(person, role)]
    why = person_refusal(person, roles=roles, requested_by=progress.requested_by)
    if why is not None or person is None:
        raise NotPermitted(
            f"The retirement of {progress.name} was not confirmed: {why}.",
            still_safe=f"{progress.name} was not touched; the request stands.",
            next_step="Clear this task: it asks again, and another decommissioner answers.",
        )
    return person
