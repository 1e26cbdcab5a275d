"""How a canary ends without a promotion: rolled back, or held until a person decides.

Import it inside functions: it loads SQLAlchemy.
"""

from tenure.adapters.sql import canary, plans, versions
from tenure.errors import CanaryRolledBack, NotPermitted
from tenure.installation import Installation
from tenure.layout import DECOMMISSION_MODEL, dag_id
from tenure.usecases.promotion import traffic
from tenure.verdicts import Verdict
from tenure.vocabulary import Role, State, VersionRef


def rolled_back(platform: Installation, version: VersionRef) -> CanaryRolledBack:
    """The error that says calmly that a canary lost its traffic."""
    with platform.database.begin() as connection:
        event = canary.rollback_of(connection, version.id)
        plan = plans.newest(connection, version.model)
        champion = versions.get_by_id(connection, plan.champion_id).name if plan else "none"
    actor, reason = (event.actor, event.reason) if event else ("?", None)
    return CanaryRolledBack(
        "Safe: champion serves 100%; nothing is urgent. "
        f"{version.name} was rolled back by {actor}: {reason or 'no reason'}.",
        still_safe=f"{champion} serves 100%, plan generation {plan.generation if plan else 0}.",
        next_step="In working hours, look at the report. The version cannot serve again: retrain, "
        f"or retire it with {dag_id(version.model, DECOMMISSION_MODEL)}.",
        evidence=event.evidence if event else None,
    )


def prolong(platform: Installation, version_id: int, *, user: str) -> None:
    """A person gives a held canary another `max_analyses`.

    Raises:
        NotPermitted: The person is not an operator.
    """
    _require_operator(platform, user)
    with traffic.turn(platform, version_id, actor=user) as mine:
        plan = mine.plan
        if mine.version.state is not State.CANARY or plan is None:
            return
        canary.add(
            mine.connection,
            version_id=version_id,
            generation=plan.generation,
            share_bp=plan.share_bp,
            verdict=Verdict.INCONCLUSIVE,
            action=canary.PROLONGED,
            facts={"user": user},
            at=platform.clock.now(),
        )


def give_up(platform: Installation, version_id: int, *, user: str) -> None:
    """A person ends a held canary; a canary that has ended already stays as it is.

    Raises:
        NotPermitted: The person is not an operator.
    """
    _require_operator(platform, user)
    with traffic.turn(platform, version_id, actor=user) as mine:
        if mine.version.state is State.CANARY:
            traffic.roll_back_canary(mine, reason="no verdict; a person ended the canary")


def _require_operator(platform: Installation, user: str) -> None:
    if not platform.config.allows(user, Role.OPERATOR):
        raise NotPermitted(
            f"{user} is not an operator and may not decide about a held canary.",
            still_safe="The canary's lease has ended; the champion serves 100%.",
            next_step="Clear this task and let an operator answer; roles stand in "
            "include/configs/platform.yaml.",
        )
