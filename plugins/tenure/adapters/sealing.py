"""Seals personal values with AES-256-GCM, and wraps the keys that seal them.

A sealed value is bound to what it is `about`: moved to another row, it does not open.
"""

import base64
import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class SealBroken(ValueError):
    """Another key, other bytes, or moved to another row."""


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(KEY_BYTES)


def seal(key: bytes, value: bytes, *, about: str) -> bytes:
    """Nonce and ciphertext; the same value about the same thing gives the same bytes.

    The nonce is a keyed hash of both (as in SIV modes), so a segment that is shipped twice does
    not differ, and no nonce comes twice for different values.
    """
    hashed = hashlib.blake2b(about.encode() + b"\0" + value, key=key, digest_size=_NONCE_BYTES)
    nonce = hashed.digest()
    return nonce + AESGCM(key).encrypt(nonce, value, about.encode())


def unseal(key: bytes, sealed: bytes, *, about: str) -> bytes:
    """The value. Raises SealBroken."""
    nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(key).decrypt(nonce, rest, about.encode())
    except (InvalidTag, ValueError) as error:
        raise SealBroken(f"what is sealed about {about} does not open") from error


def wrap(master: bytes, key: bytes, *, about: str) -> str:
    """A key as text that only the master key opens."""
    return base64.b64encode(seal(master, key, about=about)).decode()


def unwrap(master: bytes, wrapped: str, *, about: str) -> bytes:
    """The key. Raises SealBroken."""
    return unseal(master, base64.b64decode(wrapped), about=about)
