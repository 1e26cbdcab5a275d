"""Answers of approvers: append-only rows that the guards of the database count."""

from typing import Any

from sqlalchemy import Connection, insert, select

from tenure.adapters.sql.tables import approval, ledger_event, model, model_version, report
from tenure.lifecycle.promotion.approval import ACTION, ApprovalAnswer, Choice
from tenure.vocabulary import VersionRef


def answers_of(connection: Connection, version_id: int) -> list[ApprovalAnswer]:
    """Every answer about the version, oldest first."""
    rows = connection.execute(
        select(approval)
        .where(approval.c.model_version_id == version_id, approval.c.action == ACTION)
        .order_by(approval.c.id)
    ).mappings()
    return [
        ApprovalAnswer(
            approver=row["approver"],
            choice=Choice(row["answer"]),
            artifact=row["artifact_digest"],
            evidence=row["evidence_digest"],
            expires_at=row["expires_at"],
        )
        for row in rows
    ]


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


def lock_version(connection: Connection, version_id: int) -> dict[str, Any]:
    """Every column of the version; other answers and moves wait until this transaction ends.

    Rows that only refer to the version do not wait, or a canary's analysis could deadlock with us.
    """
    query = select(model_version).where(model_version.c.id == version_id)
    return dict(connection.execute(query.with_for_update(key_share=True)).mappings().one())


def risk_tier(connection: Connection, model_name: str) -> str:
    """The tier that the database counts the quorum by."""
    return str(
        connection.execute(select(model.c.risk_tier).where(model.c.name == model_name)).scalar_one()
    )


def report_body(connection: Connection, digest: str) -> dict[str, Any] | None:
    """The stored body of a report, or None."""
    query = select(report.c.body).where(report.c.digest == digest).limit(1)
    body: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
    return body


def noted(connection: Connection, op_key: str) -> dict[str, Any] | None:
    """Body of the ledger event with this key, or None."""
    query = select(ledger_event.c.body).where(ledger_event.c.op_key == op_key)
    body: dict[str, Any] | None = connection.execute(query).scalar_one_or_none()
    return body
