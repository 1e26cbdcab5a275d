"""What people decided about quarantined rows: discarded, or released by two."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql.data import ValidationRow, validation_rows
from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import (
    dataset,
    quarantine_answer,
    quarantine_decision,
    report,
    validation,
)
from tenure.lifecycle.data.quality import REASONS


@dataclass(frozen=True)
class QuarantineDecision:
    """A decision about the rows of one cause, and its answer where it needs one.

    Args:
        id: Its number.
        dataset: Whose rows.
        batch: Of the judged file.
        validation_id: The judgement of the file that it was made from.
        act: `release` or `discard`.
        cause_id: `Reason.id` of the cause.
        cause: The cause in words.
        rows: Rows that it concerns: to be published, or never to be.
        reason: Why.
        decided_by: Who discarded, or proposes the release.
        created_at: When.
        answer: `accept` or `decline`; None while a release is open, and of a discard.
        answered_by: The second person.
        answer_reason: Why.
        answered_at: When.
        made: The judgement that an accepted release made.
    """

    id: int
    dataset: str
    batch: str
    validation_id: int
    act: str
    cause_id: str
    cause: str
    rows: int
    reason: str
    decided_by: str
    created_at: datetime
    answer: str | None
    answered_by: str | None
    answer_reason: str | None
    answered_at: datetime | None
    made: int | None

    @property
    def is_open(self) -> bool:
        """Whether it waits for a second person."""
        return self.act == "release" and self.answer is None


@dataclass(frozen=True)
class QuarantinedBatch:
    """The newest judgement of a batch; `reasons` is that fact of its report.

    `total` is the number of such batches.
    """

    id: int
    batch: str
    report_digest: str
    rows_in: int
    rows_ok: int
    rows_quarantined: int
    is_published: bool
    reasons: list[dict[str, Any]]
    total: int


@dataclass(frozen=True)
class NewDecision:
    """The row of a decision that is about to be made."""

    dataset: str
    validation_id: int
    act: str
    cause_id: str
    cause: str
    rows: int
    reason: str
    decided_by: str


def add(connection: Connection, new: NewDecision) -> int:
    """Insert it; returns its number."""
    made = insert(quarantine_decision).values(asdict(new)).returning(quarantine_decision.c.id)
    return int(connection.execute(made).scalar_one())


def answer(
    connection: Connection, number: int, *, answered_by: str, reason: str, made: int | None
) -> None:
    """Insert the one answer of a proposed release: accepted with the judgement that it made."""
    connection.execute(
        insert(quarantine_answer).values(
            decision_id=number,
            answer="decline" if made is None else "accept",
            answered_by=answered_by,
            reason=reason,
            validation_id=made,
        )
    )


def find(connection: Connection, number: int) -> QuarantineDecision | None:
    """The decision with this number."""
    found = connection.execute(_rows().where(quarantine_decision.c.id == number)).mappings().first()
    return as_row(QuarantineDecision, found) if found else None


def of_dataset(connection: Connection, name: str) -> list[QuarantineDecision]:
    """All decisions about its rows, newest first."""
    query = _rows().where(quarantine_decision.c.dataset == name)
    rows = connection.execute(query.order_by(quarantine_decision.c.id.desc())).mappings()
    return [as_row(QuarantineDecision, row) for row in rows]


def unanswered(connection: Connection) -> dict[str, int]:
    """Releases that wait for a second person, by dataset."""
    d = quarantine_decision.c
    answered = select(quarantine_answer.c.decision_id)
    query = (
        select(d.dataset, func.count().label("number"))
        .where(d.act == "release", d.id.not_in(answered))
        .group_by(d.dataset)
        .order_by(d.dataset)
    )
    return {row.dataset: row.number for row in connection.execute(query)}


def that_hold(decisions: Sequence[QuarantineDecision], judgement: int) -> list[QuarantineDecision]:
    """Those about a judgement and about the ones that it was released from, in their order.

    A file that was judged again, by whatever rules, is decided on anew.
    """
    made_from = {one.made: one.validation_id for one in decisions if one.made is not None}
    line = {judgement}
    while judgement in made_from:
        judgement = made_from[judgement]
        line.add(judgement)
    return [one for one in decisions if one.validation_id in line]


def judgement(connection: Connection, name: str, number: int) -> ValidationRow | None:
    """A judgement of the dataset by its number."""
    query = validation_rows().where(validation.c.dataset == name, validation.c.id == number)
    found = connection.execute(query).mappings().first()
    return as_row(ValidationRow, found) if found else None


def batches(connection: Connection, name: str, limit: int) -> list[QuarantinedBatch]:
    """Batches with rows in quarantine by their newest judgement, or rows released, newest first."""
    v = validation.c
    judged = (
        select(validation)
        .ext(distinct_on(v.batch))
        .where(v.dataset == name)
        .order_by(v.batch, v.id.desc())
        .subquery()
    )
    made = select(quarantine_answer.c.validation_id).where(quarantine_answer.c.answer == "accept")
    last = (
        select(judged, func.count().over().label("total"))
        .where(judged.c.quarantine_key.like("%.parquet") | judged.c.id.in_(made))
        .order_by(judged.c.id.desc())
        .limit(limit)
        .subquery()
    )
    reasons = func.coalesce(report.c.body["facts"][REASONS], func.jsonb_build_array())
    query = (
        select(
            last.c.id,
            last.c.batch,
            last.c.report_digest,
            last.c.rows_in,
            last.c.rows_ok,
            last.c.rows_quarantined,
            last.c.snapshot_id.is_not(None).label("is_published"),
            reasons.label("reasons"),
            last.c.total,
        )
        .join(report, report.c.digest == last.c.report_digest)
        .ext(distinct_on(last.c.id))
        .order_by(last.c.id.desc())
    )
    return [as_row(QuarantinedBatch, row) for row in connection.execute(query).mappings()]


def hold(connection: Connection, name: str) -> None:
    """Hold the dataset's row until the commit, as an ingestion does: before the ledger's turn."""
    connection.execute(select(dataset.c.name).where(dataset.c.name == name).with_for_update())


def newest(connection: Connection, name: str, batch: str) -> int | None:
    """Number of the newest judgement of a batch."""
    query = select(validation.c.id).where(validation.c.dataset == name, validation.c.batch == batch)
    return connection.scalar(query.order_by(validation.c.id.desc()).limit(1))


def _rows() -> Select[tuple[object, ...]]:
    return (
        select(
            quarantine_decision,
            validation.c.batch,
            quarantine_answer.c.answer,
            quarantine_answer.c.answered_by,
            quarantine_answer.c.reason.label("answer_reason"),
            quarantine_answer.c.created_at.label("answered_at"),
            quarantine_answer.c.validation_id.label("made"),
        )
        .join(validation, validation.c.id == quarantine_decision.c.validation_id)
        .outerjoin(quarantine_answer, quarantine_answer.c.decision_id == quarantine_decision.c.id)
    )
