"""Streams of the served versions: what was counted a day, the detector a window, the promise."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, case, cast, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.rows import as_row, columns_of
from tenure.adapters.sql.tables import (
    incident,
    model_version,
    stream_count,
    stream_window,
    watched_stream,
)
from tenure.vocabulary import State

STREAM_ALARM = "stream_alarm"
"""Kind of the incidents that are paid from the budget."""
OF_EVERY_MODEL = 3
"""Streams beside one for each feature: all features together, the score, and performance; models
of several classes have one more, the answer."""


@dataclass(frozen=True)
class CountedDay:
    """What was counted of a stream on one day.

    Args:
        stream: Its name within the version.
        day: Of event time, UTC.
        layout: Digest of what the counts are counts of.
        logged: Decisions that the log had of the day then.
        rows: What a window's minimum is compared with.
        counts: Whole numbers that add up over days.
    """

    stream: str
    day: date
    layout: str
    logged: int
    rows: int
    counts: tuple[int, ...]


@dataclass(frozen=True)
class StoredWindow:
    """A window of a stream with the detector after it; see `lifecycle.monitoring.streams`."""

    stream: str
    start: date
    days: int
    rows: int
    effect: float | None
    u: float
    quarters: float
    state: str
    log_m: float | None
    log_c: float | None
    is_over: bool


@dataclass(frozen=True)
class StoredStream:
    """What is promised of a stream, or why nothing is."""

    stream: str
    days: int | None
    since: date | None
    by_weekend: bool
    is_tested: bool
    why: str


@dataclass(frozen=True)
class StreamOwner:
    """A version whose streams are watched."""

    id: int
    model: str
    version: int


def streams_served(connection: Connection) -> int:
    """How many streams the champions of all models have; at least one."""
    features = model_version.c.facts["features"]
    many = sum(
        (
            func.coalesce(func.jsonb_array_length(features[name]), 0)
            for name in ("numeric", "categorical", "dates")
        ),
        start=OF_EVERY_MODEL,
    ) + case((model_version.c.facts["classes"] != cast({}, JSONB), 1), else_=0)
    query = select(func.coalesce(func.sum(many), 0)).where(
        model_version.c.state == str(State.CHAMPION)
    )
    return max(int(connection.execute(query).scalar_one()), 1)


def counted(connection: Connection, version_id: int) -> list[CountedDay]:
    """All that was counted of the version, by stream and day."""
    mine = stream_count.c
    query = select(*columns_of(CountedDay, stream_count)).where(mine.model_version_id == version_id)
    rows = connection.execute(query.order_by(mine.stream, mine.day))
    return [as_row(CountedDay, row) for row in rows.mappings()]


def count(
    connection: Connection, version_id: int, days: Iterable[CountedDay], *, at: datetime
) -> None:
    """Keep what was counted; a day that was counted before is replaced."""
    rows = [
        asdict(one) | {"counts": list(one.counts), "model_version_id": version_id, "counted_at": at}
        for one in days
    ]
    if not rows:
        return
    fresh = upsert(stream_count)
    changed = {
        name: fresh.excluded[name] for name in ("layout", "logged", "rows", "counts", "counted_at")
    }
    connection.execute(
        fresh.on_conflict_do_update(
            index_elements=["model_version_id", "stream", "day"], set_=changed
        ),
        rows,
    )


def windows(
    connection: Connection, version_id: int, *, most: int | None = None
) -> list[StoredWindow]:
    """Windows of every stream of the version, oldest first; `most` of them: the last ones."""
    mine = stream_window.c
    newest = func.row_number().over(partition_by=mine.stream, order_by=mine.start.desc())
    place = newest.label("place")
    columns = columns_of(StoredWindow, stream_window)
    ranked = select(*columns, place).where(mine.model_version_id == version_id).subquery()
    query = select(*(ranked.c[column.name] for column in columns))
    if most is not None:
        query = query.where(ranked.c.place <= most)
    rows = connection.execute(query.order_by(ranked.c.stream, ranked.c.start))
    return [as_row(StoredWindow, row) for row in rows.mappings()]


def promises(connection: Connection, version_id: int) -> list[StoredStream]:
    """What is promised of each stream of the version."""
    mine = watched_stream.c
    query = select(*columns_of(StoredStream, watched_stream)).where(
        mine.model_version_id == version_id
    )
    rows = connection.execute(query.order_by(mine.stream))
    return [as_row(StoredStream, row) for row in rows.mappings()]


def replace_all(
    connection: Connection,
    version_id: int,
    streams: Sequence[StoredStream],
    found: Sequence[StoredWindow],
    *,
    at: datetime,
) -> None:
    """Make the stored streams and windows of the version these, and no others."""
    of_version = {"model_version_id": version_id}
    old = {(one.stream, one.start): one for one in windows(connection, version_id)}
    new = {(one.stream, one.start): one for one in found}
    gone = [key for key in old if key not in new]
    mine = stream_window.c
    if gone:
        connection.execute(
            delete(stream_window).where(
                mine.model_version_id == version_id, tuple_(mine.stream, mine.start).in_(gone)
            )
        )
    _upsert(
        connection,
        stream_window,
        [of_version | asdict(one) for key, one in new.items() if old.get(key) != one],
        keys=("model_version_id", "stream", "start"),
    )
    names = [one.stream for one in streams]
    connection.execute(
        delete(watched_stream).where(
            watched_stream.c.model_version_id == version_id, watched_stream.c.stream.not_in(names)
        )
    )
    _upsert(
        connection,
        watched_stream,
        [of_version | asdict(one) | {"judged_at": at} for one in streams],
        keys=("model_version_id", "stream"),
    )


def _upsert(
    connection: Connection, table: Any, rows: Sequence[dict[str, Any]], *, keys: Sequence[str]
) -> None:
    if not rows:
        return
    fresh = upsert(table)
    changed = {name: fresh.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(
        fresh.on_conflict_do_update(index_elements=list(keys), set_=changed), list(rows)
    )


def owners(connection: Connection) -> list[StreamOwner]:
    """The champions, by model: theirs are the streams that are watched."""
    query = (
        select(*columns_of(StreamOwner, model_version))
        .where(model_version.c.state == str(State.CHAMPION))
        .order_by(model_version.c.model)
    )
    return [as_row(StreamOwner, row) for row in connection.execute(query).mappings()]


def pages_sent(connection: Connection, kinds: Sequence[str], since: datetime) -> dict[str, int]:
    """Incidents of these kinds that were opened since then, by kind."""
    mine = incident.c
    query = select(mine.kind, func.count()).where(mine.kind.in_(kinds), mine.created_at >= since)
    return {row[0]: row[1] for row in connection.execute(query.group_by(mine.kind))}
