"""Answers of approvers: append-only rows that the guards of the database count."""

from sqlalchemy import Connection, insert, select

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import approval, ledger_event, model
from tenure.lifecycle.promotion.approval import ACTION, ApprovalAnswer
from tenure.vocabulary import VersionRef

_ANSWER = (
    approval.c.approver,
    approval.c.answer.label("choice"),
    approval.c.artifact_digest.label("artifact"),
    approval.c.evidence_digest.label("evidence"),
    approval.c.expires_at,
)


def answers_of(connection: Connection, version_id: int) -> list[ApprovalAnswer]:
    """Every answer about the version, oldest first."""
    rows = connection.execute(
        select(*_ANSWER)
        .where(approval.c.model_version_id == version_id, approval.c.action == ACTION)
        .order_by(approval.c.id)
    )
    return [as_row(ApprovalAnswer, row) for row in rows]


def record(
    connection: Connection, version: VersionRef, answer: ApprovalAnswer, *, note: str
) -> None:
    """Append an answer.

    Raises:
        IntegrityError: The database refuses it: the trainer, or a second answer of one person.
    """
    connection.execute(
        insert(approval).values(
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
    )


def risk_tier(connection: Connection, model_name: str) -> str:
    """The tier that the database counts the quorum by."""
    return str(
        connection.execute(select(model.c.risk_tier).where(model.c.name == model_name)).scalar_one()
    )


def chosen_version(connection: Connection, op_key: str) -> int | None:
    """Number of the version that the ledger event with this key chose, or None."""
    query = select(ledger_event.c.body["version"].as_integer())
    number: int | None = connection.execute(
        query.where(ledger_event.c.op_key == op_key)
    ).scalar_one_or_none()
    return number
