"""Messages that were promised in a transaction and are delivered afterwards, at least once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import outbox


@dataclass(frozen=True)
class Message:
    """One promised message; `op_key` is the id by which a receiver knows a repetition."""

    id: int
    op_key: str
    topic: str
    body: Mapping[str, object]
    attempts: int
    created_at: datetime


_COLUMNS = tuple(outbox.c[name] for name in Message.__dataclass_fields__)


def pending(connection: Connection, *, topic: str | None = None, limit: int = 500) -> list[int]:
    """Ids of messages that are not delivered, those that were tried least first, then oldest.

    So what no receiver takes, however much of it there is, holds up nothing that came later.
    """
    query = select(outbox.c.id).where(outbox.c.delivered_at.is_(None))
    if topic is not None:
        query = query.where(outbox.c.topic == topic)
    return list(
        connection.execute(query.order_by(outbox.c.attempts, outbox.c.id).limit(limit)).scalars()
    )


def claim(connection: Connection, message_id: int) -> Message | None:
    """Take a message for this transaction; None when another process has it or delivered it."""
    query = select(*_COLUMNS).where(outbox.c.id == message_id, outbox.c.delivered_at.is_(None))
    row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
    return as_row(Message, row) if row else None


def delivered(connection: Connection, message_id: int, *, at: datetime) -> None:
    """The receiver took it."""
    _note(connection, message_id, delivered_at=at, last_error=None)


def failed(connection: Connection, message_id: int, *, error: str) -> None:
    """The receiver did not take it; it stays pending."""
    _note(connection, message_id, last_error=error[:500])


def _note(connection: Connection, message_id: int, **columns: object) -> None:
    connection.execute(
        update(outbox)
        .where(outbox.c.id == message_id)
        .values(attempts=outbox.c.attempts + 1, **columns)
    )
