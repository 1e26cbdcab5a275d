"""What a person does about a running canary on its page: the dry run of a rollback, then the deed.

The rollback itself is the only record: the ledger names the person and the reason.
"""

from tenure.errors import NotPermitted, ReasonMissing, StateConflict
from tenure.installation import Installation
from tenure.usecases.operations.action_plans import PlannedAction, planned_rollback
from tenure.usecases.promotion.rollback import intend
from tenure.vocabulary import REASON, Role, State

_SAFE = "Nothing was changed."


def plan(
    platform: Installation, model: str, version: int, *, user: str, reason: str
) -> PlannedAction:
    """The dry run: what a rollback of the canary would change now.

    Args:
        platform: The installation.
        model: Name of the model.
        version: Number of the version on probation.
        user: Who asks.
        reason: Kept in the ledger, and shown to whoever asks why.

    Raises:
        NotPermitted: The person is no operator.
        ReasonMissing: There is no reason.
        StateConflict: The version is no canary any more: it was promoted, or never was one.
        TextRefused: The reason cannot be kept.
        ServiceUnreachable: The database or the store does not answer.
    """
    if not platform.config.allows(user, Role.OPERATOR):
        raise NotPermitted(
            f"{user} may not roll back {model}@{version}: that needs the role operator.",
            still_safe=_SAFE,
            next_step="Ask an operator; `roles` of include/configs/platform.yaml names them.",
        )
    if not reason:
        raise ReasonMissing(
            f"{model}@{version} was not rolled back: no reason was given.",
            still_safe=_SAFE,
            next_step="Write why; it stays in the ledger.",
        )
    REASON.require(reason, "reason", still_safe=_SAFE)
    _require_canary(platform, model, version)
    intent = intend(platform, model, version, actor=user)
    if intent.done:
        return PlannedAction(f"{intent.describe()} Nothing would change.")
    return planned_rollback(platform, intent, user=user, reason=reason)


def roll_back_canary(
    platform: Installation, model: str, version: int, *, user: str, reason: str, seen: str
) -> str:
    """Do it, as the person saw it in the dry run; returns what was done.

    Args:
        platform: As `plan`.
        model: As `plan`.
        version: As `plan`.
        user: As `plan`.
        reason: As `plan`.
        seen: `PlannedAction.seen` of the dry run.

    Raises:
        NotPermitted: As `plan`.
        StateConflict: As `plan`, or things are not any more as they were in the dry run.
        TextRefused: As `plan`.
        ServiceUnreachable: As `plan`.
    """
    planned = plan(platform, model, version, user=user, reason=reason)
    if planned.do is None or planned.seen != seen:
        raise StateConflict(
            f"It is not any more as you saw it. {planned.sentence}",
            still_safe=_SAFE,
            next_step="Look at the canary again.",
        )
    return planned.do()


def _require_canary(platform: Installation, model: str, version: int) -> None:
    """Or one that is rolled back already; a canary that became champion is another decision."""
    from tenure.adapters.sql import versions

    with platform.database.begin() as connection:
        found = versions.get(connection, model, version)
    if found is None or found.state not in {State.CANARY, State.ROLLED_BACK}:
        raise StateConflict(
            f"{model}@{version} is {found.state if found else 'unknown'} by now, no canary.",
            still_safe=_SAFE,
            next_step=f"`tenure rollback {model} --version {version}` takes a champion out.",
        )
