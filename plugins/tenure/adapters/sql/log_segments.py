"""What every file of the decision log was when it was shipped: append-only rows."""

from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import ledger_event, log_segment
from tenure.lifecycle.decisions.segment_record import IN_FLIGHT, SegmentRecord, SegmentSeal

SUBJECT = "log_segments"
"""Of the ledger events over records."""
_RECORD = columns_of(SegmentRecord, log_segment)


def record(
    connection: Connection,
    *,
    key: str,
    model: str,
    digest: str,
    rows: int,
    writer: str,
    replaces: list[str] | None = None,
) -> None:
    """Say what is about to be stored; the same again changes nothing."""
    row = {"key": key, "model": model, "digest": digest, "rows": rows, "writer": writer}
    # A list, and no conflict target: the gateways' role may insert, and read nothing back.
    values = [{**row, "replaces": replaces}]
    connection.execute(upsert(log_segment).values(values).on_conflict_do_nothing())


def seals(connection: Connection, *, last: int | None = None) -> list[SegmentSeal]:
    """Ledger events over records, oldest first; only the last so many if given."""
    body, mine = ledger_event.c.body, ledger_event.c.subject == SUBJECT
    query = select(ledger_event.c.seq, body["until"].astext, body["digest"].astext).where(mine)
    rows = connection.execute(query.order_by(ledger_event.c.seq.desc()).limit(last)).all()
    return [SegmentSeal(row[0], datetime.fromisoformat(row[1]), row[2]) for row in reversed(rows)]


def unsealed(connection: Connection, since: datetime | None) -> list[SegmentRecord]:
    """Records after a moment that no transaction can add to any more, oldest first."""
    due = log_segment.c.recorded_at <= func.now() - IN_FLIGHT
    query = select(*_RECORD).where(due).order_by(log_segment.c.recorded_at, log_segment.c.id)
    if since is not None:
        query = query.where(log_segment.c.recorded_at > since)
    return [as_row(SegmentRecord, row) for row in connection.execute(query)]


def below(connection: Connection, prefix: str) -> list[SegmentRecord]:
    """Records of files whose key begins with the prefix, oldest first."""
    query = select(*_RECORD).where(log_segment.c.key.startswith(prefix, autoescape=True))
    return [
        as_row(SegmentRecord, row) for row in connection.execute(query.order_by(log_segment.c.id))
    ]
