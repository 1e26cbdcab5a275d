"""The hash chain over every change of state: how it is made and how it is checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tenure.errors import LedgerBroken
from tenure.vocabulary import as_stored, canonical_json, digest_bytes, digest_json

GENESIS = "0" * 64
"""`prev_hash` of the first event."""


@dataclass(frozen=True)
class Event:
    """One row of the chain as it was read back."""

    seq: int
    op_key: str
    subject: str
    generation: int
    src: str | None
    dst: str | None
    actor: str
    body: Mapping[str, object]
    at: datetime
    prev_hash: str
    hash: str


@dataclass(frozen=True)
class Anchor:
    """A place of the chain that is trusted: everything up to `seq` was verified before."""

    seq: int = 0
    hash: str = GENESIS


@dataclass(frozen=True)
class Broken:
    """The first event that does not hold, and what is wrong with it."""

    seq: int
    why: str


@dataclass(frozen=True)
class ChainCheck:
    """What a verification found.

    Args:
        events: Number of events that hold, the trusted ones before the anchor included.
        head: The last of them; the next verification may begin there.
        broken: The first broken event, or None.
    """

    events: int
    head: Anchor
    broken: Broken | None = None

    @property
    def ok(self) -> bool:
        """Whether the whole chain holds."""
        return self.broken is None


def event_hash(
    *,
    seq: int,
    op_key: str,
    subject: str,
    generation: int,
    src: str | None,
    dst: str | None,
    actor: str,
    body: Mapping[str, object],
    at: datetime,
    prev_hash: str,
) -> str:
    """SHA-256 that chains an event to the one before it.

    `at` is hashed as UTC ISO 8601 with microseconds, numbers of `body` as JSONB gives them back.
    """
    event = Event(seq, op_key, subject, generation, src, dst, actor, body, at, prev_hash, hash="")
    return digest_bytes(event_content(event))


def event_content(event: Event) -> bytes:
    """The bytes that the hash of an event is of."""
    return canonical_json(
        [
            event.seq,
            event.op_key,
            event.subject,
            event.generation,
            event.src,
            event.dst,
            event.actor,
            as_stored(dict(event.body)),
            event.at.astimezone(UTC).isoformat(timespec="microseconds"),
            event.prev_hash,
        ]
    )


def verify_chain(
    events: Iterable[Event], *, after: Anchor = Anchor(), head: Anchor | None = None
) -> ChainCheck:
    """Recompute every hash and link; stops at the first event that does not hold.

    Args:
        events: By `seq`, beginning behind `after`.
        after: Where an earlier verification ended; by default the chain is checked from genesis.
        head: What the database's head row says; a chain that ends elsewhere lost its tail.
    """
    last = after
    for event in events:
        why = _fault(event, last)
        if why is not None:
            return ChainCheck(last.seq, last, Broken(event.seq, why))
        last = Anchor(event.seq, event.hash)
    if head is not None and head != last:
        why = (
            f"the head row says event {head.seq} ({head.hash[:12]}…), "
            f"the chain ends at {last.seq} ({last.hash[:12]}…)"
        )
        return ChainCheck(last.seq, last, Broken(last.seq + 1, why))
    return ChainCheck(last.seq, last)


def contradiction(
    kept: Iterable[Anchor], stored: Iterable[Anchor], hashes: Mapping[int, str]
) -> Broken | None:
    """The first anchor that the chain does not agree with: it was rewritten, or cut, since then.

    Args:
        kept: Anchors in the lifecycle database.
        stored: Anchors in the object store, where each was put before it was kept.
        hashes: Hash of every event that an anchor names, by number, as the chain is now.
    """
    kept, stored = set(kept), set(stored)
    found = [
        *(_against(one, "the lifecycle database", hashes) for one in kept),
        *(_against(one, "the object store", hashes) for one in stored),
        *(
            Broken(one.seq, f"its anchor {one.hash[:12]}… is gone from the object store")
            for one in kept - stored
        ),
    ]
    return min((one for one in found if one is not None), key=lambda b: b.seq, default=None)


def _against(anchor: Anchor, place: str, hashes: Mapping[int, str]) -> Broken | None:
    now = hashes.get(anchor.seq)
    if now == anchor.hash:
        return None
    has = f"it has {now[:12]}…" if now else "there is no such event"
    why = f"its anchor in {place} says that it had hash {anchor.hash[:12]}…; {has} now"
    return Broken(anchor.seq, why)


def _fault(event: Event, last: Anchor) -> str | None:
    if event.seq != last.seq + 1:
        return f"event {last.seq + 1} is missing; after {last.seq} comes {event.seq}"
    if event.prev_hash != last.hash:
        return f"prev_hash is {event.prev_hash[:12]}…, event {last.seq} has hash {last.hash[:12]}…"
    expected = event_hash(
        seq=event.seq,
        op_key=event.op_key,
        subject=event.subject,
        generation=event.generation,
        src=event.src,
        dst=event.dst,
        actor=event.actor,
        body=event.body,
        at=event.at,
        prev_hash=event.prev_hash,
    )
    if event.hash != expected:
        return f"hash is {event.hash[:12]}…, its content gives {expected[:12]}…"
    return None


def row_digest(row: Mapping[str, object]) -> str:
    """SHA-256 over the columns of a row, for the event that says that it was written.

    A moment is the same in whatever time zone the database gives it back.
    """
    moments = {k: v.astimezone(UTC) for k, v in row.items() if isinstance(v, datetime)}
    return digest_json(as_stored({**row, **moments}))


def broken_ledger(what: str) -> LedgerBroken:
    """The error of a chain that does not hold.

    Args:
        what: Where it breaks, and why.
    """
    return LedgerBroken(
        what,
        still_safe="Events before it hold; gateways keep serving the last traffic plan.",
        next_step="Run `tenure ledger verify`, compare with a backup of the lifecycle database, "
        "and find out who wrote to it. Promote nothing until then.",
    )
