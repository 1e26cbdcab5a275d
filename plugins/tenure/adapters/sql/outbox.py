"""Messages that were promised in a transaction and are delivered afterwards, at least once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, select, update
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import outbox
from tenure.lifecycle.incidents.alert_text import ALERT, CHANNEL


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
    Alerts have a way of their own.
    """
    query = select(outbox.c.id).where(outbox.c.delivered_at.is_(None), outbox.c.topic != ALERT)
    if topic is not None:
        query = query.where(outbox.c.topic == topic)
    return list(
        connection.execute(query.order_by(outbox.c.attempts, outbox.c.id).limit(limit)).scalars()
    )


def pending_alerts(
    connection: Connection, *, only_new: bool = False, channel: str | None = None
) -> list[int]:
    """Ids of alerts that are not delivered, those that were tried least first, then oldest.

    Of an incident only the oldest one: that it is closed is not told before that it is open.

    Args:
        connection: Of the lifecycle database.
        only_new: Leave those that a receiver did not take before.
        channel: Those of one channel; None for those of the first receiver, which has none.
    """
    earlier = outbox.alias()
    held_up = (
        select(earlier.c.id)
        .where(
            earlier.c.topic == ALERT,
            earlier.c.delivered_at.is_(None),
            earlier.c.id < outbox.c.id,
            earlier.c.body["incident"] == outbox.c.body["incident"],
            _channel(earlier.c).is_not_distinct_from(_channel(outbox.c)),
        )
        .exists()
    )
    query = select(outbox.c.id).where(
        outbox.c.topic == ALERT,
        outbox.c.delivered_at.is_(None),
        _channel(outbox.c).is_not_distinct_from(channel),
        ~held_up,
    )
    if only_new:
        query = query.where(outbox.c.attempts == 0)
    ordered = query.order_by(outbox.c.attempts, outbox.c.id).limit(500)
    return list(connection.execute(ordered).scalars())


def waiting_channels(connection: Connection) -> list[str]:
    """Channels of which alerts wait, by name."""
    channel = _channel(outbox.c)
    query = (
        select(channel)
        .where(outbox.c.topic == ALERT, outbox.c.delivered_at.is_(None), channel.is_not(None))
        .distinct()
        .order_by(channel)
    )
    return [str(one) for one in connection.execute(query).scalars()]


def _channel(columns: ReadOnlyColumnCollection[str, Column[Any]]) -> ColumnElement[str]:
    return columns["body"][CHANNEL].astext


def waiting(connection: Connection) -> list[Message]:
    """All messages that are not delivered, oldest first; alerts are not among them."""
    query = select(*_COLUMNS).where(outbox.c.delivered_at.is_(None), outbox.c.topic != ALERT)
    rows = connection.execute(query.order_by(outbox.c.id)).mappings()
    return [as_row(Message, row) for row in rows]


def promised_at(connection: Connection, op_key: str) -> datetime | None:
    """When the message of this key was put into the outbox; None when it was not."""
    query = select(outbox.c.created_at).where(outbox.c.op_key == op_key)
    return connection.execute(query).scalar()


def claim(connection: Connection, message_id: int) -> Message | None:
    """Take a message for this transaction; None when another process has it or delivered it."""
    query = select(*_COLUMNS).where(outbox.c.id == message_id, outbox.c.delivered_at.is_(None))
    row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
    return as_row(Message, row) if row else None


def delivered(connection: Connection, message_id: int, *, at: datetime) -> None:
    """The receiver took it."""
    _note(connection, message_id, delivered_at=at, last_error=None)


def for_nobody(connection: Connection, message_id: int, *, at: datetime, why: str) -> None:
    """There is no receiver, and there need not be one: it does not wait for one."""
    _note(connection, message_id, delivered_at=at, last_error=why)


def failed(connection: Connection, message_id: int, *, error: str) -> None:
    """The receiver did not take it; it stays pending."""
    _note(connection, message_id, last_error=error[:500])


def _note(connection: Connection, message_id: int, **columns: object) -> None:
    connection.execute(
        update(outbox)
        .where(outbox.c.id == message_id)
        .values(attempts=outbox.c.attempts + 1, **columns)
    )
