"""What people wrote about datasets, and who is to be named in their alerts."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from tenure.adapters.sql.rows import as_row
from tenure.adapters.sql.tables import dataset_note, dataset_subscription


@dataclass(frozen=True)
class DatasetNote:
    """One note."""

    id: int
    dataset: str
    body: str
    author: str
    created_at: datetime


def write(connection: Connection, dataset: str, *, body: str, author: str) -> None:
    """Insert a note; it is never changed."""
    connection.execute(insert(dataset_note).values(dataset=dataset, body=body, author=author))


def notes_of(connection: Connection, dataset: str, limit: int = 50) -> list[DatasetNote]:
    """Its notes, newest first."""
    query = select(dataset_note).where(dataset_note.c.dataset == dataset)
    rows = connection.execute(query.order_by(dataset_note.c.id.desc()).limit(limit)).mappings()
    return [as_row(DatasetNote, row) for row in rows]


def subscribe(connection: Connection, dataset: str, person: str, *, is_on: bool) -> None:
    """From now on the person is named in its alerts, or not any more."""
    connection.execute(
        insert(dataset_subscription).values(dataset=dataset, person=person, is_on=is_on)
    )


def subscribers(
    connection: Connection, datasets: Collection[str] | None = None
) -> dict[str, list[str]]:
    """Who is to be named, by dataset; of all datasets where none is given."""
    s = dataset_subscription.c
    newest = select(s.dataset, s.person, s.is_on).ext(distinct_on(s.dataset, s.person))
    if datasets is not None:
        newest = newest.where(s.dataset.in_(list(datasets)))
    found: dict[str, list[str]] = {}
    for row in connection.execute(newest.order_by(s.dataset, s.person, s.id.desc())):
        if row.is_on:
            found.setdefault(row.dataset, []).append(row.person)
    return found
