"""The first event that differs from a checkpoint, as near as what is stored can tell."""

from collections.abc import Callable

import pytest
from ledger_forgery import cut, grow, rewrite

from tenure.adapters.note_keys import NoteSigner
from tenure.errors import FileRefused
from tenure.installation import Installation
from tenure.layout import CHECKPOINTS, leaves_key
from tenure.lifecycle.audit.merkle import leaf_hash
from tenure.lifecycle.audit.signed_note import SignedNote
from tenure.usecases.audit.checkpoints import kept_checkpoint, make_checkpoint
from tenure.usecases.audit.ledger_tree import (
    SignedCheckpoint,
    checkpoint_rule,
    difference,
    leaves_of,
    verified,
)
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

RUN = RunRef("maintain_platform", "r1", "maintain")


@pytest.fixture
def newest(platform: Installation) -> SignedCheckpoint:
    """The last of three, over 5, 260 and 262 events: a whole tile, and parts of the next one."""
    for size in (5, 260, 262):
        with platform.database.begin() as c:
            for number in range(len(leaves_of(platform)), size):
                platform.ledger.note(c, subject="s", actor="ada", body={}, op_key=f"{number}")
        make_checkpoint(platform, RUN)
    found = kept_checkpoint(platform, checkpoint_rule(platform))
    assert found is not None
    return found


def without_tiles(platform: Installation) -> None:
    for key in list(platform.store.list("ledger/tile/")):
        platform.store.delete(key)


def with_forged_tiles(platform: Installation) -> None:
    platform.store.put(leaves_key(0), leaf_hash(b"x") * 256)


def without_old_checkpoints(platform: Installation) -> None:
    without_tiles(platform)
    for key in sorted(platform.store.list(CHECKPOINTS))[:-1]:
        platform.store.delete(key)


@pytest.mark.parametrize("seq", [256, 257])
def test_the_event_is_named(platform: Installation, newest: SignedCheckpoint, seq: int) -> None:
    assert [*platform.store.list("ledger/tile/")] == [leaves_key(0), leaves_key(1, 6)]
    assert difference(platform, newest, checkpoint_rule(platform)) is None
    rewrite(platform, seq)
    found = difference(platform, newest, checkpoint_rule(platform))
    assert found is not None
    assert found.seq == seq
    assert found.why.startswith("it is about s by eve, but the checkpoint that")


def test_a_tail_that_is_gone_and_one_that_grew(
    platform: Installation, newest: SignedCheckpoint
) -> None:
    grow(platform, "one more")
    assert difference(platform, newest, checkpoint_rule(platform)) is None
    cut(platform, 261)
    found = difference(platform, newest, checkpoint_rule(platform))
    assert found is not None
    assert (found.seq, found.why) == (
        261,
        "there is none; the checkpoint that the ledger's own key signed has 262 events",
    )


@pytest.mark.parametrize(
    ("spoil", "seq", "says"),
    [
        (without_tiles, 100, "events 6 to 260"),
        (without_tiles, 262, "events 261 to 262"),
        (with_forged_tiles, 100, "events 6 to 260"),
        (without_old_checkpoints, 100, "events 1 to 262"),
    ],
)
def test_without_the_hashes_of_the_events_the_range_is_named(
    platform: Installation,
    newest: SignedCheckpoint,
    spoil: Callable[[Installation], None],
    seq: int,
    says: str,
) -> None:
    spoil(platform)
    assert difference(platform, newest, checkpoint_rule(platform)) is None
    rewrite(platform, seq)
    found = difference(platform, newest, checkpoint_rule(platform))
    assert found is not None
    assert f"one of the {says} is another one or gone" in found.why
    assert found.seq <= seq


def test_only_a_signed_checkpoint_of_this_ledger_counts(
    platform: Installation, newest: SignedCheckpoint
) -> None:
    keys = checkpoint_rule(platform)
    text = str(newest.note)
    assert verified(text, keys) == newest
    for forged, says in (
        (text.replace("262", "261"), "did not sign it"),
        (text.rpartition("—")[0], "no signature"),
        ("", "not a signed note"),
    ):
        with pytest.raises(FileRefused, match=says):
            verified(forged, keys)
    with pytest.raises(FileRefused, match="not base64"):
        checkpoint_rule(platform, "w+00000000+?")


def test_what_the_same_witness_cosigned_of_another_ledger_counts_for_nothing(
    platform: Installation, newest: SignedCheckpoint
) -> None:
    """One witness may have the same key for several; a short ledger would vouch for a long one."""
    text = newest.tree.text.replace(newest.tree.origin, "example.org/other")
    witness = NoteSigner("witness.example/w", bytes(32), is_witness=True)
    note = SignedNote(text, (witness.sign(text, 1_700_000_000),))
    with pytest.raises(FileRefused, match=r"of the ledger example.org/other, not of"):
        verified(str(note), checkpoint_rule(platform, witness.key.text))
