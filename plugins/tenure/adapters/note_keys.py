"""Ed25519 keys that sign notes, and their verification: of a log, and of its witness."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tenure.lifecycle.audit.signed_note import (
    COSIGNATURE,
    ED25519,
    TIME_BYTES,
    NoteKey,
    NoteSignature,
    SignedNote,
    cosigned_message,
)


class NoteSigner:
    """Signs texts in a name.

    Args:
        name: As it stands in the notes.
        secret: The private key, 32 bytes.
        is_witness: Whether it signs what it saw and when, instead of the text alone.
    """

    def __init__(self, name: str, secret: bytes, *, is_witness: bool = False) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(secret)
        kind = COSIGNATURE if is_witness else ED25519
        self.key = NoteKey(name, kind, self._private.public_key().public_bytes_raw())

    def sign(self, text: str, seconds: int = 0) -> NoteSignature:
        """Its signature of the text; `seconds` since 1970 count for a witness only."""
        if self.key.kind == ED25519:
            return self._line(self._private.sign(text.encode()))
        signature = self._private.sign(cosigned_message(text, seconds))
        return self._line(seconds.to_bytes(TIME_BYTES, "big") + signature)

    def _line(self, signature: bytes) -> NoteSignature:
        return NoteSignature(self.key.name, self.key.id, signature)


def signed_by(note: SignedNote, key: NoteKey) -> bool:
    """Whether the key signed the text: each signature that says so holds, and there is one."""
    mine = [one for one in note.signatures if one.is_of(key)]
    return bool(mine) and all(_holds(note.text, key, one) for one in mine)


def _holds(text: str, key: NoteKey, one: NoteSignature) -> bool:
    message, signature = text.encode(), one.signature
    if key.kind == COSIGNATURE:
        message, signature = cosigned_message(text, one.seconds), signature[TIME_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except InvalidSignature:
        return False
    return True
