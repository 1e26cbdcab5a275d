"""One wrapped data key a subject; destroying it makes every sealed value of the subject noise."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.tables import subject_key

_CHUNK = 5_000


def find(connection: Connection, pseudonyms: Sequence[str]) -> dict[str, str | None]:
    """Pseudonym to wrapped key, None where it was destroyed; absent where there never was one."""
    found: dict[str, str | None] = {}
    mine = subject_key.c
    for start in range(0, len(pseudonyms), _CHUNK):
        chunk = list(pseudonyms[start : start + _CHUNK])
        query = select(mine.subject_pseudonym, mine.wrapped_key).where(
            mine.subject_pseudonym.in_(chunk)
        )
        found |= {row.subject_pseudonym: row.wrapped_key for row in connection.execute(query)}
    return found


def add(connection: Connection, wrapped: Mapping[str, str]) -> None:
    """Keep keys of new subjects; the one that another gateway kept first stays.

    In one order everywhere, so that two gateways never wait for each other.
    """
    rows = [{"subject_pseudonym": name, "wrapped_key": wrapped[name]} for name in sorted(wrapped)]
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        connection.execute(upsert(subject_key).values(chunk).on_conflict_do_nothing())


def destroy(connection: Connection, pseudonym: str, *, at: datetime) -> None:
    """Destroy the key for good, and keep any from being made; a second time changes nothing."""
    row = upsert(subject_key).values(subject_pseudonym=pseudonym, destroyed_at=at)
    connection.execute(
        row.on_conflict_do_update(
            index_elements=["subject_pseudonym"],
            set_={"wrapped_key": None, "destroyed_at": at},
            where=subject_key.c.destroyed_at.is_(None),
        )
    )
