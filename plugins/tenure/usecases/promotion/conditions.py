"""Judges again, while a version serves, what was judged when it began to: its authorization.

Import it inside functions: it loads SQLAlchemy.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.adapters.sql import approvals, incidents, plans, versions
from tenure.config import load_model
from tenure.errors import ConfigInvalid, TenureError
from tenure.installation import Installation
from tenure.installation.provenance import environment, lock_digest
from tenure.layout import artifact_key
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion.approval import ApprovalPolicy
from tenure.lifecycle.promotion.authorization import notice_due
from tenure.lifecycle.serving import authorization_ended
from tenure.usecases.incidents.close_incident import in_utc
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.usecases.promotion.authorization import Authorization, read
from tenure.vocabulary import Role, State, VersionRef

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from tenure.adapters.sql.plans import PlanRow

ENDS, ENDED, IN_DOUBT = "authorization_ends", "authorization_ended", "authorization_in_doubt"
"""Kinds of incidents about what lets a version serve."""
_LIVE = (State.CHAMPION, State.CANARY)
_log = logging.getLogger("tenure.maintenance")


@dataclass(frozen=True)
class AuthorizationCounts:
    """Versions that serve, those whose authorization ends soon, has ended, or is in doubt."""

    live: int
    ending: int
    ended: int
    in_doubt: int


@dataclass(frozen=True)
class _Finding:
    """One thing to say about one version; another `stage` than before is told once more."""

    kind: str
    version: VersionRef
    cause: str
    about: Mapping[str, object]
    stage: str = ""

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.version.name}"

    @property
    def next_step(self) -> str:
        name = self.version
        return (
            f"Look at `tenure authorization show {name.model}`; approvers renew it with "
            f"`tenure authorization renew {name.model} --version {name.version}`."
        )


def watch(platform: Installation) -> AuthorizationCounts:
    """Open, renew and close incidents about the authorization of whatever serves.

    Each is announced when it opens, and once more when less time is left, or other doubts hold.
    """
    with platform.database.begin() as connection:
        live = [
            version
            for model in versions.models(connection)
            for version in versions.in_state(connection, model, _LIVE)
        ]
    done = one_by_one(
        platform,
        "authorizations",
        live,
        name=lambda version: version.name,
        do=lambda version: _watch(platform, version),
    )
    kinds = [finding.kind for found in done for finding in found]
    return AuthorizationCounts(len(live), *(kinds.count(kind) for kind in (ENDS, ENDED, IN_DOUBT)))


def _watch(platform: Installation, version: VersionRef) -> list[_Finding]:
    """Of one version; what cannot be judged is in doubt."""
    with platform.database.begin() as connection:
        platform.ledger.take_turn(connection)
        plan = plans.newest(connection, version.model)
        try:
            found = _findings(platform, connection, version, plan)
        except TenureError as error:
            found = [_Finding(IN_DOUBT, version, error.what, {}, stage=error.what)]
        for finding in found:
            _open(platform, connection, finding)
        for kind in {ENDS, ENDED, IN_DOUBT} - {finding.kind for finding in found}:
            key, now = f"{kind}:{version.name}", platform.clock.now()
            incidents.close_incident(connection, dedupe_key=key, at=now)
    return found


def _findings(
    platform: Installation, connection: "Connection", version: VersionRef, plan: "PlanRow | None"
) -> list[_Finding]:
    authorization = read(connection, version)
    row = versions.row_by_id(connection, version.id)
    ends = _end(platform, version, plan)
    doubts = _doubts(platform, connection, row, authorization)
    found = [] if ends is None else [ends]
    if doubts:
        said = " ".join(doubts)
        found.append(_Finding(IN_DOUBT, version, f"{version.name}: {said}", {}, stage=said))
    return found


def _end(platform: Installation, version: VersionRef, plan: "PlanRow | None") -> _Finding | None:
    """What gateways will do, or do, by the plan in force."""
    until = None if plan is None else _until(plan, version)
    if until is None:
        return None
    due = notice_due(until, now=platform.clock.now(), valid_days=_valid_days(platform, version))
    instead = (
        "the champion answers" if version.state is State.CANARY else "the declared rule answers"
    )
    about = {"until": until.isoformat(), "days": due}
    if due == 0:
        cause = f"{version.name}: {authorization_ended(until)}; {instead} in its place."
        return _Finding(ENDED, version, cause, about)
    if due is None:
        return None
    cause = f"{version.name} is authorized until {in_utc(until)}; from then on {instead}."
    return _Finding(ENDS, version, cause, about, stage=f"At most {due} days are left. {cause}")


def _until(plan: "PlanRow", version: VersionRef) -> "datetime | None":
    return {plan.champion_id: plan.champion_until, plan.canary_id: plan.canary_until}.get(
        version.id
    )


def _doubts(
    platform: Installation, connection: "Connection", row: VersionRow, found: Authorization
) -> list[str]:
    """What held when it began to serve and does not any more, a sentence each."""
    said = [
        f"{user}, who approved it, is no approver any more."
        for user, _ in found.approvals
        if not platform.config.allows(user, Role.APPROVER)
    ]
    if found.until is None:
        said.append("Nobody approved the evidence that its row names now.")
    elif len(found.approvals) < found.quorum:
        said.append(f"Its risk tier asks for {found.quorum} approvers; {len(found.approvals)} did.")
    if not platform.store.exists(artifact_key(str(row.artifact_digest))):
        said.append("Its artifact is not in the store: a gateway that restarts cannot load it.")
    here = lock_digest()
    if here not in {row.lock_digest, *approvals.accepted_locks(connection, row.id)}:
        named = "; ".join(row.facts.environment.differences(environment()))
        said.append(
            f"It was trained with other libraries than are installed here (lock "
            f"{str(row.lock_digest)[:12]}, now {here[:12]}{f': {named}' if named else ''}), and "
            "nobody approved it with these."
        )
    return said


def _open(platform: Installation, connection: "Connection", found: _Finding) -> None:
    version = found.version
    facts = {
        "model": version.model,
        "owner": approvals.owner_of(connection, version.model),
        "next_step": found.next_step,
        **found.about,
    }
    incidents.open_incident(
        connection,
        dedupe_key=found.key,
        kind=found.kind,
        subject=version.name,
        summary=found.cause,
        facts=facts | ({"stage": found.stage} if found.stage else {}),
        at=platform.clock.now(),
    )


def _valid_days(platform: Installation, version: VersionRef) -> int:
    try:
        return load_model(platform.settings.include, version.model)[0].approval.valid_days
    except (ConfigInvalid, OSError):
        return ApprovalPolicy().valid_days
