"""Answers of approvers: append-only rows that the guards of the database count."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import approval, ledger_event, model, model_version
from tenure.lifecycle.audit.ledger import row_digest
from tenure.lifecycle.promotion.approval import ACTION, ApprovalAnswer
from tenure.vocabulary import State, VersionRef

_ANSWER = (
    approval.c.approver,
    approval.c.answer.label("choice"),
    approval.c.artifact_digest.label("artifact"),
    approval.c.evidence_digest.label("evidence"),
    approval.c.expires_at,
)


@dataclass(frozen=True)
class ApprovalRow:
    """Every column of an answer but its number and its moment."""

    model_version_id: int
    action: str
    approver: str
    trained_by: str
    answer: str
    artifact_digest: str
    evidence_digest: str
    note: str
    expires_at: datetime

    @classmethod
    def of(cls, version: VersionRef, answer: ApprovalAnswer, note: str) -> "ApprovalRow":
        """The row of a person's answer about the version."""
        return cls(
            model_version_id=version.id,
            action=ACTION,
            approver=answer.approver,
            trained_by=version.trained_by,
            answer=str(answer.choice),
            artifact_digest=answer.artifact,
            evidence_digest=answer.evidence,
            note=note,
            expires_at=answer.expires_at,
        )

    @property
    def subject(self) -> str:
        """Of the ledger event that says that it was given."""
        return f"approval:{self.model_version_id}"

    @property
    def digest(self) -> str:
        """What that event says of it."""
        return row_digest(asdict(self))


_ROW = columns_of(ApprovalRow, approval)


def every(connection: Connection) -> list[ApprovalRow]:
    """Every answer, oldest first."""
    rows = connection.execute(select(*_ROW).order_by(approval.c.id))
    return [as_row(ApprovalRow, row) for row in rows]


def answers_of(connection: Connection, version_id: int) -> list[ApprovalAnswer]:
    """Every answer about the version, oldest first."""
    rows = connection.execute(
        select(*_ANSWER)
        .where(approval.c.model_version_id == version_id, approval.c.action == ACTION)
        .order_by(approval.c.id)
    )
    return [as_row(ApprovalAnswer, row) for row in rows]


def record(connection: Connection, row: ApprovalRow) -> None:
    """Append an answer; its ledger event is the caller's.

    Raises:
        IntegrityError: The database refuses it: the trainer, or a second answer of one person.
    """
    connection.execute(insert(approval).values(asdict(row)))


def risk_tier(connection: Connection, model_name: str) -> str:
    """The tier that the database counts the quorum by."""
    return str(
        connection.execute(select(model.c.risk_tier).where(model.c.name == model_name)).scalar_one()
    )


def owner_of(connection: Connection, model_name: str) -> str:
    """Who owns the model."""
    query = select(model.c.owner).where(model.c.name == model_name)
    return str(connection.execute(query).scalar_one())


def accepted_locks(connection: Connection, version_id: int) -> set[str]:
    """Digests of the locks that were installed where somebody approved the version."""
    lock = ledger_event.c.body["lock"].as_string()
    query = select(lock).where(
        ledger_event.c.subject == f"approval:{version_id}", lock.is_not(None)
    )
    return set(connection.execute(query).scalars())


@dataclass(frozen=True)
class RefusedBytes:
    """That a version with certain bytes was rejected, or taken out of traffic.

    `note` is what the last person wrote who rejected it; None where nobody did.
    """

    model: str
    version: int
    dst: State
    actor: str
    body: Mapping[str, object]
    at: datetime
    note: str | None

    @property
    def name(self) -> str:
        """`model@version`."""
        return f"{self.model}@{self.version}"


def refusals_of(connection: Connection, artifact: str, *, but: int) -> list[RefusedBytes]:
    """When the same bytes were rejected or rolled back as another version, the newest first."""
    note = (
        select(approval.c.note)
        .where(approval.c.model_version_id == model_version.c.id, approval.c.answer == "reject")
        .order_by(approval.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = (
        select(
            model_version.c.model,
            model_version.c.version,
            ledger_event.c.dst,
            ledger_event.c.actor,
            ledger_event.c.body,
            ledger_event.c.at,
            note.label("note"),
        )
        .join(ledger_event, ledger_event.c.subject == func.concat("mv:", model_version.c.id))
        .where(
            model_version.c.artifact_digest == artifact,
            model_version.c.id != but,
            ledger_event.c.dst.in_([State.REJECTED, State.ROLLED_BACK]),
        )
        .order_by(ledger_event.c.seq.desc())
    )
    return [as_row(RefusedBytes, row) for row in connection.execute(query)]


def last_in_state(
    connection: Connection, model_name: str, states: Sequence[State], *, before: int
) -> VersionRef | None:
    """The newest version of the model, older than a number, that ever entered one of the states."""
    query = (
        select(*columns_of(VersionRef, model_version))
        .join(ledger_event, ledger_event.c.subject == func.concat("mv:", model_version.c.id))
        .where(
            model_version.c.model == model_name,
            model_version.c.version < before,
            ledger_event.c.dst.in_(list(states)),
        )
        .order_by(ledger_event.c.seq.desc())
    )
    row = connection.execute(query.limit(1)).first()
    return as_row(VersionRef, row) if row else None


def chosen_version(connection: Connection, op_key: str) -> int | None:
    """Number of the version that the ledger event with this key chose, or None."""
    query = select(ledger_event.c.body["version"].as_integer())
    number: int | None = connection.execute(
        query.where(ledger_event.c.op_key == op_key)
    ).scalar_one_or_none()
    return number


def began_as_renewal(connection: Connection, op_key: str) -> bool:
    """Whether the ledger event with this key chose a version that served already."""
    query = select(ledger_event.c.body["renews"].as_boolean())
    return bool(
        connection.execute(query.where(ledger_event.c.op_key == op_key)).scalar_one_or_none()
    )
