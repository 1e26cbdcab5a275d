"""The ledger as a Merkle tree: checkpoints whose signatures hold, compared with the events.

Whoever rewrites the ledger with every hash right has another root than its witness cosigned.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tenure.errors import FileRefused, ObjectMissing
from tenure.installation import Installation
from tenure.installation.keys import LEDGER
from tenure.layout import CHECKPOINTS, TILE_LEAVES, leaves_key
from tenure.lifecycle.audit.ledger import Broken
from tenure.lifecycle.audit.merkle import first_difference, leaf_hash, root_of
from tenure.lifecycle.audit.signed_note import (
    COSIGNATURE,
    Checkpoint,
    NoteFault,
    NoteKey,
    SignedNote,
    parse_checkpoint,
    parse_key,
    parse_note,
)

if TYPE_CHECKING:
    from tenure.adapters.note_keys import NoteSigner
    from tenure.adapters.witness_client import WitnessClient

_HASH_BYTES = 32


@dataclass(frozen=True)
class CheckpointRule:
    """Which checkpoints count: of which ledger, and whose signature they must have.

    That is the witness's key, or the ledger's own where there is no witness.
    """

    origin: str
    key: NoteKey

    @property
    def has_witness(self) -> bool:
        """Whether somebody else than the ledger's owner must have signed."""
        return self.key.kind == COSIGNATURE


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint whose signatures hold.

    Args:
        note: All of it.
        tree: What it says.
        witness: Who cosigned it; None when only the ledger's own key signed.
        seen_at: When that was; None without a witness.
    """

    note: SignedNote
    tree: Checkpoint
    witness: str | None = None
    seen_at: datetime | None = None

    @property
    def words(self) -> str:
        """What it is, for a sentence."""
        if self.witness is None:
            return "the checkpoint that the ledger's own key signed"
        return f"the checkpoint that {self.witness} cosigned on {self.seen_at:%Y-%m-%d %H:%M} UTC"


def log_key(platform: Installation) -> NoteKey:
    """The public key of the ledger, which its witness must have."""
    return log_signer(platform).key


def log_signer(platform: Installation) -> "NoteSigner":
    """The ledger's own key; made on first use."""
    from tenure.adapters.note_keys import NoteSigner

    return NoteSigner(platform.config.ledger.origin, LEDGER.read(platform.settings.home))


def checkpoint_rule(platform: Installation, witness: str | None = None) -> CheckpointRule:
    """Which checkpoints count, by `platform.yaml`, or by the witness that the caller trusts.

    Raises:
        FileRefused: What the caller names is no key of a witness.
    """
    policy = platform.config.ledger
    text = witness or (policy.witness.key if policy.witness else None)
    if text is None:
        return CheckpointRule(policy.origin, log_key(platform))
    try:
        key = parse_key(text)
    except NoteFault as error:
        raise _refused(f"{error}") from error
    if key.kind != COSIGNATURE:
        raise _refused(f"{key.name} is a ledger, not a witness")
    return CheckpointRule(policy.origin, key)


def witness_client(platform: Installation) -> "WitnessClient | None":
    """The witness that `platform.yaml` names; None when it names none."""
    from tenure.adapters.witness_client import WitnessClient

    policy = platform.config.ledger.witness
    return None if policy is None else WitnessClient(policy.url)


def leaves_of(platform: Installation) -> list[bytes]:
    """Leaves of the tree, as the database has the events now."""
    from tenure.adapters.sql import chain

    with platform.database.begin() as connection:
        return [leaf_hash(one.encode()) for one in chain.hashes(connection)]


def verified(text: str, rule: CheckpointRule) -> SignedCheckpoint:
    """The checkpoint of a note that has the signature which counts.

    Raises:
        FileRefused: It is no checkpoint of this ledger, or that key did not sign it.
    """
    from tenure.adapters.note_keys import signed_by

    try:
        note = parse_note(text)
        tree = parse_checkpoint(note.text)
    except NoteFault as error:
        raise _refused(f"{error}") from error
    if not signed_by(note, rule.key):
        raise _refused(f"{rule.key.name} (key {rule.key.id.hex()}) did not sign it")
    if tree.origin != rule.origin:
        raise _refused(f"it is of the ledger {tree.origin}, not of {rule.origin}")
    if not rule.has_witness:
        return SignedCheckpoint(note, tree)
    seconds = max(one.seconds for one in note.signatures if one.is_of(rule.key))
    return SignedCheckpoint(note, tree, rule.key.name, datetime.fromtimestamp(seconds, tz=UTC))


def _refused(why: str) -> FileRefused:
    return FileRefused(
        f"The checkpoint cannot be used: {why}.",
        still_safe="Nothing was changed, and the ledger was not judged by it.",
        next_step="Give a checkpoint as the witness answered with it, or one of the folder "
        f"{CHECKPOINTS} in the object store; --witness-key names another witness.",
    )


def difference(
    platform: Installation, checkpoint: SignedCheckpoint, rule: CheckpointRule
) -> Broken | None:
    """The first event that is not the one that the checkpoint has; None when all of them are."""
    leaves, tree = leaves_of(platform), checkpoint.tree
    if tree.size <= len(leaves) and root_of(leaves[: tree.size]) == tree.root:
        return None
    stored = _stored_leaves(platform, tree.size)
    if stored is None or root_of(stored) != tree.root:
        return _somewhere(platform, checkpoint, leaves, rule)
    index = first_difference(leaves, stored)
    if index is None:
        return Broken(len(leaves) + 1, f"there is none; {_has(checkpoint)}")
    return Broken(index + 1, f"{_now(platform, index + 1)}, but {checkpoint.words} has another")


def _has(checkpoint: SignedCheckpoint) -> str:
    return f"{checkpoint.words} has {checkpoint.tree.size:,} events"


def _now(platform: Installation, seq: int) -> str:
    from tenure.adapters.sql import chain

    with platform.database.begin() as connection:
        event = chain.one_event(connection, seq)
    return f"it is about {event.subject} by {event.actor}" if event else "there is none"


def _somewhere(
    platform: Installation,
    checkpoint: SignedCheckpoint,
    leaves: Sequence[bytes],
    rule: CheckpointRule,
) -> Broken:
    """As near as the stored checkpoints tell, when the stored hashes of leaves do not."""
    found = sorted(platform.store.list(CHECKPOINTS))
    place = bisect_left(found, True, key=lambda key: not _agrees(platform, key, leaves, rule))
    agreed = _size(found[place - 1]) if place else 0
    last = _size(found[place]) if place < len(found) else checkpoint.tree.size
    return Broken(
        agreed + 1,
        f"one of the events {agreed + 1:,} to {max(last, agreed + 1):,} is another one or gone; "
        f"{_has(checkpoint)}. Which one is not known: the hashes of its events, below ledger/tile/ "
        "of the object store, are gone or changed as well",
    )


def _agrees(
    platform: Installation, key: str, leaves: Sequence[bytes], rule: CheckpointRule
) -> bool:
    try:
        tree = verified(platform.store.get(key).decode("utf-8", "replace"), rule).tree
    except FileRefused:
        return False
    return tree.size <= len(leaves) and root_of(leaves[: tree.size]) == tree.root


def _size(key: str) -> int:
    number = key.removeprefix(CHECKPOINTS).partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _stored_leaves(platform: Installation, size: int) -> list[bytes] | None:
    """Leaves that the object store keeps, up to a size; None when it does not have them all."""
    found: list[bytes] = []
    for number in range(-(-size // TILE_LEAVES)):
        tile = _tile(platform, number, min(TILE_LEAVES, size - number * TILE_LEAVES))
        if tile is None:
            return None
        found += tile
    return found


def _tile(platform: Installation, number: int, width: int) -> list[bytes] | None:
    for key in (leaves_key(number), *partial_tiles(platform, number, at_least=width)):
        try:
            data = platform.store.get(key)
        except ObjectMissing:
            continue
        return [data[i : i + _HASH_BYTES] for i in range(0, width * _HASH_BYTES, _HASH_BYTES)]
    return None


def partial_tiles(platform: Installation, number: int, *, at_least: int = 0) -> Iterator[str]:
    """Keys of what is stored of a tile that was not full."""
    prefix = f"{leaves_key(number)}.p/"
    for key in platform.store.list(prefix):
        width = key.removeprefix(prefix)
        if width.isdecimal() and int(width) >= at_least:
            yield key
