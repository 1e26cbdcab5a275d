"""What lets a version serve, until when, and how approvers renew it without a training.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tenure.adapters.sql import approvals, versions
from tenure.config import load_model
from tenure.errors import NotPermitted, ReasonMissing, StateConflict
from tenure.installation import Installation
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion import approval
from tenure.lifecycle.promotion.approval import ApprovalAnswer, ApprovalQuestion, Choice
from tenure.usecases.promotion import authority, traffic
from tenure.usecases.promotion.approval import SeatQuestion, record
from tenure.usecases.promotion.approval_question import (
    BY_GROUP,
    excuses,
    question,
    require_evidence,
)
from tenure.views.approvals import renewal_page
from tenure.vocabulary import NOTE, Role, State, VersionRef, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

RENEWABLE = (State.APPROVED, State.CANARY, State.CHAMPION, State.SUPERSEDED)
"""States of versions that serve, are about to, or may serve again by a rollback."""
_LEAST = timedelta(days=1)
"""A renewal that would add less than this adds nothing: the same command, sent again."""


@dataclass(frozen=True)
class Authorization:
    """What lets one version serve.

    Args:
        version: The version.
        until: When it ends, or ended; None when nobody approved what the version is now.
        quorum: Distinct approvers that it needs.
        approvals: Each approver with the latest end that she gave, the latest first.
        excused: Gates that the version did not pass, with the end of the excuse.
    """

    version: VersionRef
    until: datetime | None
    quorum: int
    approvals: tuple[tuple[str, datetime], ...]
    excused: dict[str, datetime]

    def holds(self, now: datetime) -> bool:
        """Whether the version may serve at this moment."""
        return self.until is not None and now < self.until


@dataclass(frozen=True)
class Renewal:
    """What a renewal came to.

    Args:
        authorization: As it stands now.
        missing: Approvers that must renew theirs as well before the end moves.
        generation: Of the plan that gateways follow from now on; None when no plan names the
            version, or its end did not move.
        is_new: False when the person had renewed it already.
    """

    authorization: Authorization
    missing: int
    generation: int | None
    is_new: bool


def authorizations(platform: Installation, model: str) -> list[Authorization]:
    """Those of the champion and of the canary, as far as there are any."""
    with platform.database.begin() as connection:
        live = versions.in_state(connection, model, (State.CHAMPION, State.CANARY))
        return [read(connection, version) for version in reversed(live)]


def read(connection: "Connection", version: VersionRef) -> Authorization:
    """The authorization of one version."""
    row = versions.row_by_id(connection, version.id)
    asked, answers = question(connection, row), approvals.answers_of(connection, version.id)
    excused = excuses(connection, row)
    until = approval.authorized_until(asked, answers, excused_until=list(excused.values()))
    return Authorization(version, until, asked.quorum, _latest(asked, answers), excused)


def ask_renewal(platform: Installation, version: VersionRef) -> SeatQuestion | None:
    """What to show to an approver who may renew; None when the quorum has renewed just now."""
    config, _ = load_model(platform.settings.include, version.model)
    now = platform.clock.now()
    after = max(now, now + timedelta(days=config.approval.valid_days) - _LEAST)
    with platform.database.begin() as connection:
        row, found = versions.row_by_id(connection, version.id), read(connection, version)
        asked = question(connection, row, config.risk_tier)
        answers = approvals.answers_of(connection, version.id)
    approvers = authority.people(platform, Role.APPROVER)
    people = approval.may_answer(asked, answers, approvers, after=after)
    if not people or approval.standing(asked, answers, now=after).is_approved:
        return None
    return SeatQuestion(
        version=version,
        artifact=asked.artifact,
        evidence=asked.evidence,
        approvers=people,
        subject=f"May {version.name} serve on? (authorization renewed without a training)",
        body=renewal_page(
            config, row, asked, found.until, found.approvals, settings=platform.settings
        ),
    )


def decline(platform: Installation, version: VersionRef, *, user: str, note: str) -> str:
    """Write down that an approver does not renew, and why; the authorization lasts until its end.

    Raises:
        NotPermitted: The person is no approver.
        ReasonMissing: She wrote none.
    """
    if not platform.config.allows(user, Role.APPROVER):
        raise NotPermitted(
            f"{user} is not an approver and may not decide about {version.name}.",
            still_safe="Nothing was recorded; its authorization lasts until its end.",
            next_step="Clear this task and let an approver answer.",
        )
    if not note.strip():
        raise ReasonMissing(
            f"{user} does not renew {version.name} and wrote no reason; its owner needs it.",
            still_safe="Nothing was recorded; its authorization lasts until its end.",
            next_step=approval.ANSWER_AGAIN,
        )
    NOTE.require(note, "note", still_safe="Nothing was recorded; the window can open again.")
    with platform.database.begin() as connection:
        until = read(connection, version).until
        platform.ledger.note(
            connection,
            subject=f"authorization:{version.id}",
            actor=user,
            body={
                "version": version.name,
                "answer": "not renewed",
                "reason": note,
                "until": str(until),
            },
            op_key=op_key(
                "authorization.decline",
                f"mv:{version.id}",
                {"approver": user.casefold(), "until": str(until)},
            ),
        )
    return f"{user} does not renew {version.name}; its authorization ends as it stands"


def renew(
    platform: Installation,
    model: str,
    number: int | None = None,
    *,
    user: str,
    note: str = "",
    shown: tuple[str, str] | None = None,
) -> Renewal:
    """Approve once more what a version is, without a training; in a person's name.

    It needs the same role, second person and quorum as the approval before, and the same bytes and
    evidence. A gate's excuse is not renewed by it.

    Args:
        platform: The installation.
        model: Name of the model.
        number: The version; None for the champion.
        user: The approver.
        note: What she wrote.
        shown: Artifact and evidence that she was shown; None for those of now.

    Raises:
        NotPermitted: The person may not, the evidence is another one, or an excuse has ended.
        StateConflict: There is no such version, or it neither serves nor may serve again.
    """
    config, _ = load_model(platform.settings.include, model)
    with traffic.turn(platform, _wanted(platform, model, number).id, actor=user) as mine:
        platform.ledger.take_turn(mine.connection)
        by = authority.in_force(platform, mine.connection, seen_by="renewal")
        row = versions.lock(mine.connection, mine.version.id)
        require_evidence(mine.connection, row.id)
        asked = question(mine.connection, row, config.risk_tier)
        answers = approvals.answers_of(mine.connection, row.id)
        now = platform.clock.now()
        end = now + timedelta(days=config.approval.valid_days)
        artifact, evidence = shown or (asked.artifact, asked.evidence)
        given = ApprovalAnswer(user, Choice.APPROVE, artifact, evidence, end)
        allowed = by.config.allows(user, Role.APPROVER)
        is_new = approval.admit(
            asked, answers, given, is_approver=allowed, after=max(now, end - _LEAST)
        )
        if is_new:
            _require_excused(mine, row, now)
            record(platform, mine.connection, mine.version, given, answers, note=note, by=by)
            answers = [*answers, given]
        plan = traffic.restate(mine, reason=f"{user} renews the authorization of {row.name}")
        found = read(mine.connection, mine.version)
    generation = plan.generation if plan else None
    return Renewal(found, _missing(asked, answers, now), generation, is_new)


def _missing(asked: ApprovalQuestion, answers: Sequence[ApprovalAnswer], now: datetime) -> int:
    """Approvers of the quorum whose approval ends sooner than the newest one by a day or more."""
    newest = max(answer.expires_at for answer in answers)
    after = max(now, newest - _LEAST)
    return approval.standing(asked, answers, now=after).missing


def _wanted(platform: Installation, model: str, number: int | None) -> VersionRef:
    with platform.database.begin() as connection:
        if number is None:
            found = next(iter(versions.in_state(connection, model, (State.CHAMPION,))), None)
        else:
            found = versions.get(connection, model, number)
    if found is not None and found.state in RENEWABLE:
        return found
    name = f"{model}@{number}" if number is not None else f"A champion of {model}"
    why = f"is {found.state}" if found is not None else "does not exist"
    raise StateConflict(
        f"{name} {why}; only {', '.join(RENEWABLE)} versions have an authorization to renew.",
        still_safe="No approval was recorded and no traffic moved.",
        next_step=f"`tenure authorization show {model}` lists what serves.",
    )


def _require_excused(mine: traffic.Turn, row: VersionRow, now: datetime) -> None:
    """Refuse to renew what an excuse that has ended let through."""
    ended = {stage: until for stage, until in excuses(mine.connection, row).items() if until <= now}
    for stage, until in ended.items():
        why = f"did not pass its {stage} gate and was excused"
        if stage == BY_GROUP:
            why = "decides people by thresholds of their group, which somebody answered for"
        raise NotPermitted(
            f"{row.name} {why} until {until:%Y-%m-%d}; an approval does not renew an excuse.",
            still_safe="No approval was recorded; the declared rule answers in its place.",
            next_step="Train a version that passes, or one under an excuse that is dated anew.",
        )


def _latest(
    asked: ApprovalQuestion, answers: Sequence[ApprovalAnswer]
) -> tuple[tuple[str, datetime], ...]:
    ends: dict[str, tuple[str, datetime]] = {}
    for one in answers:
        is_bound = (one.artifact, one.evidence) == (asked.artifact, asked.evidence)
        if one.choice is Choice.APPROVE and is_bound:
            ends[one.approver.casefold()] = (one.approver, one.expires_at)
    return tuple(sorted(ends.values(), key=lambda found: found[1], reverse=True))
