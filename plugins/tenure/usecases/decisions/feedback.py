"""What people think of decisions: given on a page, and joined to the decisions that are meant."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tenure.errors import NotPermitted, StateConflict, TextRefused
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.layout import DECISIONS, log_prefix
from tenure.lifecycle.decisions.feedback import (
    MATCHED_WITHIN,
    FeedbackState,
    FeedbackVerdict,
)
from tenure.usecases.decisions.replay import look_up
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.vocabulary import REASON, Role

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from tenure.adapters.decision_files import LoggedDecision
    from tenure.adapters.sql.feedback import DecidedFact, GivenFeedback

AT_ONCE = 2_000
"""Pieces of one model that one run looks for, so that other maintenance does not wait."""
_SHOWN = 3
_SAFE = "Nothing was kept; the decision log was not changed."


@dataclass(frozen=True)
class FeedbackCounts:
    """Feedback that found its decision in this run, waits for it, or names none."""

    joined: int
    waiting: int
    unmatched: int


def give(
    platform: Installation,
    decision_id: str,
    *,
    model: str,
    user: str,
    verdict: FeedbackVerdict,
    reason: str = "",
    answer: str = "",
) -> str:
    """Keep what a person of the pages thinks of a decision; of one person the newest counts.

    Args:
        platform: The installation.
        decision_id: Of the decision.
        model: Whose decision it is said to be.
        user: Who says so.
        verdict: What she thinks.
        reason: Why; compulsory unless she accepts.
        answer: What was answered instead, as a label is written; empty where she says none.

    Returns:
        The feedback's id.

    Raises:
        NotPermitted: The person is no operator.
        TextRefused: The reason is missing or cannot be kept, or the answer is none of the model.
        StateConflict: The decision log has no such decision of this model.
    """
    from tenure.adapters.sql import feedback

    _permit(platform, user)
    if verdict.needs_reason or reason:
        REASON.require(reason, "reason", still_safe=_SAFE)
    found = look_up(platform, [decision_id]).get(decision_id)
    if found is None or found.model != model:
        raise StateConflict(
            f"The decision log has no decision {decision_id} of {model}.",
            still_safe=_SAFE,
            next_step="Compare the id with `decision_ids` of the answer. What a gateway decided "
            "just now is in the log within seconds.",
        )
    now, piece = platform.clock.now(), platform.ids.new()
    row = {
        "feedback_id": piece,
        "model": found.model,
        "decision_id": decision_id,
        "given_by": f"user:{user}",
        "verdict": str(verdict),
        "reason": reason,
        "answer": _meaning(platform, found.model, verdict, answer),
        "received_at": now,
    }
    with platform.database.begin() as connection:
        feedback.add(connection, [row])
        _join_one(connection, piece, found, now)
    return piece


def join(platform: Installation) -> FeedbackCounts:
    """Find the decisions that feedback is about; what names none is reported, and kept.

    A model whose log cannot be read is set aside, and the others are done.
    """
    from tenure.adapters.sql import feedback

    now = platform.clock.now()
    with platform.database.begin() as connection:
        models = feedback.models_due(connection, now)
    done = one_by_one(
        platform, "feedback", models, name=str, do=lambda model: _join(platform, model, now)
    )
    return FeedbackCounts(
        joined=sum(one.joined for one in done),
        waiting=sum(one.waiting for one in done),
        unmatched=sum(one.unmatched for one in done),
    )


def _join(platform: Installation, model: str, now: datetime) -> FeedbackCounts:
    """All that is due of a model in one transaction, with its incident."""
    from tenure.adapters.sql import feedback

    with platform.database.begin() as connection:
        rows = feedback.due(connection, model, now, limit=AT_ONCE)
    by_id = look_up(platform, sorted({row.decision_id for row in rows if row.decision_id}))
    by_request = _of_requests(platform, model, rows)
    joined = waiting = unmatched = 0
    with platform.database.begin() as connection:
        for row in rows:
            meant, why = _meant(row, by_id, by_request)
            if meant is not None:
                _join_one(connection, row.feedback_id, meant, now)
                joined += 1
                continue
            is_early = row.received_at + MATCHED_WITHIN > now
            state = FeedbackState.WAITING if is_early else FeedbackState.UNMATCHED
            feedback.not_found(connection, row.feedback_id, state=state, why=why, now=now)
            waiting += is_early
            unmatched += not is_early and row.state is FeedbackState.WAITING
        _report(connection, model, newly=unmatched, now=now)
    failpoint("feedback.joined")
    return FeedbackCounts(joined, waiting, unmatched)


def _of_requests(
    platform: Installation, model: str, rows: "Sequence[GivenFeedback]"
) -> "dict[str, list[LoggedDecision]]":
    """Decisions of the requests that are named, by request id."""
    from tenure.adapters import decision_files

    wanted = {row.request_id for row in rows if row.decision_id is None and row.request_id}
    found: dict[str, list[LoggedDecision]] = defaultdict(list)
    if wanted:
        paths = map(platform.store.fetch, live_keys(platform.store, log_prefix(DECISIONS, model)))
        for decision in decision_files.find_decisions(paths, "request_id", wanted):
            found[decision.request_id].append(decision)
    return found


def _meant(
    row: "GivenFeedback",
    by_id: "dict[str, LoggedDecision]",
    by_request: "dict[str, list[LoggedDecision]]",
) -> "tuple[LoggedDecision | None, str]":
    """The decision that is meant; else None, and why."""
    if row.decision_id is not None:
        found = by_id.get(row.decision_id)
        if found is None:
            return None, f"the decision log has no decision {row.decision_id}"
        if found.model != row.model:
            return None, f"decision {row.decision_id} is one of {found.model}"
        return found, ""
    every = by_request.get(row.request_id or "", [])
    if row.caller is None:
        whose, callers = every, len({one.caller for one in every})
    else:
        whose, callers = [one for one in every if one.caller in {None, row.caller}], 1
    if not whose:
        return None, f"the decision log has no request {row.request_id} of this caller"
    if len(whose) > 1:
        many = f"{callers} callers have" if callers > 1 else f"{len(whose)} decisions have"
        return None, f"{many} the request id {row.request_id}: name the decision id"
    return whose[0], ""


def _join_one(
    connection: "Connection", piece: str, decision: "LoggedDecision", now: datetime
) -> None:
    """Say which decision it is about; of an erased subject reason and answer go at once."""
    from tenure.adapters.sql import feedback, subject_keys

    feedback.join(connection, piece, _fact(decision), now=now)
    keys = subject_keys.find(connection, [decision.subject])
    if decision.subject in keys and keys[decision.subject] is None:
        feedback.forget(connection, [decision.subject], at=now)


def _fact(decision: "LoggedDecision") -> "DecidedFact":
    from tenure.adapters.sql.feedback import DecidedFact

    said = decision.decision if decision.answer is None else decision.answer
    return DecidedFact(
        decision_id=decision.decision_id,
        version=decision.version,
        version_id=decision.version_id,
        subject=decision.subject,
        answered=decision.score if said is None else said,
        decided_at=decision.event_time,
    )


def _report(connection: "Connection", model: str, *, newly: int, now: datetime) -> None:
    """One incident a model while feedback names no decision; it closes when all of it does."""
    from tenure.adapters.sql import feedback, incidents

    key, shown = f"feedback_unmatched:{model}", feedback.unmatched(connection, model, limit=_SHOWN)
    if not shown:
        incidents.close_incident(connection, dedupe_key=key, at=now)
    if not newly:
        return
    number = feedback.sums(connection, model).unmatched
    examples = "; ".join(f"{one.why} ({one.given_by})" for one in shown)
    incidents.open_incident(
        connection,
        dedupe_key=key,
        kind="feedback_unmatched",
        subject=model,
        summary=f"No one decision is meant by {_pieces(number)} of feedback about {model}: "
        f"{examples}"[:1000],
        facts={"model": model},
        at=now,
    )


def _pieces(number: int) -> str:
    return "1 piece" if number == 1 else f"{number:,} pieces"


def _meaning(
    platform: Installation, model: str, verdict: FeedbackVerdict, answer: str
) -> bool | str | float | None:
    """What an answer means, as the gateways have it. Raises TextRefused."""
    from tenure.usecases.serving.loading import LabelRules

    if not answer:
        return None
    if verdict is FeedbackVerdict.ACCEPT:
        raise TextRefused(
            "answer: what was accepted has no other answer.",
            still_safe=_SAFE,
            next_step="Leave the answer out, or say override.",
        )
    rule = LabelRules(platform.settings)(model)
    meaning = rule.meaning({"true": True, "false": False}.get(answer.lower(), answer))
    if meaning is None:
        raise TextRefused(
            f"answer: {answer[:40]!r} is no answer of {model}: {rule.sentence()}.",
            still_safe=_SAFE,
            next_step="Give one of these, or none.",
        )
    return meaning


def may_give(platform: Installation, user: str) -> bool:
    """Whether the person may say what she thinks of decisions, and read what others said."""
    return platform.config.allows(user, Role.OPERATOR)


def _permit(platform: Installation, user: str) -> None:
    if not may_give(platform, user):
        raise NotPermitted(
            f"{user} may not give feedback: that needs the role operator.",
            still_safe=_SAFE,
            next_step="Ask an operator, or add the name to `roles.operator` in "
            "include/configs/platform.yaml.",
        )
