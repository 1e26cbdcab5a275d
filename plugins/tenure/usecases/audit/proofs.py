"""Proofs that an event is in the ledger, for people who have no access to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tenure.errors import TextRefused
from tenure.installation import Installation
from tenure.lifecycle.audit.ledger import Event, broken_ledger, event_content
from tenure.lifecycle.audit.merkle import inclusion_proof
from tenure.lifecycle.audit.signed_note import proof_text
from tenure.lifecycle.audit.witness import not_witnessed
from tenure.usecases.audit.checkpoints import kept_checkpoint
from tenure.usecases.audit.ledger_tree import checkpoint_rule, difference, leaves_of
from tenure.vocabulary import storable

_LONGEST_NUMBER = 18
"""Digits; longer ones are beyond the database's integers."""


@dataclass(frozen=True)
class EventProof:
    """A proof in the form of c2sp.org/tlog-proof, and who cosigned its checkpoint, if anybody."""

    seq: int
    text: str
    witness: str | None


def prove_events(platform: Installation, what: str) -> list[EventProof]:
    """A proof of each event: one by its number, or all of a subject, oldest first.

    The event itself, in the bytes that its hash is of, is the `extra` of the proof.

    Raises:
        TextRefused: There is no such event.
        NotWitnessed: No checkpoint covers it yet.
        LedgerBroken: The events are not those of the newest checkpoint.
    """
    events = _events(platform, what)
    rule = checkpoint_rule(platform)
    checkpoint = kept_checkpoint(platform, rule)
    size = checkpoint.tree.size if checkpoint else 0
    if checkpoint is None or events[-1].seq > size:
        raise not_witnessed(
            f"Event {events[-1].seq} is newer than the newest checkpoint of the ledger, which has "
            f"{size} events; maintain_platform makes one every five minutes."
        )
    if (broken := difference(platform, checkpoint, rule)) is not None:
        raise broken_ledger(f"The ledger is broken at event {broken.seq}: {broken.why}.")
    leaves = leaves_of(platform)[:size]
    return [
        EventProof(
            event.seq,
            proof_text(
                checkpoint.note,
                event.seq - 1,
                inclusion_proof(leaves, event.seq - 1),
                event_content(event),
            ),
            checkpoint.witness,
        )
        for event in events
    ]


def _events(platform: Installation, what: str) -> Sequence[Event]:
    from tenure.adapters.sql import chain

    with platform.database.begin() as connection:
        if what.isascii() and what.isdecimal():
            is_number = len(what) <= _LONGEST_NUMBER
            event = chain.one_event(connection, int(what)) if is_number else None
            found = [event] if event else []
        else:
            found = chain.events_of(connection, storable(what))
    if not found:
        raise TextRefused(
            f"The ledger has no event {what[:100]!r}.",
            still_safe="Nothing was written.",
            next_step="Give the number of an event, or a subject as the ledger has it: `mv:3`, "
            "`approval:3`, `plan:flight_late`.",
        )
    return found
