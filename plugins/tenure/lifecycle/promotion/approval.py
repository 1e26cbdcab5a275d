"""Who must say yes, bound to exact bytes, until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from tenure.errors import NotPermitted, ReasonMissing
from tenure.lifecycle.policy import Policy
from tenure.vocabulary import digest_json, op_key

RiskTier = Literal["minimal", "limited", "high"]

QUORUM: dict[str, int] = {"minimal": 1, "limited": 1, "high": 2}
"""Distinct approvers that each risk tier needs."""

ACTION = "serve"
"""What an approval allows: to serve this artifact. The database counts approvals of this action."""

_SAFE = "No answer was recorded and no traffic moved; the champion keeps serving."
ANSWER_AGAIN = (
    "Answer once more, with a text in Reason: the required action opens again by itself within a "
    "minute. If it does not, no try is left: clear this task."
)
"""After an answer without its reason, which Airflow's form cannot ask for by option."""


class ApprovalPolicy(Policy):
    """How long an approval holds and how long the question stays open."""

    valid_days: int = Field(default=30, ge=1)
    """Days that an approval holds."""
    ask_hours: int = Field(default=72, ge=1)
    """Hours that the question stays open."""


class Choice(StrEnum):
    """A human answer; `reject` is an answer like the other, not an error."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True)
class Caution:
    """What an approver has to know before any number.

    `kind` is `same_bytes` (they were refused before), `excused` (from a gate, until a date) or
    `lowered`: a gate asks less than before, or nobody can tell.
    """

    kind: Literal["same_bytes", "excused", "lowered"]
    text: str


@dataclass(frozen=True)
class ApprovalQuestion:
    """What an approver is asked about one version, and by whom it may be answered.

    `quorum` is the number of distinct approvers; `evidence` the digest of the reports that were
    shown, see `evidence_digest`.
    """

    name: str
    trained_by: str
    artifact: str
    evidence: str
    quorum: int


@dataclass(frozen=True)
class ApprovalAnswer:
    """An approval row: who answered what, about which bytes and which evidence, until when."""

    approver: str
    choice: Choice
    artifact: str
    evidence: str
    expires_at: datetime


@dataclass(frozen=True)
class ApprovalState:
    """Where a question stands: who approved validly, who rejected, how many are missing."""

    approvers: tuple[str, ...]
    rejected_by: tuple[str, ...]
    missing: int

    @property
    def is_approved(self) -> bool:
        """Enough distinct people approved and nobody rejected."""
        return self.missing == 0 and not self.rejected_by


def evidence_digest(*, artifact: str, evaluation: str, bias: str, onnx: str | None = None) -> str:
    """What an approval is bound to besides the artifact: the reports that were shown.

    And the ONNX file, when the version has one: it answers in the artifact's place.
    """
    shown = {"artifact": artifact, "bias": bias, "evaluation": evaluation}
    return digest_json(shown if onnx is None else shown | {"onnx": onnx})


def quorum_of(*risk_tiers: str) -> int:
    """The strictest quorum of the tiers that the config and the database name."""
    return max(QUORUM.get(tier, max(QUORUM.values())) for tier in risk_tiers)


def may_answer(
    question: ApprovalQuestion,
    answers: Sequence[ApprovalAnswer],
    approvers: Sequence[str],
    *,
    after: datetime,
) -> tuple[str, ...]:
    """Users who may still answer: approvers who did not train the version, nor answered.

    Who said yes may say so again when that does not hold `after` a moment.
    """
    done = {a.approver.casefold() for a in answers if _holds(a, after)}
    free = independent(approvers, question.trained_by)
    return tuple(name for name in free if name.casefold() not in done)


def independent(approvers: Sequence[str], trained_by: str) -> tuple[str, ...]:
    """Approvers who did not train the version, each once; names compare without case."""
    others = {n.casefold(): n for n in approvers if n.casefold() != trained_by.casefold()}
    return tuple(others.values())


def admit(
    question: ApprovalQuestion,
    answers: Sequence[ApprovalAnswer],
    answer: ApprovalAnswer,
    *,
    is_approver: bool,
    after: datetime,
) -> bool:
    """Judge whether an answer counts.

    Args:
        question: What was asked.
        answers: Every answer so far.
        answer: The new one.
        is_approver: Whether the person has the role.
        after: An approval of the same person that holds after this moment is not renewed yet.

    Returns:
        False when the same person gave the same answer to the same bytes already and it holds.

    Raises:
        NotPermitted: The wrong person, other bytes than those asked about, or a second opinion of
            somebody who answered already.
    """
    user = answer.approver
    if not is_approver:
        raise _refused(
            f"{user} is not an approver, so {question.name} stays unanswered.",
            "Clear this task and let an approver answer; roles stand in "
            "include/configs/platform.yaml.",
        )
    if user.casefold() == question.trained_by.casefold():
        raise _refused(
            f"{user} trained {question.name} and may not approve or reject it.",
            "Clear this task and let another approver answer.",
        )
    if (answer.artifact, answer.evidence) != (question.artifact, question.evidence):
        raise _refused(
            f"The answer of {user} is about artifact {answer.artifact[:12]} with evidence "
            f"{answer.evidence[:12]}; {question.name} is artifact {question.artifact[:12]} with "
            f"evidence {question.evidence[:12]}.",
            "Clear this task: the question is asked again with what is true now.",
        )
    return _is_new(question, answers, answer, after)


def require_reason(
    question: ApprovalQuestion, user: str, choice: Choice, note: str, cautions: Sequence[Caution]
) -> None:
    """Refuse a rejection, or a yes to a lowered gate, of which nobody would know why.

    Args:
        question: What was asked.
        user: Who answered.
        choice: What was answered.
        note: What the person wrote.
        cautions: What was to be read first.

    Raises:
        ReasonMissing: There is none.
    """
    if note.strip():
        return
    lowered = [one.text for one in cautions if one.kind == "lowered"]
    if choice is Choice.REJECT:
        why = f"{user} rejected {question.name} and wrote no reason; its owner needs it."
    elif lowered:
        why = (
            f"{user} approved {question.name} without a reason, and {len(lowered)} of its gates "
            f"may ask less than before: {lowered[0]}."
        )
    else:
        return
    raise ReasonMissing(why, still_safe=_SAFE, next_step=ANSWER_AGAIN)


def begin_key(model: str, run_id: str) -> str:
    """Of the ledger event that says which version a run of `promote_model` is about."""
    return op_key("promotion.begin", f"model:{model}", {"run_id": run_id})


def standing(
    question: ApprovalQuestion, answers: Sequence[ApprovalAnswer], *, now: datetime
) -> ApprovalState:
    """Count the answers that hold: for these bytes and this evidence, in date, by another person.

    A rejection never expires.
    """
    bound = _bound(question, answers)
    yes = {
        a.approver.casefold() for a in bound if a.choice is Choice.APPROVE and a.expires_at > now
    }
    no = {a.approver.casefold() for a in bound if a.choice is Choice.REJECT}
    return ApprovalState(tuple(sorted(yes)), tuple(sorted(no)), max(0, question.quorum - len(yes)))


def authorized_until(
    question: ApprovalQuestion,
    answers: Sequence[ApprovalAnswer],
    *,
    excused_until: Sequence[datetime] = (),
) -> datetime | None:
    """When the authorization of a version ends, or ended: with its quorum, or with an excuse.

    Each approver counts once, until the latest end that she gave; the quorum holds as long as so
    many of them do. A quorum that was raised since takes nothing away: what fewer people gave lasts
    until the first of their ends, and cannot be renewed by so few.

    Args:
        question: The question about the version as it is now.
        answers: Every answer about it.
        excused_until: The ends of excuses for gates that it did not pass.

    Returns:
        None when nobody ever approved what it is now, fewer than needed did and others something
        else, or somebody rejected it.
    """
    given: dict[str, list[datetime]] = {}
    for answer in _bound(question, answers):
        if answer.choice is Choice.REJECT:
            return None
        given.setdefault(answer.approver.casefold(), []).append(answer.expires_at)
    latest = sorted(map(max, given.values()), reverse=True)
    is_enough = len(latest) >= question.quorum
    if not given or (not is_enough and outdated(question, answers)):
        return None
    quorum = latest[question.quorum - 1] if is_enough else min(map(min, given.values()))
    return min([quorum, *excused_until])


def require_bound(question: ApprovalQuestion, answers: Sequence[ApprovalAnswer]) -> None:
    """Refuse a version whose evidence is not what its approvers saw, whatever their dates.

    Raises:
        NotPermitted: Too few of them approved what is true now.
    """
    stands = standing(question, answers, now=datetime.min.replace(tzinfo=UTC))
    if not stands.approvers or (stands.missing and outdated(question, answers)):
        raise NotPermitted(
            f"{question.name} has {len(stands.approvers)} of {question.quorum} approvals of what "
            f"it is now.{outdated(question, answers)}",
            still_safe="No plan was changed; gateways keep the traffic plan in force.",
            next_step="Find out who changed the version's row. What nobody serves yet, other "
            "approvers may answer for: clear `review`. A canary: `tenure rollback`.",
        )


def outdated(question: ApprovalQuestion, answers: Sequence[ApprovalAnswer]) -> str:
    """A sentence on approvals of something else, beginning with a space; empty without any."""
    people = sorted(
        a.approver
        for a in answers
        if a.choice is Choice.APPROVE and a.evidence != question.evidence
    )
    if not people:
        return ""
    return f" {', '.join(people)} approved it with another report or another ONNX file."


def _bound(question: ApprovalQuestion, answers: Sequence[ApprovalAnswer]) -> list[ApprovalAnswer]:
    """Answers about these bytes and this evidence, by others than who trained it."""
    return [
        a
        for a in answers
        if (a.artifact, a.evidence) == (question.artifact, question.evidence)
        and a.approver.casefold() != question.trained_by.casefold()
    ]


def _is_new(
    question: ApprovalQuestion,
    answers: Sequence[ApprovalAnswer],
    answer: ApprovalAnswer,
    after: datetime,
) -> bool:
    user = answer.approver
    before = [a for a in answers if a.approver.casefold() == user.casefold()]
    if not before:
        return True
    first = before[0]
    same = (first.choice, first.artifact, first.evidence) == (
        answer.choice,
        answer.artifact,
        answer.evidence,
    )
    if not same:
        raise _refused(
            f"{user} answered {first.choice} for {question.name} already; answers are kept and "
            f"do not change, and each seat of the quorum is another person.",
            "Clear this task and let another approver answer.",
        )
    return not any(_holds(a, after) for a in before)


def _holds(answer: ApprovalAnswer, after: datetime) -> bool:
    """Whether an answer stands after a moment; a rejection always does."""
    return answer.choice is Choice.REJECT or answer.expires_at > after


def _refused(what: str, next_step: str) -> NotPermitted:
    return NotPermitted(what, still_safe=_SAFE, next_step=next_step)
