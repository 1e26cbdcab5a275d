"""What people think of decisions: each piece as it came, later joined to its decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Subquery, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import feedback
from tenure.lifecycle.decisions.feedback import (
    MATCHED_WITHIN,
    FeedbackState,
    FeedbackSum,
    FeedbackVerdict,
)


@dataclass(frozen=True)
class GivenFeedback:
    """One piece of feedback; what is about its decision is None until it has one.

    Args:
        decision_id: As named, or found by the request.
        caller: Digest of whose request it is; None where the request id alone has to do.
        given_by: `key:` and the client, `jwt:` and the subject, or `user:` and the person.
        person: Pseudonym of the person behind a client; empty where none was named.
        answer: What was answered instead, or would be right.
        answered: What the decision says.
        decided_at: event_time of the decision.
        erased_at: When reason and answer were erased with the subject.
    """

    feedback_id: str
    model: str
    decision_id: str | None
    request_id: str | None
    caller: str | None
    given_by: str
    person: str
    verdict: FeedbackVerdict
    reason: str
    answer: bool | str | float | None
    received_at: datetime
    state: FeedbackState
    why: str
    version: int | None
    version_id: int | None
    answered: bool | str | float | None
    decided_at: datetime | None
    erased_at: datetime | None


@dataclass(frozen=True)
class DecidedFact:
    """What feedback keeps of the decision that it is about."""

    decision_id: str
    version: int
    version_id: int
    subject: str
    answered: bool | str | float
    decided_at: datetime


_GIVEN = columns_of(GivenFeedback, feedback)
_OPEN = (FeedbackState.WAITING, FeedbackState.UNMATCHED)


def add(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Keep any number; a piece that is kept already stays as it is.

    Without a conflict target: the gateways' role may insert, and read nothing back.
    """
    if rows:
        connection.execute(upsert(feedback).on_conflict_do_nothing(), list(rows))


def models_due(connection: Connection, now: datetime) -> list[str]:
    """Models with feedback whose decision is to be looked for, by name."""
    query = select(feedback.c.model).where(_is_due(now)).distinct().order_by(feedback.c.model)
    return list(connection.execute(query).scalars())


def due(connection: Connection, model: str, now: datetime, *, limit: int) -> list[GivenFeedback]:
    """Feedback of a model whose decision is to be looked for, oldest first."""
    query = select(*_GIVEN).where(feedback.c.model == model, _is_due(now))
    rows = connection.execute(
        query.order_by(feedback.c.received_at, feedback.c.feedback_id).limit(limit)
    )
    return [as_row(GivenFeedback, row) for row in rows]


def join(connection: Connection, feedback_id: str, fact: DecidedFact, *, now: datetime) -> None:
    """Say which decision it is about."""
    values = {**vars(fact), "state": FeedbackState.JOINED, "why": "", "tried_at": now}
    _change(connection, feedback.c.feedback_id == feedback_id, values)


def not_found(
    connection: Connection, feedback_id: str, *, state: FeedbackState, why: str, now: datetime
) -> None:
    """Say that it was looked for in vain, and why."""
    values = {"state": state, "why": why, "tried_at": now}
    _change(connection, feedback.c.feedback_id == feedback_id, values)


def forget(connection: Connection, subjects: Sequence[str], *, at: datetime) -> int:
    """Erase reasons and answers of what is about these pseudonyms; returns of how many pieces."""
    said = or_(feedback.c.reason != "", feedback.c.answer.is_not(None))
    mine = and_(feedback.c.subject.in_(list(subjects)), said)
    return _change(connection, mine, {"reason": "", "answer": None, "erased_at": at})


def unmatched(connection: Connection, model: str, *, limit: int) -> list[GivenFeedback]:
    """Feedback that names no one decision, newest first."""
    query = select(*_GIVEN).where(
        feedback.c.model == model, feedback.c.state == FeedbackState.UNMATCHED
    )
    rows = connection.execute(
        query.order_by(feedback.c.received_at.desc(), feedback.c.feedback_id).limit(limit)
    )
    return [as_row(GivenFeedback, row) for row in rows]


def sums(connection: Connection, model: str) -> FeedbackSum:
    """Where all feedback about a model is."""
    query = select(feedback.c.state, func.count()).where(feedback.c.model == model)
    found = connection.execute(query.group_by(feedback.c.state)).all()
    rows: dict[str, int] = {row[0]: row[1] for row in found}
    newest = _counted(feedback.c.model == model)
    counted = connection.execute(select(func.count()).select_from(newest)).scalar_one()
    return FeedbackSum(
        counted=counted,
        replaced=rows.get(FeedbackState.JOINED, 0) - counted,
        waiting=rows.get(FeedbackState.WAITING, 0),
        unmatched=rows.get(FeedbackState.UNMATCHED, 0),
    )


def objections(connection: Connection, version_id: int) -> list[GivenFeedback]:
    """Objections that count about a version, newest first: overridden, or called wrong."""
    return _objections(connection, feedback.c.version_id == version_id)


def is_given(connection: Connection, version_id: int) -> bool:
    """Whether there is any feedback about a version."""
    query = select(feedback.c.feedback_id).where(feedback.c.version_id == version_id)
    return connection.execute(query.limit(1)).first() is not None


def accepted(connection: Connection, version_id: int, *, after: datetime, until: datetime) -> int:
    """Decisions of a version in (after, until] that somebody accepted."""
    newest = _counted(feedback.c.version_id == version_id)
    query = select(func.count(newest.c.decision_id.distinct())).where(
        newest.c.verdict == FeedbackVerdict.ACCEPT,
        newest.c.decided_at > after,
        newest.c.decided_at <= until,
    )
    return connection.execute(query).scalar_one()


def newest(connection: Connection, model: str, *, limit: int) -> list[GivenFeedback]:
    """Objections to decisions of a model that count, of every version, newest first."""
    return _objections(connection, feedback.c.model == model, limit=limit)


def about_decisions(connection: Connection, decision_ids: Sequence[str]) -> list[GivenFeedback]:
    """Objections that count about these decisions, newest first."""
    return _objections(connection, feedback.c.decision_id.in_(list(decision_ids)))


def _objections(
    connection: Connection, of: ColumnElement[bool], *, limit: int | None = None
) -> list[GivenFeedback]:
    found = _counted(of)
    mine = [found.c[column.name] for column in _GIVEN]
    query = select(*mine).where(found.c.verdict != FeedbackVerdict.ACCEPT)
    order = (found.c.received_at.desc(), found.c.feedback_id)
    rows = connection.execute(query.order_by(*order).limit(limit))
    return [as_row(GivenFeedback, row) for row in rows]


def _counted(of: ColumnElement[bool]) -> Subquery:
    one = (feedback.c.decision_id, feedback.c.given_by, feedback.c.person)
    query = select(*_GIVEN).where(of, feedback.c.state == FeedbackState.JOINED)
    order = (*one, feedback.c.received_at.desc(), feedback.c.feedback_id.desc())
    return query.ext(distinct_on(*one)).order_by(*order).subquery()


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Looked for at every run at first, later each time that its age has doubled."""
    since = now - MATCHED_WITHIN
    return and_(
        feedback.c.state.in_(_OPEN),
        or_(
            feedback.c.tried_at.is_(None),
            feedback.c.state == FeedbackState.WAITING,
            and_(
                feedback.c.tried_at < since,
                now - feedback.c.tried_at >= feedback.c.tried_at - feedback.c.received_at,
            ),
        ),
    )


def _change(connection: Connection, which: ColumnElement[bool], values: dict[str, object]) -> int:
    return int(connection.execute(update(feedback).where(which).values(**values)).rowcount)
