"""Changes of suites that stewards proposed, and what a second person answered."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, func, insert, select

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import suite_answer, suite_proposal


@dataclass(frozen=True)
class SuiteProposal:
    """A proposed text of a suite, and the answer; `changes` says in words what differs.

    `file_digest` is the suite's file, `before_digest` the suite in force, when it was proposed.
    """

    id: int
    suite: str
    file_digest: str
    before_digest: str
    digest: str
    body: str
    changes: tuple[str, ...]
    reason: str
    proposed_by: str
    created_at: datetime
    answer: str | None
    answered_by: str | None
    answer_reason: str | None
    answered_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether nobody answered yet."""
        return self.answer is None

    @property
    def is_accepted(self) -> bool:
        """Whether a second person said yes."""
        return self.answer == "accept"


@dataclass(frozen=True)
class NewProposal:
    """The row of a proposal that is about to be made."""

    suite: str
    file_digest: str
    before_digest: str
    digest: str
    body: str
    changes: tuple[str, ...]
    reason: str
    proposed_by: str


def add(connection: Connection, new: NewProposal) -> int:
    """Insert it; returns its number."""
    values = asdict(new) | {"changes": list(new.changes)}
    row = connection.execute(insert(suite_proposal).values(values).returning(suite_proposal.c.id))
    return int(row.scalar_one())


def answer(
    connection: Connection, number: int, *, accept: bool, answered_by: str, reason: str
) -> None:
    """Insert the one answer of a proposal."""
    connection.execute(
        insert(suite_answer).values(
            proposal_id=number,
            answer="accept" if accept else "decline",
            answered_by=answered_by,
            reason=reason,
        )
    )


def find(connection: Connection, number: int) -> SuiteProposal | None:
    """The proposal with this number."""
    return _first(connection, _rows().where(suite_proposal.c.id == number))


def accepted_for(connection: Connection, suite: str, file_digest: str) -> SuiteProposal | None:
    """The one that was accepted last in place of a file with these bytes."""
    return _first(
        connection,
        _rows()
        .where(suite_proposal.c.suite == suite, suite_proposal.c.file_digest == file_digest)
        .where(suite_answer.c.answer == "accept")
        .order_by(suite_answer.c.id.desc()),
    )


def of_suite(connection: Connection, suite: str, limit: int) -> list[SuiteProposal]:
    """Proposals for a suite, newest first."""
    query = _rows().where(suite_proposal.c.suite == suite).order_by(suite_proposal.c.id.desc())
    rows = connection.execute(query.limit(limit)).mappings()
    return [as_row(SuiteProposal, row) for row in rows]


def unanswered(connection: Connection) -> dict[str, int]:
    """Proposals that wait for a second person, by suite."""
    query = (
        select(suite_proposal.c.suite, func.count().label("number"))
        .outerjoin(suite_answer, suite_answer.c.proposal_id == suite_proposal.c.id)
        .where(suite_answer.c.id.is_(None))
        .group_by(suite_proposal.c.suite)
    )
    return {row.suite: row.number for row in connection.execute(query)}


def _rows() -> Select[tuple[object, ...]]:
    return select(
        suite_proposal,
        suite_answer.c.answer,
        suite_answer.c.answered_by,
        suite_answer.c.reason.label("answer_reason"),
        suite_answer.c.created_at.label("answered_at"),
    ).outerjoin(suite_answer, suite_answer.c.proposal_id == suite_proposal.c.id)


def _first(connection: Connection, query: Select[tuple[object, ...]]) -> SuiteProposal | None:
    found = connection.execute(query.limit(1)).mappings().first()
    return as_row(SuiteProposal, found) if found else None
