"""The moves that give traffic to a version and take it away; each is one transaction.

All of them may be sent again: what was done is found by its `op_key` and not done twice. Who
writes a plan holds the model's turn, so two controllers, or a controller and a person, act one
after the other; the later one sees what the earlier one did, and a stale one loses.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.adapters.sql import canary, plans, versions
from tenure.adapters.sql.plans import PlanRow
from tenure.errors import NotPermitted, StateConflict
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.lifecycle.serving import authorization_ended
from tenure.usecases.promotion.approval_question import authorized_until, require_evidence
from tenure.vocabulary import State, VersionRef, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.lifecycle.promotion.canary import CanaryPolicy

_SAFE = "Nothing was changed; gateways keep the traffic plan in force."


@dataclass(frozen=True)
class Turn:
    """A transaction in which one actor, and nobody else, may write plans of a model.

    `version` is the version it is about as it stands now, `plan` the plan in force.
    """

    platform: Installation
    connection: "Connection"
    version: VersionRef
    plan: PlanRow | None
    actor: str

    def in_state(self, state: State) -> list[VersionRef]:
        """Versions of the model in the state, newest first."""
        return versions.in_state(self.connection, self.version.model, (state,))

    def authorized_until(self, version_id: int) -> datetime:
        """When the authorization of a version ends; now, when it has none."""
        found = authorized_until(self.connection, version_id)
        return found or self.platform.clock.now()


@contextmanager
def turn(platform: Installation, version_id: int, *, actor: str) -> Iterator[Turn]:
    """Wait for the turn to change traffic; commits at the end, rolls back on any error."""
    with platform.database.begin() as connection:
        canary.take_turn(connection)
        version = versions.get_by_id(connection, version_id)
        newest = plans.newest(connection, version.model)
        yield Turn(platform, connection, version, newest, actor)


def promote_first(platform: Installation, version_id: int, *, actor: str) -> PlanRow:
    """Give all traffic to an approved version of a model that has no champion.

    Raises:
        StateConflict: The model has a champion, or the version is not approved (any more).
        NotPermitted: Its evidence is not what was approved, or its authorization has ended.
    """
    with turn(platform, version_id, actor=actor) as mine:
        version = mine.version
        if version.state is State.CHAMPION and mine.plan is not None:
            return mine.plan
        _require(version, State.APPROVED)
        if mine.in_state(State.CHAMPION):
            raise StateConflict(
                f"{version.model} has a champion already; {version.name} needs a canary.",
                still_safe=_SAFE,
                next_step="Clear this task: it starts the canary.",
            )
        require_authorization(mine)
        reason = f"{version.name} is the first champion"
        _move(mine, version, State.CHAMPION, reason, key=_key("promote_first", version))
        return _stable(mine, version.id, reason)


def start_canary(
    platform: Installation, version_id: int, policy: "CanaryPolicy", *, actor: str
) -> PlanRow:
    """Put an approved version on probation at the first share, with a new salt and fence.

    When it is on probation already, this takes over: the share and the salt stay, the fence goes
    up, and whoever controlled it before can write no more plans.

    Raises:
        StateConflict: The model has no champion or another canary, or the version is elsewhere.
        NotPermitted: Its evidence is not what was approved, or its authorization has ended.
    """
    with turn(platform, version_id, actor=actor) as mine:
        version, plan = mine.version, mine.plan
        if version.state is State.CANARY:
            return _take_over(mine, policy)
        _require(version, State.APPROVED)
        require_authorization(mine)
        _no_other_canary(mine)
        if plan is None:
            raise StateConflict(
                f"{version.model} has no champion to compare {version.name} with.",
                still_safe=_SAFE,
                next_step="Clear this task: it makes the version the first champion.",
            )
        reason = f"canary {version.name} starts"
        _move(mine, version, State.CANARY, reason, key=_key("canary", version))
        return publish_canary(
            mine,
            plan,
            share_bp=policy.shares_bp[0],
            lease_seconds=policy.lease_seconds,
            reason=reason,
            fence=plan.fence + 1,
            salt=platform.ids.new(),
        )


def publish_canary(
    mine: Turn,
    seen: PlanRow,
    *,
    share_bp: int,
    lease_seconds: int,
    reason: str,
    fence: int | None = None,
    salt: str | None = None,
) -> PlanRow:
    """Publish the next generation with a fresh lease; fence and salt stay unless given.

    Raises:
        StateConflict: `seen` is not the plan in force: the caller is stale.
    """
    return plans.publish(
        mine.connection,
        mine.platform.ledger,
        model=seen.model,
        seen=seen,
        fence=seen.fence if fence is None else fence,
        champion_id=seen.champion_id,
        canary_id=mine.version.id,
        share_bp=share_bp,
        salt=seen.salt if salt is None else salt,
        lease_seconds=lease_seconds,
        champion_until=mine.authorized_until(seen.champion_id),
        canary_until=mine.authorized_until(mine.version.id),
        now=mine.platform.clock.now(),
        reason=reason,
        actor=mine.actor,
    )


def promote(mine: Turn, seen: PlanRow, *, evidence: str) -> PlanRow:
    """The canary becomes champion.

    The old champion is superseded first: the database allows one champion at any time.

    Raises:
        StateConflict: `seen` is not the plan in force, or the version is no canary.
        NotPermitted: Its evidence is not what was approved, or its authorization has ended.
    """
    _require(mine.version, State.CANARY)
    require_authorization(mine)
    old = versions.get_by_id(mine.connection, seen.champion_id)
    reason = f"{mine.version.name} replaces {old.name}"
    key = op_key("supersede", f"mv:{old.id}", {"by": mine.version.id, "from": old.generation})
    _move(mine, old, State.SUPERSEDED, reason, key=key, evidence=evidence)
    key = _key("promote", mine.version)
    _move(mine, mine.version, State.CHAMPION, reason, key=key, evidence=evidence)
    return _stable(mine, mine.version.id, reason, seen=seen)


def roll_back_canary(mine: Turn, *, reason: str, evidence: str | None = None) -> PlanRow:
    """Take all traffic from the canary.

    Unconditional: it builds on whatever plan is in force and raises the fence.
    """
    _require(mine.version, State.CANARY)
    key = _key("roll_back", mine.version)
    _move(mine, mine.version, State.ROLLED_BACK, reason, key=key, evidence=evidence)
    failpoint("rollback.canary_moved")
    return _stable(mine, mine.in_state(State.CHAMPION)[0].id, reason)


def replace_champion(
    mine: Turn, successor: VersionRef, *, reason: str, loaded: str = ""
) -> PlanRow:
    """The champion is rolled back and a superseded version serves again; a canary ends with it.

    `loaded` says for the ledger where the successor was loaded on trial.
    """
    champion, plan = mine.version, mine.plan
    _require(champion, State.CHAMPION)
    _require(successor, State.SUPERSEDED)
    for probationer in mine.in_state(State.CANARY):
        why = f"its champion {champion.name} is rolled back: {reason}"
        plan = roll_back_canary(replace(mine, version=probationer), reason=why)
    _move(mine, champion, State.ROLLED_BACK, reason, key=_key("roll_back", champion))
    failpoint("rollback.champion_moved")
    intent = {"for": champion.id, "from": successor.generation}
    key = op_key("reinstate", f"mv:{successor.id}", intent)
    _move(mine, successor, State.CHAMPION, reason, key=key, loaded=loaded or None)
    failpoint("rollback.successor_moved")
    return _stable(mine, successor.id, reason, seen=plan)


def restate(mine: Turn, *, reason: str) -> PlanRow | None:
    """Publish the plan in force once more, with the ends that its authorizations have now.

    Share, salt, fence and the running lease stay: who controls a canary goes on controlling it.

    Returns:
        None when the plan does not name the version, or says the same already.
    """
    plan = mine.plan
    if plan is None or mine.version.id not in plan.version_ids:
        return None
    champion = mine.authorized_until(plan.champion_id)
    canary = None if plan.canary_id is None else mine.authorized_until(plan.canary_id)
    if (champion, canary) == (plan.champion_until, plan.canary_until):
        return None
    return plans.publish(
        mine.connection,
        mine.platform.ledger,
        model=plan.model,
        seen=plan,
        fence=plan.fence,
        champion_id=plan.champion_id,
        canary_id=plan.canary_id,
        share_bp=plan.share_bp,
        salt=plan.salt,
        lease_seconds=plan.lease_seconds,
        lease_until=plan.lease_until,
        champion_until=champion,
        canary_until=canary,
        now=mine.platform.clock.now(),
        reason=reason,
        actor=mine.actor,
    )


def _take_over(mine: Turn, policy: "CanaryPolicy") -> PlanRow:
    version, plan = mine.version, mine.plan
    require_authorization(mine)
    if plan is None or plan.canary_id != version.id:
        raise StateConflict(
            f"{version.name} is a canary, but the plan in force does not name it.",
            still_safe="The champion serves 100%.",
            next_step=f"`tenure rollback {version.model} --version {version.version}`.",
        )
    return publish_canary(
        mine,
        plan,
        share_bp=min(plan.share_bp, policy.observed_shares[-1]),
        lease_seconds=policy.lease_seconds,
        reason=f"{mine.actor} takes over canary {version.name}",
        fence=plan.fence + 1,
    )


def _stable(mine: Turn, champion_id: int, reason: str, *, seen: PlanRow | None = None) -> PlanRow:
    """A plan without canary: no share, no lease, a higher fence; on `seen` or what is in force."""
    seen = seen or mine.plan
    return plans.publish(
        mine.connection,
        mine.platform.ledger,
        model=mine.version.model,
        seen=seen,
        fence=seen.fence + 1 if seen else 1,
        champion_id=champion_id,
        canary_id=None,
        share_bp=0,
        salt=seen.salt if seen else mine.platform.ids.new(),
        lease_seconds=None,
        champion_until=mine.authorized_until(champion_id),
        canary_until=None,
        now=mine.platform.clock.now(),
        reason=reason,
        actor=mine.actor,
    )


def _move(
    mine: Turn,
    version: VersionRef,
    target: State,
    reason: str,
    *,
    key: str,
    **more: str | None,
) -> None:
    """`more`, as far as there is any, stands in the ledger beside the reason."""
    body = {"reason": reason, "artifact": version.artifact_digest}
    body |= {name: value for name, value in more.items() if value is not None}
    ledger = mine.platform.ledger
    ledger.move(mine.connection, version, target, actor=mine.actor, body=body, op_key=key)


def _key(kind: str, version: VersionRef) -> str:
    """Bound to the version's generation: each stay in a state is left by one command."""
    return op_key(kind, f"mv:{version.id}", {"from": version.generation})


def require_authorization(mine: Turn) -> None:
    """Refuse traffic to a version on other evidence than was approved, or after its end."""
    require_evidence(mine.connection, mine.version.id)
    name, until = mine.version.name, authorized_until(mine.connection, mine.version.id)
    if until is None or until <= mine.platform.clock.now():
        ended = authorization_ended(until) if until else "nobody approved what it is now"
        raise NotPermitted(
            f"{name} gets no more traffic: {ended}.",
            still_safe=_SAFE,
            next_step="Approvers renew it with `tenure authorization renew "
            f"{mine.version.model} --version {mine.version.version}`; then clear this task.",
        )


def _no_other_canary(mine: Turn) -> None:
    for other in mine.in_state(State.CANARY):
        raise StateConflict(
            f"{other.name} is still in canary; {mine.version.name} has to wait.",
            still_safe=_SAFE,
            next_step=f"Clear the task `canary` of the run that promotes {other.name}, or "
            f"`tenure rollback {other.model} --version {other.version}`; then clear this task.",
        )


def _require(version: VersionRef, state: State) -> None:
    if version.state is not state:
        raise StateConflict(
            f"{version.name} is {version.state}, not {state}.",
            still_safe=_SAFE,
            next_step="Look at the version in the Tenure page; somebody else moved it.",
        )
