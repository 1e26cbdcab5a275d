"""The trainer's Ed25519 key: signs statements. Readers verify with the public half alone.

Verification stands with the loader in `skops_artifacts`: who checks needs no private key.
"""

import base64
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from tenure.errors import ArtifactRefused


class Signer:
    """Signs with the key at `private`; the public half lies beside it as `<stem>.pub`.

    That file may hold public halves of earlier keys as well: what they signed stays valid.

    Args:
        private: PEM file, made on first use, readable by its owner only.
    """

    def __init__(self, private: Path) -> None:
        self._private = private
        self.public = private.with_suffix(".pub")

    def sign(self, statement: bytes) -> str:
        """The statement and its Ed25519 signature, each in base64, with a dot between them.

        So a reader can name what differs from what was signed. The same statement gives the same
        text.

        Raises:
            ArtifactRefused: The private key is gone, or is not an Ed25519 key.
        """
        parts = (statement, self._key().sign(statement))
        return ".".join(base64.b64encode(part).decode("ascii") for part in parts)

    def _key(self) -> Ed25519PrivateKey:
        if not self._private.exists():
            self._make()
        key = load_pem_private_key(self._private.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise self._refused(f"{self._private.name} is not an Ed25519 key")
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if not self.public.exists():
            _place(self.public, public, mode=0o644)
        if public.strip() not in self.public.read_bytes():  # beside those of earlier keys
            raise self._refused(f"{self.public.name} does not hold the public half of it")
        return key

    def _make(self) -> None:
        if self.public.exists():
            if self._private.exists():  # which comes first: another trainer made both meanwhile
                return
            raise self._refused(
                f"the private key is gone but {self.public.name} is there; a new key would "
                "disown every version that was signed before"
            )
        self._private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        _place(self._private, pem, mode=0o600)

    def _refused(self, why: str) -> ArtifactRefused:
        return ArtifactRefused(
            f"The signing key cannot be used: {why}.",
            still_safe="Nothing was signed; versions that were signed before keep serving.",
            next_step="Restore keys/signing.pem from its backup, then clear this task.",
        )


def _place(path: Path, data: bytes, *, mode: int) -> None:
    """Write a file that nobody sees half done; when two do it at once, the first one stands."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
