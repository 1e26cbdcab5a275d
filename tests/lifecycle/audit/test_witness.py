"""What a witness answers, and how it is named in `platform.yaml`."""

import pytest
from pydantic import ValidationError

from tenure.adapters.note_keys import NoteSigner
from tenure.lifecycle.audit.merkle import consistency_proof, leaf_hash, root_of
from tenure.lifecycle.audit.signed_note import AddCheckpoint, Checkpoint, SignedNote
from tenure.lifecycle.audit.witness import (
    LedgerPolicy,
    SeenTree,
    WitnessAnswer,
    WitnessPolicy,
    refusal,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(9)]
SEEN = SeenTree(5, root_of(LEAVES[:5]))
KEY = NoteSigner("witness.example/w1", b"w" * 32, is_witness=True).key.text
LOG = NoteSigner("example.org/tenure", b"l" * 32).key.text


@pytest.mark.parametrize(
    ("name", "seen", "old", "size", "status"),
    [
        ("the first", SeenTree(), 0, 9, None),
        ("nothing yet", SeenTree(), 0, 0, None),
        ("below", SEEN, 4, 9, 409),
        ("at", SEEN, 5, 9, None),
        ("above", SEEN, 6, 9, 409),
        ("the same again", SEEN, 5, 5, None),
        ("old beyond its own size", SEEN, 5, 4, 400),
    ],
)
def test_it_cosigns_from_where_it_is(
    name: str, seen: SeenTree, old: int, size: int, status: int | None
) -> None:
    tree = Checkpoint("log", size, root_of(LEAVES[:size]))
    proof = tuple(consistency_proof(LEAVES[:size], old)) if old <= size else ()
    answer = refusal(seen, AddCheckpoint(old, proof, SignedNote(tree.text, ())), tree)
    assert (answer.status if answer else None) == status, name


def test_the_size_that_it_saw_is_read_from_a_conflict_only() -> None:
    assert WitnessAnswer(409, "7\n").seen_size == 7
    assert WitnessAnswer(409, "no\n").seen_size is None
    assert WitnessAnswer(200, "7\n").seen_size is None


def test_it_is_named_by_address_and_key() -> None:
    assert LedgerPolicy().witness is None
    assert WitnessPolicy(url="https://witness.example.org", key=KEY).key == KEY
    for url, key in (
        ("https://w.example", LOG),
        ("https://w.example", "nonsense"),
        ("ftp://w.example", KEY),
    ):
        with pytest.raises(ValidationError):
            WitnessPolicy(url=url, key=key)
    for origin in ("", "two words", "a+b"):
        with pytest.raises(ValidationError):
            LedgerPolicy(origin=origin)
