"""Asking people whether a version may serve, and keeping their answers.

Import it inside functions: it loads SQLAlchemy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from tenure.adapters.sql import approvals, versions
from tenure.config import load_model
from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.installation.provenance import lock_digest
from tenure.layout import approval_link
from tenure.lifecycle.incidents.alert_text import QuestionFacts, question_body
from tenure.lifecycle.model_version import VersionRow
from tenure.lifecycle.promotion import approval
from tenure.lifecycle.promotion.approval import (
    ApprovalAnswer,
    ApprovalQuestion,
    ApprovalState,
    Choice,
)
from tenure.usecases.evaluation import evidence
from tenure.usecases.incidents.alerts import enqueue_alert
from tenure.usecases.promotion import authority
from tenure.usecases.promotion.approval_question import question as question_of
from tenure.usecases.promotion.approval_question import read_first
from tenure.verdicts import Report, Verdict
from tenure.views.approvals import page
from tenure.vocabulary import NOTE, Role, RunRef, State, VersionRef, op_key

if TYPE_CHECKING:
    from sqlalchemy import Connection

OPEN = (State.VALIDATED, State.APPROVED, State.CANARY)
"""States in which a promotion has something to do."""
NAMED = (*OPEN, State.CHAMPION, State.SUPERSEDED)
"""States of a version that a form may name: what serves, or may again, is renewed."""


@dataclass(frozen=True)
class SeatQuestion:
    """What the window of one seat shows; `approvers` may answer it now.

    `artifact` and `evidence` are the digests that the answer will be bound to. `needs_reason` says
    that a yes needs a reason as well: a gate asks less than before. `cautions` are how many things
    are to be read first.
    """

    version: VersionRef
    artifact: str
    evidence: str
    approvers: tuple[str, ...]
    subject: str
    body: str
    needs_reason: bool = False
    cautions: int = 0


@dataclass(frozen=True)
class ApprovalResult:
    """What an answer or the closing of the question led to."""

    version: VersionRef
    standing: ApprovalState
    summary: str
    report: str


def find_work(
    platform: Installation, model: str, run: RunRef, wanted: int | None = None
) -> VersionRef | None:
    """The version that this run promotes, or None when there is nothing to do.

    The newest version that is validated, approved or in canary, unless the form names one. The
    choice is noted in the ledger once a run: every seat and every later try sees the same version,
    whatever was validated meanwhile.
    """
    key = approval.begin_key(model, run.run_id)
    with platform.database.begin() as connection:
        chosen = approvals.chosen_version(connection, key)
        if chosen is not None:
            return versions.get(connection, model, chosen)
        version = _choose(connection, model, wanted)
        if version is None:
            return None
        platform.ledger.note(
            connection,
            subject=f"promotion:{model}",
            actor=run.user or run.dag_id,
            body={
                "version": version.version,
                "run_id": run.run_id,
                "renews": version.state not in OPEN,
            },
            op_key=key,
        )
        chosen = approvals.chosen_version(connection, key)  # another try may have been first
        return None if chosen is None else versions.get(connection, model, chosen)


def renews(platform: Installation, model: str, run: RunRef) -> bool:
    """Whether the version of this run served when the run began: it is renewed, not promoted."""
    with platform.database.begin() as connection:
        return approvals.began_as_renewal(connection, approval.begin_key(model, run.run_id))


def ask(platform: Installation, version: VersionRef) -> SeatQuestion | None:
    """What to show to an approver, or None when nobody needs to be asked any more.

    Raises:
        NotPermitted: Nobody is left who may fill the seat.
    """
    config, _ = load_model(platform.settings.include, version.model)
    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, version.id)
        question = question_of(connection, row, config.risk_tier)
        answers = approvals.answers_of(connection, version.id)
        first = read_first(connection, row)
    moment = platform.clock.now()
    now = approval.standing(question, answers, now=moment)
    if row.state not in {State.VALIDATED, State.APPROVED} or now.is_approved:
        return None
    approvers = authority.people(platform, Role.APPROVER)
    people = approval.may_answer(question, answers, approvers, after=moment)
    if not people:
        raise NotPermitted(
            f"{question.name} needs {question.quorum} approvals and has {len(now.approvers)}; no "
            f"approver is left who neither trained it ({question.trained_by}) nor answered.",
            still_safe="The version waits; the champion keeps serving.",
            next_step="Add an approver to include/configs/platform.yaml and clear this task.",
        )
    shown = {
        "Evaluation": evidence.stored(platform, row.evaluation_report),
        "Bias audit": evidence.stored(platform, row.bias_report),
    }
    return SeatQuestion(
        version=version,
        artifact=question.artifact,
        evidence=question.evidence,
        approvers=people,
        subject=f"May {question.name} serve? ({len(now.approvers)} of {question.quorum} approved)",
        body=page(
            config,
            row,
            question,
            shown,
            first=[one.text for one in first],
            settings=platform.settings,
        ),
        needs_reason=any(one.kind == "lowered" for one in first),
        cautions=len(first),
    )


def announce(platform: Installation, asked: SeatQuestion, run: RunRef, *, hours: int) -> bool:
    """Promise the approvers a message that they are asked; once a run, however many its seats.

    Args:
        platform: The installation.
        asked: What the window shows.
        run: The task that asks.
        hours: How long the window stays open.

    Returns:
        Whether it was not promised before.
    """
    version = asked.version
    facts = QuestionFacts(
        subject=version.name,
        question=asked.subject,
        approvers=asked.approvers,
        until=platform.clock.now() + timedelta(hours=hours),
        cautions=asked.cautions,
        url=approval_link(platform.settings.airflow_url, version.model, version.version),
    )
    intent = {"run_id": run.run_id, "evidence": asked.evidence}
    with platform.database.begin() as connection:
        return enqueue_alert(
            platform,
            connection,
            question_body(facts),
            op_key=op_key("approval.asked", f"mv:{version.id}", intent),
        )


def answer(
    platform: Installation,
    asked: tuple[int, str, str],
    *,
    user: str,
    choice: Choice,
    run: RunRef,
    note: str = "",
) -> ApprovalResult:
    """Record one person's answer; the last one that is missing moves the version.

    Args:
        platform: The installation.
        asked: Version id, artifact digest and evidence digest, as they were shown.
        user: Who answered, as the event says; never read from XCom.
        choice: What was answered.
        run: The task that asked.
        note: What the person wrote: a rejection, and a yes to a lowered gate, need it.

    Raises:
        NotPermitted: The answer does not count; nothing is recorded.
    """
    version_id, artifact, evidence = asked
    if note:
        NOTE.require(note, "note", still_safe="No answer was recorded; the window can open again.")
    version = _version(platform, version_id)
    config, _ = load_model(platform.settings.include, version.model)
    now = platform.clock.now()
    given = ApprovalAnswer(
        user, choice, artifact, evidence, now + timedelta(days=config.approval.valid_days)
    )
    with platform.database.begin() as connection:
        # The ledger's lock comes first: seats that are answered together count one after the other.
        platform.ledger.take_turn(connection)
        by = authority.in_force(platform, connection, seen_by=run.dag_id)
        row = versions.lock(connection, version_id)
        question = question_of(connection, row, config.risk_tier)
        before = approvals.answers_of(connection, version_id)
        allowed = by.config.allows(user, Role.APPROVER)
        if approval.admit(question, before, given, is_approver=allowed, after=now):
            _still_open(row, choice)
            approval.require_reason(question, user, choice, note, read_first(connection, row))
            record(platform, connection, version, given, before, note=note, by=by)
            before = [*before, given]
        now_stands = approval.standing(question, before, now=now)
        _move(platform, connection, versions.get_by_id(connection, version_id), now_stands, user)
    return _outcome(platform, version_id, question, now_stands, run)


def record(
    platform: Installation,
    connection: "Connection",
    version: VersionRef,
    given: ApprovalAnswer,
    before: Sequence[ApprovalAnswer],
    *,
    note: str,
    by: authority.Authority,
) -> None:
    """Append an answer that was admitted, with its event in the ledger.

    `before` are the answers so far: the key counts those of this person, since she may renew hers.
    `by` is the revision of `platform.yaml` that allowed her to answer.
    """
    written = approvals.ApprovalRow.of(version, given, note)
    person = given.approver.casefold()
    intent = {
        "approver": person,
        "choice": given.choice,
        "artifact": given.artifact,
        "evidence": given.evidence,
        "number": sum(a.approver.casefold() == person for a in before),
    }
    platform.ledger.note(
        connection,
        subject=written.subject,
        actor=given.approver,
        body={
            "version": version.name,
            "answer": given.choice,
            "artifact": given.artifact,
            "row": written.digest,
            "platform": by.digest,
            "expires_at": given.expires_at.astimezone(UTC).isoformat(),
            "lock": lock_digest(),
        },
        op_key=op_key("approval.answer", f"mv:{version.id}", intent),
    )
    approvals.record(connection, written)


def conclude(platform: Installation, version: VersionRef, run: RunRef) -> ApprovalResult:
    """Close the question: move what a killed task left unmoved, and say where it stands.

    Raises:
        NotPermitted: Approvals are missing or have expired.
    """
    config, _ = load_model(platform.settings.include, version.model)
    with platform.database.begin() as connection:
        row = versions.row_by_id(connection, version.id)
        question = question_of(connection, row, config.risk_tier)
        answers = approvals.answers_of(connection, version.id)
        stands = approval.standing(question, answers, now=platform.clock.now())
        last = answers[-1].approver if answers else run.dag_id
        _move(platform, connection, versions.get_by_id(connection, version.id), stands, last)
    waits = row.state in {State.VALIDATED, State.APPROVED}
    if waits and not stands.is_approved and not stands.rejected_by:
        raise NotPermitted(
            f"{question.name} has {len(stands.approvers)} of {question.quorum} valid approvals "
            f"({', '.join(stands.approvers) or 'nobody'})."
            f"{approval.outdated(question, answers)}",
            still_safe="It gets no traffic; the champion keeps serving.",
            next_step="Clear `review`: the missing seats are asked again.",
        )
    return _outcome(platform, version.id, question, stands, run)


def _choose(connection: "Connection", model: str, wanted: int | None) -> VersionRef | None:
    if wanted is None:
        return next(iter(versions.in_state(connection, model, OPEN)), None)
    version = versions.get(connection, model, wanted)
    if version is None or version.state not in NAMED:
        raise StateConflict(
            f"{model}@{wanted} is {version.state if version else 'unknown'}; only a version that "
            "is validated, approved or in canary can be promoted, and one that is champion or "
            "superseded be renewed.",
            still_safe="Nothing was changed; the champion keeps serving.",
            next_step="Trigger the DAG with another version, or with none for the newest.",
        )
    return version


def _still_open(row: VersionRow, choice: Choice) -> None:
    if row.state not in {State.VALIDATED, State.APPROVED}:
        raise StateConflict(
            f"{row.name} is {row.state} already; the answer {choice} came "
            "too late and was not recorded.",
            still_safe="What was decided before stands.",
            next_step="To take it out of traffic: `tenure rollback "
            f"{row.model} --version {row.version}`.",
        )


def _move(
    platform: Installation,
    connection: "Connection",
    version: VersionRef,
    stands: ApprovalState,
    actor: str,
) -> None:
    """Validated or approved becomes rejected; validated becomes approved; else nothing."""
    if stands.rejected_by and version.state in {State.VALIDATED, State.APPROVED}:
        target, people = State.REJECTED, stands.rejected_by
    elif stands.is_approved and version.state is State.VALIDATED:
        target, people = State.APPROVED, stands.approvers
    else:
        return
    platform.ledger.move(
        connection,
        version,
        target,
        actor=actor,
        body={"by": list(people), "artifact": version.artifact_digest},
        op_key=op_key(f"approval.{target}", f"mv:{version.id}", {"from": version.generation}),
    )


def _outcome(
    platform: Installation,
    version_id: int,
    question: ApprovalQuestion,
    stands: ApprovalState,
    run: RunRef,
) -> ApprovalResult:
    version = _version(platform, version_id)
    if stands.rejected_by:
        verdict, said = Verdict.FAILED, f"rejected by {', '.join(stands.rejected_by)}"
    else:
        verdict = Verdict.PASSED if stands.is_approved else Verdict.INCONCLUSIVE
        said = (
            f"approved by {', '.join(stands.approvers) or 'nobody'} "
            f"({len(stands.approvers)} of {question.quorum})"
        )
    summary = f"{question.name} {said}, artifact {question.artifact[:12]}"
    report = Report(
        stage="approval",
        subject=question.name,
        verdict=verdict,
        summary=summary,
        facts={
            "approvers": list(stands.approvers),
            "rejected_by": list(stands.rejected_by),
            "quorum": question.quorum,
            "artifact_digest": question.artifact,
            "evidence_digest": question.evidence,
            "trained_by": question.trained_by,
        },
        enforced=True,
    )
    digest = platform.reports.save(report, model=version.model, dataset=None, run=run)
    return ApprovalResult(version, stands, summary, digest)


def _version(platform: Installation, version_id: int) -> VersionRef:
    with platform.database.begin() as connection:
        return versions.get_by_id(connection, version_id)
