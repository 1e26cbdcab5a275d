"""Signs of life that stand in the lifecycle database, by its own clock."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import gateway_ack, heartbeat, outbox, traffic_plan
from tenure.lifecycle.incidents.alert_text import ALERT, CHANNEL


@dataclass(frozen=True)
class Heartbeat:
    """When something that runs by itself was heard of last, and how often it should be."""

    name: str
    period_seconds: float
    seen_at: datetime


@dataclass(frozen=True)
class DeliveryHealth:
    """When somebody took a message last, and how many are tried in vain.

    `for_nobody` counts alerts since then for which there was no connection; a channel that is gone
    from `platform.yaml` is missed by nobody.
    """

    delivered_at: datetime | None
    failing: int
    for_nobody: int


def beat(connection: Connection, name: str, *, period_seconds: float) -> None:
    """Say that it is alive; every so often it says so again."""
    said = {"period_seconds": period_seconds, "seen_at": func.now()}
    connection.execute(
        upsert(heartbeat)
        .values(name=name, **said)
        .on_conflict_do_update(index_elements=["name"], set_=said)
    )


def heartbeats(connection: Connection) -> dict[str, Heartbeat]:
    """All of them, by name."""
    rows = connection.execute(select(*columns_of(Heartbeat, heartbeat)))
    return {row.name: as_row(Heartbeat, row) for row in rows}


def now(connection: Connection) -> datetime:
    """What time it is by the database, which wrote the moments above."""
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found


def gateways(connection: Connection) -> tuple[datetime | None, bool]:
    """When a gateway was heard of last, and whether a traffic plan waits for one."""
    seen = connection.execute(select(func.max(gateway_ack.c.alive_at))).scalar_one()
    planned = connection.execute(select(select(traffic_plan.c.id).exists())).scalar_one()
    return seen, bool(planned)


def deliveries(connection: Connection) -> DeliveryHealth:
    """Of the outbox, as far as messages have a receiver outside."""
    is_alert, unheard = outbox.c.topic == ALERT, outbox.c.last_error.is_not(None)
    has_receiver = or_(is_alert & ~unheard, outbox.c.body["webhook"].astext.is_not(None))
    taken = select(func.max(outbox.c.delivered_at)).where(has_receiver).scalar_subquery()
    row = connection.execute(
        select(
            taken,
            func.count().filter(outbox.c.delivered_at.is_(None), outbox.c.attempts > 0),
            func.count().filter(
                is_alert & unheard & outbox.c.body[CHANNEL].astext.is_(None),
                outbox.c.delivered_at.is_not(None),
                or_(taken.is_(None), outbox.c.delivered_at > taken),
            ),
        )
    ).one()
    return DeliveryHealth(*row)
