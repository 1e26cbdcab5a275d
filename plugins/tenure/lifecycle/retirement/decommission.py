"""Retiring a model version in steps, each proven before the next."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from tenure.layout import archive_prefix
from tenure.lifecycle.policy import Policy
from tenure.lifecycle.retirement.manifest import Item, Manifest, may_be_deleted, read_manifest
from tenure.vocabulary import Role, State

__all__ = [
    "ABANDONED_AFTER",
    "REQUESTERS",
    "RETIRABLE",
    "DecommissionPolicy",
    "DecommissionStep",
    "Item",
    "Manifest",
    "NextAction",
    "Permit",
    "Progress",
    "StepAction",
    "archive_prefix",
    "is_abandoned",
    "may_be_deleted",
    "next_step",
    "permit",
    "person_refusal",
    "question",
    "read_manifest",
    "refusal",
    "second_people",
]

RETIRABLE = (State.SUPERSEDED, State.ROLLED_BACK, State.REJECTED)
"""States from which a version may retire: it serves nobody."""
REQUESTERS = (Role.DECOMMISSIONER, Role.OPERATOR)
"""Roles that may ask for a retirement; the model's owner may as well."""


def second_people(decommissioners: Sequence[str], requested_by: str) -> list[str]:
    """Decommissioners who may confirm what a person asked for; names compare without case."""
    return [name for name in decommissioners if name.casefold() != requested_by.casefold()]


ABANDONED_AFTER = timedelta(minutes=15)
"""A step that has been due for so long has no run that works on it; maintenance takes it up."""


class DecommissionPolicy(Policy):
    """Delays before irreversible steps."""

    notice_days: int = Field(default=30, ge=0)
    """Days between notifying the consumers and refusing access."""
    retain_days: int = Field(default=365, ge=0)
    """Days that the artifact outlives its archiving."""


class DecommissionStep(StrEnum):
    """What was done last; `refused` and `withdrawn` end an attempt, a new request may follow."""

    REQUESTED = "requested"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    CONFIRMED = "confirmed"
    NOTIFIED = "notified"
    REVOKED = "revoked"
    ARCHIVED = "archived"
    DELETED = "deleted"
    RECORDED = "recorded"


class StepAction(StrEnum):
    """What is to be done next."""

    CONFIRM = "confirm"
    NOTIFY = "notify"
    ARCHIVE = "archive"
    DELETE = "delete"
    RECORD = "record"
    NOTHING = "nothing"
    WITHDRAW = "withdraw"


@dataclass(frozen=True)
class Progress:
    """How far the retirement of one version is, as the database says."""

    id: int
    version_id: int
    model: str
    version: int
    state: State
    step: DecommissionStep
    reason: str
    successor: str
    requested_by: str
    second_person: str | None
    legal_hold: bool
    archive_key: str | None
    archive_digest: str | None
    created_at: datetime
    notified_at: datetime | None
    revoked_at: datetime | None
    verified_at: datetime | None
    retain_until: datetime | None
    deleted_at: datetime | None
    record_digest: str | None

    @property
    def name(self) -> str:
        """`model@version`."""
        return f"{self.model}@{self.version}"


@dataclass(frozen=True)
class NextAction:
    """The next action, from when on it may be done, and what stands in its way."""

    action: StepAction
    due: datetime | None = None
    blocked: str | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it may be done now."""
        return self.blocked is None and (self.due is None or now >= self.due)


def next_step(progress: Progress, policy: DecommissionPolicy) -> NextAction:
    """What comes next for a retirement; irreversible work waits for its date and its people.

    A version that came back to life (a rollback made it champion again) withdraws the request.
    """
    ended = progress.step in {DecommissionStep.REFUSED, DecommissionStep.WITHDRAWN}
    if ended or progress.record_digest is not None:
        return NextAction(StepAction.NOTHING)
    if progress.state in RETIRABLE:
        return _before_retiring(progress, policy)
    after = {
        State.RETIRING: NextAction(StepAction.ARCHIVE, progress.revoked_at),
        State.ARCHIVED: NextAction(StepAction.DELETE, progress.retain_until, _hold(progress)),
        State.DELETED: NextAction(StepAction.RECORD, progress.deleted_at),
    }
    return after.get(progress.state, NextAction(StepAction.WITHDRAW))


def _before_retiring(progress: Progress, policy: DecommissionPolicy) -> NextAction:
    if progress.second_person is None:
        return NextAction(StepAction.CONFIRM, blocked=f"{progress.name} waits for a second person")
    if progress.notified_at is None:
        return NextAction(StepAction.NOTIFY, progress.created_at)
    due = progress.notified_at + timedelta(days=policy.notice_days)
    return NextAction(StepAction.ARCHIVE, due, _hold(progress))


def _hold(progress: Progress) -> str | None:
    return f"{progress.name} is on legal hold" if progress.legal_hold else None


class Permit(StrEnum):
    """Whether a run may do a step: go, or it is done, or the run must end here and wait."""

    GO = "go"
    DONE = "done"
    WAIT = "wait"


_ORDER = (
    StepAction.CONFIRM,
    StepAction.NOTIFY,
    StepAction.ARCHIVE,
    StepAction.DELETE,
    StepAction.RECORD,
)


def permit(
    action: StepAction, progress: Progress, policy: DecommissionPolicy, now: datetime
) -> tuple[Permit, str]:
    """Whether a step may be done now, and why not in words for the task's log."""
    if progress.step in {DecommissionStep.REFUSED, DecommissionStep.WITHDRAWN}:
        return Permit.WAIT, f"The retirement of {progress.name} was {progress.step}."
    step = next_step(progress, policy)
    if step.action is StepAction.WITHDRAW:
        return Permit.WAIT, f"{progress.name} is {progress.state} again; it does not retire."
    if step.action is StepAction.NOTHING or _ORDER.index(step.action) > _ORDER.index(action):
        return Permit.DONE, f"{action} of {progress.name} was done already."
    if step.blocked is not None:
        return Permit.WAIT, f"{step.blocked}."
    if step.action is not action or not step.is_due(now):
        due = f", due on {step.due:%Y-%m-%d %H:%M} UTC" if step.due else ""
        return Permit.WAIT, f"{progress.name}: next comes {step.action}{due}."
    return Permit.GO, ""


def is_abandoned(progress: Progress, policy: DecommissionPolicy, now: datetime) -> bool:
    """Whether a step is due and nobody works on it: its run waited for a date, or was killed."""
    step = next_step(progress, policy)
    if step.action in {StepAction.NOTHING, StepAction.CONFIRM} or step.blocked is not None:
        return False
    due = step.due or progress.created_at
    return now >= due + ABANDONED_AFTER


def refusal(state: State, *, in_live_plan: bool) -> str | None:
    """Why a version may not be retired, or None when it may.

    Args:
        state: Its state.
        in_live_plan: Whether the newest traffic plan names it.
    """
    if in_live_plan:
        return "the traffic plan in force still names it"
    if state not in RETIRABLE:
        allowed = ", ".join(RETIRABLE)
        return f"it is {state}; only {allowed} versions retire"
    return None


def person_refusal(
    person: str | None, *, roles: Collection[Role], requested_by: str | None = None
) -> str | None:
    """Why this person may not confirm a retirement, or None when she may.

    Args:
        person: User name; None when nobody answered.
        roles: Her roles.
        requested_by: Who asked for the retirement.
    """
    if not person:
        return "nobody who is known answered"
    if Role.DECOMMISSIONER not in roles:
        return f"{person} does not have the role {Role.DECOMMISSIONER}"
    if requested_by is not None and person.casefold() == requested_by.casefold():
        return f"{person} asked for the retirement, so somebody else must confirm it"
    return None


def question(
    progress: Progress, policy: DecommissionPolicy, *, consumers: Sequence[str], keys: Sequence[str]
) -> str:
    """What the second person confirms, in Markdown: the blast radius and the dates.

    Args:
        progress: The request.
        policy: Delays.
        consumers: Names of those who are told.
        keys: Originals that will be deleted in the end.
    """
    told = ", ".join(consumers) or "nobody uses it"
    gone = "\n".join(f"- `{key}`" for key in keys) or "- nothing"
    return (
        f"**{progress.requested_by}** asks to retire **{progress.name}** ({progress.state}).\n\n"
        f"Reason: {progress.reason}\n\nSuccessor: {progress.successor or 'none'}\n\n"
        f"Told: {told}; access ends {policy.notice_days} days later (HTTP 410).\n\n"
        f"Archived, read back and compared; {policy.retain_days} days later deleted for good:\n"
        f"{gone}\n"
    )
