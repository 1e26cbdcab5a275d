"""Checkpoints of the ledger: signed, cosigned by a witness (`witness.py`), and stored twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenure.errors import FileRefused, TenureError
from tenure.failpoints import failpoint
from tenure.installation import Installation
from tenure.layout import TILE_LEAVES, checkpoint_key, leaves_key
from tenure.lifecycle.audit.ledger import broken_ledger
from tenure.lifecycle.audit.merkle import consistency_proof, root_of
from tenure.lifecycle.audit.signed_note import (
    AddCheckpoint,
    Checkpoint,
    NoteFault,
    SignedNote,
    parse_signatures,
)
from tenure.lifecycle.audit.witness import CONFLICT, NO_PROOF, OK, WitnessAnswer, not_witnessed
from tenure.usecases.audit.ledger_tree import (
    CheckpointRule,
    SignedCheckpoint,
    checkpoint_rule,
    difference,
    leaves_of,
    log_signer,
    partial_tiles,
    verified,
    witness_client,
)
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.witness_client import WitnessClient

_TURNS = 3
"""How often the witness is asked: it answers with another size while somebody else asks it."""


@dataclass(frozen=True)
class CheckpointCounts:
    """What the newest checkpoint is.

    Args:
        events: That it covers.
        is_cosigned: Whether a witness cosigned it.
        is_new: Whether this run made it.
        is_verified: Whether this run compared the whole ledger with it.
    """

    events: int
    is_cosigned: bool
    is_new: bool
    is_verified: bool = False


def make_checkpoint(platform: Installation, run: RunRef) -> CheckpointCounts:
    """Sign how the ledger is now, have it cosigned, and store it; nothing new is fine.

    Killed anywhere, the next run does the rest: the witness says how far it is, and cosigns the
    same tree as often as it is asked.

    Raises:
        NotWitnessed: The witness is silent, or refuses for another cause than the events.
        LedgerBroken: The events are not those of the newest checkpoint.
    """
    leaves, rule = leaves_of(platform), checkpoint_rule(platform)
    kept = kept_checkpoint(platform, rule)
    tree = Checkpoint(rule.origin, len(leaves), root_of(leaves))
    is_cosigned = rule.has_witness
    if not leaves or (kept is not None and kept.tree == tree):
        return CheckpointCounts(len(leaves), is_cosigned and kept is not None, is_new=False)
    note = SignedNote(tree.text, (log_signer(platform).sign(tree.text),))
    client = witness_client(platform)
    if client is not None:
        asked = AddCheckpoint(kept.tree.size if kept else 0, (), note)
        note = _cosigned(platform, client, rule, leaves, asked)
    elif kept is not None and (broken := difference(platform, kept, rule)) is not None:
        raise broken_ledger(f"The ledger is broken at event {broken.seq}: {broken.why}.")
    failpoint("checkpoint.cosigned")
    _store(platform, leaves, kept.tree.size if kept else 0)
    platform.store.put(checkpoint_key(tree.size, tree.root.hex()), str(note).encode())
    failpoint("checkpoint.stored")
    _remember(platform, tree, note, run)
    return CheckpointCounts(len(leaves), is_cosigned, is_new=True)


def kept_checkpoint(platform: Installation, rule: CheckpointRule) -> SignedCheckpoint | None:
    """The newest one in the database; None before the first, and when another key signed it."""
    from tenure.adapters.sql import maintenance

    with platform.database.begin() as connection:
        text = maintenance.kept_checkpoint(connection)
    try:
        return None if text is None else verified(text, rule)
    except FileRefused:
        return None


def _cosigned(
    platform: Installation,
    client: "WitnessClient",
    rule: CheckpointRule,
    leaves: Sequence[bytes],
    asked: AddCheckpoint,
) -> SignedNote:
    """The note with the witness's signature; it is asked anew when it is elsewhere."""
    old = min(asked.old, len(leaves))
    for _ in range(_TURNS):
        proof = tuple(consistency_proof(leaves, old))
        answer = client.add_checkpoint(AddCheckpoint(old, proof, asked.note).body)
        seen = answer.seen_size
        if answer.status == OK or seen is None or seen == old or seen > len(leaves):
            break
        old = seen
    if answer.status != OK:
        raise _refused(platform, client, rule, answer)
    return _with_signature(asked.note, answer, rule)


def _with_signature(note: SignedNote, answer: WitnessAnswer, rule: CheckpointRule) -> SignedNote:
    key = rule.key
    try:
        mine = [one for one in parse_signatures(answer.body) if one.is_of(key)]
        found = SignedNote(note.text, (*note.signatures, *mine))
        verified(str(found), rule)
    except (NoteFault, FileRefused) as error:
        raise not_witnessed(
            f"What the witness answered is no cosignature of {key.name} (key {key.id.hex()}), "
            "which platform.yaml names."
        ) from error
    return found


def _refused(
    platform: Installation, client: "WitnessClient", rule: CheckpointRule, answer: WitnessAnswer
) -> TenureError:
    """Why it refused: the events are others than it saw, or something that is not about them."""
    refusal = f"The witness refused with {answer.status}: {answer.body.strip()[:200]}."
    theirs = client.newest() if answer.status in (CONFLICT, NO_PROOF) else None
    if theirs is None:
        return not_witnessed(refusal)
    try:
        broken = difference(platform, verified(theirs, rule), rule)
    except FileRefused as error:
        return not_witnessed(f"{refusal} {error.what}")
    if broken is None:
        return not_witnessed(f"{refusal} Its newest checkpoint agrees with the ledger.")
    return broken_ledger(f"The ledger is broken at event {broken.seq}: {broken.why}.")


def _store(platform: Installation, leaves: Sequence[bytes], since: int) -> None:
    """Keep the hashes of the leaves, so that a later difference can be named by its event."""
    for number in range(since // TILE_LEAVES, -(-len(leaves) // TILE_LEAVES)):
        tile = leaves[number * TILE_LEAVES : (number + 1) * TILE_LEAVES]
        key = leaves_key(number, len(tile))
        platform.store.put(key, b"".join(tile))
        for older in [one for one in partial_tiles(platform, number) if one != key]:
            platform.store.delete(older)


def _remember(platform: Installation, tree: Checkpoint, note: SignedNote, run: RunRef) -> None:
    report = Report(
        stage="checkpoint",
        subject="ledger",
        verdict=Verdict.PASSED,
        summary=f"A checkpoint of {tree.size:,} ledger events was signed.",
        facts={"size": tree.size, "root": tree.root.hex(), "note": str(note)},
        enforced=False,
    )
    platform.reports.save(report, model=None, dataset=None, run=run)
