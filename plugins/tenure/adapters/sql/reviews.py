"""The queue of decisions that a person looks at: claimed by one, answered once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import review

_DUE = ("open", "claimed")


@dataclass(frozen=True)
class QueuedDecision:
    """A decision in the review queue: what the model answered, who holds it, what a person said.

    A binary model answers a `decision` and the person an `answer`; of several classes it is one
    that was `predicted`, and the person's `answer_class`.
    """

    decision_id: str
    model: str
    version: int
    subject: str
    score: float
    decision: bool | None
    predicted: str | None
    confidence: float
    fallback_level: str
    reason: str
    state: str
    claimed_by: str | None
    claim_until: datetime | None
    answered_by: str | None
    answer: bool | None
    answer_class: str | None
    note: str
    answered_at: datetime | None
    expires_at: datetime
    received_at: datetime
    created_at: datetime

    @property
    def model_said(self) -> bool | str | None:
        """What the model answered."""
        return self.decision if self.predicted is None else self.predicted

    @property
    def person_said(self) -> bool | str | None:
        """What the person answered; None while nobody did."""
        return self.answer if self.answer_class is None else self.answer_class


def add(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Queue any number of decisions; one that is queued already stays as it is.

    Row by row in one round trip: one statement of all would have more parameters than PostgreSQL
    takes (65,535) from 5,958 rows on.
    """
    if rows:
        connection.execute(upsert(review).on_conflict_do_nothing(), list(rows))


def find(connection: Connection, decision_id: str) -> QueuedDecision | None:
    """The queued decision, or None."""
    query = select(review).where(review.c.decision_id == decision_id)
    row = connection.execute(query).mappings().first()
    return as_row(QueuedDecision, row) if row else None


def listed(
    connection: Connection,
    *,
    models: Sequence[str] | None,
    states: Sequence[str],
    limit: int,
    holder: str = "",
) -> list[QueuedDecision]:
    """Queued decisions of the models (None: of all): the holder's, then those that expire first."""
    query = select(review).where(review.c.state.in_(states)).limit(limit)
    if models is not None:
        query = query.where(review.c.model.in_(models))
    is_held = func.coalesce(review.c.claimed_by == holder, False)
    order = (is_held.desc(), review.c.expires_at, review.c.decision_id)
    rows = connection.execute(query.order_by(*order)).mappings()
    return [as_row(QueuedDecision, row) for row in rows]


def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """Rows by model and state."""
    found: dict[str, dict[str, int]] = {}
    query = select(review.c.model, review.c.state, func.count()).group_by(
        review.c.model, review.c.state
    )
    for model, state, number in connection.execute(query):
        found.setdefault(model, {})[state] = number
    return found


def claim(
    connection: Connection, decision_id: str, *, user: str, until: datetime, now: datetime
) -> bool:
    """Take it, unless somebody holds it; False when nothing was taken."""
    free = or_(
        review.c.state == "open",
        and_(
            review.c.state == "claimed",
            or_(review.c.claim_until <= now, review.c.claimed_by == user),
        ),
    )
    values = {"state": "claimed", "claimed_by": user, "claim_until": until}
    return _change(connection, decision_id, and_(free, review.c.expires_at > now), values)


def answer(
    connection: Connection,
    decision_id: str,
    *,
    user: str,
    answer: bool | str,
    note: str,
    now: datetime,
) -> bool:
    """Answer what this person holds, with yes or no, or with a class.

    False when the person does not hold it any more.
    """
    mine = and_(
        review.c.state == "claimed",
        review.c.claimed_by == user,
        review.c.claim_until > now,
        review.c.expires_at > now,
    )
    values: dict[str, object] = {
        "state": "answered",
        "answered_by": user,
        "answer_class" if isinstance(answer, str) else "answer": answer,
        "note": note,
        "answered_at": now,
    }
    return _change(connection, decision_id, mine, values)


def expiring(connection: Connection, now: datetime) -> list[str]:
    """Models with decisions that nobody answered in time, by name."""
    query = select(review.c.model).where(review.c.state.in_(_DUE), review.c.expires_at <= now)
    return list(connection.execute(query.distinct().order_by(review.c.model)).scalars())


def expire(connection: Connection, model: str, now: datetime) -> int:
    """Close what nobody answered in time of a model; returns how many."""
    closed = connection.execute(
        update(review)
        .where(review.c.model == model, review.c.state.in_(_DUE), review.c.expires_at <= now)
        .values(state="expired")
    )
    return int(closed.rowcount)


def _change(
    connection: Connection, decision_id: str, when: ColumnElement[bool], values: dict[str, object]
) -> bool:
    done = connection.execute(
        update(review).where(review.c.decision_id == decision_id, when).values(**values)
    )
    return done.rowcount == 1
