"""The tree of RFC 6962; its vectors are those of Certificate Transparency and Trillian."""

import hashlib
from itertools import product

import pytest

from tenure.lifecycle.audit.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    first_difference,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    root_from_inclusion,
    root_of,
)

ENTRIES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUDED = [
    (1, 8, [A, B, C]),
    (6, 8, [D, E, ROOTS[3]]),
    (3, 3, [ROOTS[1]]),
    (2, 5, [ROOTS[0], B, D]),
]
CONSISTENT = [(1, 1, []), (1, 8, [A, B, C]), (6, 8, [F, E, ROOTS[3]]), (2, 5, [B, D])]
MANY = [leaf_hash(hashlib.sha256(b"%d" % number).digest()) for number in range(40)]


def test_the_published_roots() -> None:
    assert EMPTY_ROOT == hashlib.sha256(b"").digest() == root_of([])
    assert [root_of(LEAVES[:size]).hex() for size in range(1, 9)] == [*ROOTS]


@pytest.mark.parametrize(("number", "size", "proof"), INCLUDED)
def test_the_published_proofs_of_inclusion(number: int, size: int, proof: list[str]) -> None:
    found = inclusion_proof(LEAVES[:size], number - 1)
    assert [one.hex() for one in found] == proof
    root = root_from_inclusion(LEAVES[number - 1], number - 1, size, found)
    assert root is not None
    assert root.hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("old", "size", "proof"), CONSISTENT)
def test_the_published_proofs_of_consistency(old: int, size: int, proof: list[str]) -> None:
    found = consistency_proof(LEAVES[:size], old)
    assert [one.hex() for one in found] == proof


def test_every_honest_proof_holds_and_no_other_one_does() -> None:
    """All sizes up to 40: another leaf, place, size or step leads to another root, or to none."""
    for size in range(1, len(MANY) + 1):
        leaves = MANY[:size]
        root = root_of(leaves)
        for index in range(size):
            proof = inclusion_proof(leaves, index)
            assert root_from_inclusion(leaves[index], index, size, proof) == root
            forged = [
                (MANY[0], index, size, [*proof, MANY[0]]),
                (leaf_hash(b"x"), index, size, proof),
                *([(leaves[index], index, size, proof[:-1])] if proof else []),
                *([(leaves[index], (index + 1) % size, size, proof)] if size > 1 else []),
            ]
            assert all(root_from_inclusion(*one) != root for one in forged), (size, index)


def test_a_tree_begins_with_its_own_past_only() -> None:
    roots = [root_of(MANY[:size]) for size in range(len(MANY) + 1)]
    for old, size in product(range(len(MANY) + 1), repeat=2):
        if old > size:
            assert not is_consistent(old, roots[old], size, roots[size], [])
            continue
        proof = consistency_proof(MANY[:size], old)
        assert is_consistent(old, roots[old], size, roots[size], proof)
        assert not is_consistent(old, leaf_hash(b"x"), size, roots[size], proof)
        assert not is_consistent(old, roots[old], size, roots[size], [*proof, MANY[0]])
        if old:
            assert not is_consistent(old, roots[old], size, leaf_hash(b"x"), proof)
        if proof:
            assert not is_consistent(old, roots[old], size, roots[size], proof[:-1])
    assert not is_consistent(3, roots[3], 5, roots[5], [])


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    for place in (-1, 3):
        with pytest.raises(IndexError):
            inclusion_proof(MANY[:3], place)
        assert root_from_inclusion(MANY[0], place, 3, []) is None
    for old in (-1, 4):
        with pytest.raises(IndexError):
            consistency_proof(MANY[:3], old)


def test_the_first_difference_of_two_trees() -> None:
    other = [*MANY[:5], leaf_hash(b"x"), *MANY[6:]]
    assert first_difference(MANY, other) == 5
    assert first_difference(MANY, MANY[:4]) is None
