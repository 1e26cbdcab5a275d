"""Reads back which revisions of a config the ledger knows, and what was done by them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, select

from tenure.adapters.sql.tables import config_revision, ledger_event
from tenure.vocabulary import digest_bytes


@dataclass(frozen=True)
class RevisionEvent:
    """The ledger event of a revision: its number, the file's digest, and names by role."""

    seq: int
    digest: str
    roles: Mapping[str, Sequence[str]]


class AnswerEvent(NamedTuple):
    """The ledger event of an approver's answer, and the revision that it refers to."""

    seq: int
    approver: str
    revision: str | None


_BODY = ledger_event.c.body
_REVISION = select(ledger_event.c.seq, _BODY["digest"].astext, _BODY["roles"])


def newest(connection: Connection, subject: str) -> RevisionEvent | None:
    """The newest revision that the ledger knows, or None."""
    query = _REVISION.where(ledger_event.c.subject == subject)
    row = connection.execute(query.order_by(ledger_event.c.seq.desc()).limit(1)).first()
    return RevisionEvent(*row) if row else None


def every(connection: Connection, subject: str) -> list[RevisionEvent]:
    """Every revision, oldest first."""
    query = _REVISION.where(ledger_event.c.subject == subject).order_by(ledger_event.c.seq)
    return [RevisionEvent(*row) for row in connection.execute(query)]


def approvals(connection: Connection) -> list[AnswerEvent]:
    """Every answer of an approver, oldest first."""
    query = select(ledger_event.c.seq, ledger_event.c.actor, _BODY["platform"].astext)
    found = query.where(ledger_event.c.subject.startswith("approval:"))
    return [AnswerEvent(*row) for row in connection.execute(found.order_by(ledger_event.c.seq))]


def bent(connection: Connection, digests: Sequence[str]) -> list[str]:
    """Those of the digests whose text is not kept, or is another one."""
    query = select(config_revision.c.digest, config_revision.c.body)
    rows = connection.execute(query.where(config_revision.c.digest.in_(list(digests))))
    sound = {row.digest for row in rows if digest_bytes(row.body.encode()) == row.digest}
    return sorted(set(digests) - sound)
