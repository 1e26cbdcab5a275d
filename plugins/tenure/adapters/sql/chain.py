"""Reads the ledger back: what a verification and an archive need."""

from collections.abc import Collection, Generator
from itertools import takewhile

from sqlalchemy import ARRAY, BigInteger, Connection, any_, bindparam, select, text

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import ledger_event, ledger_head
from tenure.lifecycle.audit.ledger import Anchor, Event

_COLUMNS = tuple(ledger_event.c[name] for name in Event.__dataclass_fields__)
_PAGE = 1_000


def at_one_moment(connection: Connection) -> None:
    """Whatever this transaction reads was so at one moment; call it before anything else.

    Else an event that is written meanwhile looks as if its row, or the head, were forged.
    """
    connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def events(connection: Connection, *, after: int = 0) -> Generator[Event, None, None]:
    """Events behind a sequence number, a page at a time; close it when stopping early."""
    query = select(*_COLUMNS).where(ledger_event.c.seq > after).order_by(ledger_event.c.seq)
    with connection.execute(query.execution_options(yield_per=_PAGE)) as result:
        for row in result:
            yield Event(**row._mapping)


def head(connection: Connection) -> Anchor:
    """The end of the chain by the head row, which every insert moves; genesis when empty."""
    row = connection.execute(select(ledger_head.c.seq, ledger_head.c.hash)).first()
    return Anchor(row.seq, row.hash) if row else Anchor()


def hashes_at(connection: Connection, numbers: Collection[int]) -> dict[int, str]:
    """Hash of each of these events that is there, by its number."""
    query = select(ledger_event.c.seq, ledger_event.c.hash).where(
        ledger_event.c.seq == any_(bindparam("numbers", type_=ARRAY(BigInteger)))
    )
    found = connection.execute(query, {"numbers": sorted(numbers)})
    return {row.seq: row.hash for row in found}


def hashes(connection: Connection) -> list[str]:
    """Hash of every event from the first one on, as far as no number is missing."""
    query = select(ledger_event.c.seq, ledger_event.c.hash).order_by(ledger_event.c.seq)
    numbered = enumerate(connection.execute(query), start=1)
    return [row.hash for _, row in takewhile(lambda one: one[0] == one[1].seq, numbered)]


def one_event(connection: Connection, seq: int) -> Event | None:
    """The event with this number; None when there is none."""
    row = connection.execute(select(*_COLUMNS).where(ledger_event.c.seq == seq)).mappings().first()
    return as_row(Event, row) if row else None


def events_of(connection: Connection, subject: str) -> list[Event]:
    """Events about a subject, oldest first."""
    query = select(*_COLUMNS).where(ledger_event.c.subject == subject)
    rows = connection.execute(query.order_by(ledger_event.c.seq)).mappings()
    return [as_row(Event, row) for row in rows]


def of_version(connection: Connection, version_id: int, *, up_to: str) -> list[Event]:
    """Events of a version's life, up to and with the first one that reached a state."""
    found = events_of(connection, f"mv:{version_id}")
    last = next((i for i, event in enumerate(found) if event.dst == up_to), len(found) - 1)
    return found[: last + 1]
