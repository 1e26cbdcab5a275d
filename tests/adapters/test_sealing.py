"""What is sealed opens with its key, about its row, whole; else not at all."""

import pytest

from tenure.adapters import sealing
from tenure.adapters.sealing import SealBroken

KEY = bytes(range(32))


def test_round_trip_is_the_same_every_time() -> None:
    sealed = sealing.seal(KEY, b"value", about="d1")
    assert sealing.unseal(KEY, sealed, about="d1") == b"value"
    assert sealing.seal(KEY, b"value", about="d1") == sealed
    assert b"value" not in sealed


def test_neither_values_nor_rows_share_a_nonce() -> None:
    made = [
        sealing.seal(KEY, value, about=about) for value in (b"a", b"b") for about in ("d1", "d2")
    ]
    assert len({one[:12] for one in made}) == 4


@pytest.mark.parametrize("position", range(0, 12 + 5 + 16, 4))
def test_a_flipped_byte_is_noticed(position: int) -> None:
    sealed = bytearray(sealing.seal(KEY, b"value", about="d1"))
    sealed[position] ^= 1
    with pytest.raises(SealBroken, match="what is sealed about d1 does not open"):
        sealing.unseal(KEY, bytes(sealed), about="d1")


@pytest.mark.parametrize(
    ("key", "about", "sealed"),
    [
        (bytes(32), "d1", sealing.seal(KEY, b"value", about="d1")),
        (KEY, "d2", sealing.seal(KEY, b"value", about="d1")),
        (KEY, "d1", b""),
        (KEY, "d1", b"short"),
    ],
    ids=["another key", "another row", "nothing", "cut off"],
)
def test_what_does_not_open(key: bytes, about: str, sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        sealing.unseal(key, sealed, about=about)


def test_wrapped_keys() -> None:
    key = sealing.new_key()
    wrapped = sealing.wrap(KEY, key, about="subject")
    assert sealing.unwrap(KEY, wrapped, about="subject") == key
    with pytest.raises(SealBroken):
        sealing.unwrap(KEY, wrapped, about="somebody else")
