"""Appends hash-chained events and moves model versions, in the caller's transaction."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tenure.adapters.sql.incidents import close_incidents_of
from tenure.adapters.sql.tables import ledger_event, model_version, outbox
from tenure.errors import StateConflict
from tenure.lifecycle.audit.ledger import GENESIS, event_hash
from tenure.ports import Clock
from tenure.vocabulary import State, VersionRef

_SERVES_NO_MORE = {State.SUPERSEDED, State.ROLLED_BACK, State.REJECTED, State.RETIRING}
"""On entering one of these, what was said of the version's serving is over."""


class SqlLedger:
    """The chain. Every method works inside the transaction it is given.

    Args:
        clock: When an event was.
        delegate: Who does what actors do: the event is hers, on behalf of the actor.
    """

    def __init__(self, clock: Clock, *, delegate: str | None = None) -> None:
        self._clock = clock
        self._delegate = delegate

    def has(self, connection: Connection, op_key: str) -> bool:
        """Whether the command with this key was done already."""
        query = select(ledger_event.c.seq).where(ledger_event.c.op_key == op_key)
        return connection.execute(query).first() is not None

    def note(
        self,
        connection: Connection,
        *,
        subject: str,
        actor: str,
        body: Mapping[str, object],
        op_key: str,
    ) -> bool:
        """Append an event that moves no version; False when it stands already."""
        self.take_turn(connection)
        if self.has(connection, op_key):
            return False
        newest = select(func.coalesce(func.max(ledger_event.c.generation), 0))
        generation = connection.execute(
            newest.where(ledger_event.c.subject == subject)
        ).scalar_one()
        self._append(
            connection, subject, generation + 1, None, None, actor=actor, body=body, op_key=op_key
        )
        return True

    def move(
        self,
        connection: Connection,
        version: VersionRef,
        dst: State,
        *,
        actor: str,
        body: Mapping[str, object],
        op_key: str,
        columns: Mapping[str, object] | None = None,
    ) -> bool:
        """Compare-and-swap the state of a version and append its event.

        Incidents about its serving, or a trial of it, end with its service.

        The version is given as the caller saw it: its state and generation must still hold.
        `columns` are set in the same statement (digests, reports).

        Returns:
            False when the command with this `op_key` was done already; nothing is changed then.

        Raises:
            StateConflict: Somebody else moved the version since the caller looked.
        """
        self.take_turn(connection)
        if self.has(connection, op_key):
            return False
        row = connection.execute(
            update(model_version)
            .where(
                model_version.c.id == version.id,
                model_version.c.state == str(version.state),
                model_version.c.generation == version.generation,
            )
            .values(state=str(dst), generation=version.generation + 1, **(columns or {}))
            .returning(model_version.c.generation)
        ).first()
        if row is None:
            raise StateConflict(
                f"{version.name} is no longer {version.state} (generation {version.generation}); "
                f"it was to become {dst}.",
                still_safe="The other change stands complete; this one did nothing.",
                next_step="Look at the version in the Tenure page; clear this task to try anew.",
            )
        self._append(
            connection,
            f"mv:{version.id}",
            row.generation,
            version.state,
            dst,
            actor=actor,
            body={"model": version.model, "version": version.version, **body},
            op_key=op_key,
        )
        if dst in _SERVES_NO_MORE:
            close_incidents_of(connection, version=version.name, at=self._clock.now())
        return True

    def enqueue(
        self, connection: Connection, *, topic: str, body: Mapping[str, object], op_key: str
    ) -> bool:
        """Put a message into the outbox; the same key again is a no-op, and False."""
        put = connection.execute(
            upsert(outbox)
            .values(topic=topic, body=dict(body), op_key=op_key)
            .on_conflict_do_nothing(index_elements=["op_key"])
            .returning(outbox.c.id)
        )
        return put.first() is not None

    def take_turn(self, connection: Connection) -> None:
        """Wait until nobody else writes the ledger, and keep them waiting until the commit.

        The trigger takes the same lock; a role that may not write the head cannot take it.

        Who locks rows besides takes it first, as `move` does: else two wait for each other.
        """
        connection.execute(text("LOCK TABLE ledger_head IN SHARE ROW EXCLUSIVE MODE"))

    def _append(
        self,
        connection: Connection,
        subject: str,
        generation: int,
        src: State | None,
        dst: State | None,
        *,
        actor: str,
        body: Mapping[str, object],
        op_key: str,
    ) -> None:
        if self._delegate is not None:
            actor, body = self._delegate, {**body, "on_behalf_of": actor}
        head = connection.execute(
            select(ledger_event.c.seq, ledger_event.c.hash)
            .order_by(ledger_event.c.seq.desc())
            .limit(1)
        ).first()
        event: dict[str, Any] = {
            "seq": head.seq + 1 if head else 1,
            "op_key": op_key,
            "subject": subject,
            "generation": generation,
            "src": str(src) if src else None,
            "dst": str(dst) if dst else None,
            "actor": actor,
            "body": dict(body),
            "at": self._clock.now().astimezone(UTC),
            "prev_hash": head.hash if head else GENESIS,
        }
        connection.execute(insert(ledger_event).values(**event, hash=event_hash(**event)))
