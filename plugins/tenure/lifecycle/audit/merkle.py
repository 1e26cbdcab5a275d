"""The Merkle tree of RFC 6962 over the ledger's events: roots, and proofs about them.

A leaf holds the hash of an event, as 64 hexadecimal characters; event N is leaf N - 1.
"""

import hashlib
from collections.abc import Sequence

EMPTY_ROOT = hashlib.sha256().digest()
"""Of a tree without leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf with this content."""
    return hashlib.sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree over hashes of leaves.

    >>> root_of([]).hex()[:8]
    'e3b0c442'
    """
    level = list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [_node(a, b) for a, b in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0] if level else EMPTY_ROOT


def _split(size: int) -> int:
    """The largest power of two below the size of a tree, which is where it is split."""
    return 1 << (size - 1).bit_length() - 1


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Hashes that lead from a leaf to the root, its sibling first.

    Source: RFC 6962, section 2.1.1.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    found: list[bytes] = []
    while len(leaves) > 1:
        half = _split(len(leaves))
        left, right = leaves[:half], leaves[half:]
        other, leaves = (right, left) if index < half else (left, right)
        index %= half
        found.insert(0, root_of(other))
    return found


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Hashes that show that the tree over the first `old` leaves is the beginning of this one.

    Empty for nothing and for all of them. Source: RFC 6962, section 2.1.2.
    """
    if not 0 <= old <= len(leaves):
        raise IndexError(old)
    return _subproof(leaves, old, is_known=True) if 0 < old < len(leaves) else []


def _subproof(leaves: Sequence[bytes], old: int, *, is_known: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if is_known else [root_of(leaves)]
    half = _split(len(leaves))
    left, right = leaves[:half], leaves[half:]
    if old <= half:
        return [*_subproof(left, old, is_known=is_known), root_of(right)]
    return [*_subproof(right, old - half, is_known=False), root_of(left)]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that a proof of inclusion leads to; None when it is none for such a tree.

    Source: RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return None
        if place % 2 or place == last:
            found = _node(step, found)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            found = _node(found, step)
        place, last = place >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(
    old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that a tree begins with an older one.

    Source: RFC 9162, section 2.1.4.2.
    """
    if old == size:
        return not proof and old_root == root
    if not 0 < old < size:
        return old == 0 and not proof and old_root == EMPTY_ROOT
    is_whole = old & (old - 1) == 0  # then its root is a node of the newer tree
    return _both_roots(old, size, [*([old_root] if is_whole else []), *proof]) == (old_root, root)


def _both_roots(old: int, size: int, steps: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Roots of the older and of the newer tree; None when the steps do not fit their sizes."""
    place, last = old - 1, size - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    if not steps:
        return None
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return None
        if place % 2 or place == last:
            before, after = _node(step, before), _node(step, after)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            after = _node(after, step)
        place, last = place >> 1, last >> 1
    return (before, after) if last == 0 else None


def first_difference(leaves: Sequence[bytes], others: Sequence[bytes]) -> int | None:
    """Index of the first leaf in which two trees differ; None when one begins with the other."""
    pairs = enumerate(zip(leaves, others, strict=False))
    return next((index for index, (one, other) in pairs if one != other), None)
