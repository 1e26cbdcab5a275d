"""Texts that others sign and verify: signed notes, checkpoints and proofs in the form of C2SP.

Source: c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature, tlog-witness and tlog-proof.
Nothing here verifies a signature: `tenure.adapters.note_keys` does.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

ED25519, COSIGNATURE = 1, 4
"""Types of keys: of a log, which signs the text; of a witness, which signs it with the time."""
_KEY_BYTES = 32
_ID_BYTES = 4
_HASH_BYTES = 32
TIME_BYTES = 8
"""Of the moment before a witness's signature."""
_NAME = re.compile(r"[^\s+]+")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
LONGEST_NOTE = 16_384
"""Bytes of a note that is read."""
MOST_PROOF_LINES = 63


class NoteFault(ValueError):
    """A text is not what it should be by its specification."""


@dataclass(frozen=True)
class NoteKey:
    """A public key with the name that stands in the notes it signs; `kind` is its type."""

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        """Refuse what cannot be written into a note."""
        if not _NAME.fullmatch(self.name) or len(self.public) != _KEY_BYTES:
            raise NoteFault(f"{self.name!r} with {len(self.public)} bytes is no key of a note")

    @property
    def id(self) -> bytes:
        """Four bytes by which a signature says whose it is."""
        said = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(said).digest()[:_ID_BYTES]

    @property
    def text(self) -> str:
        """As it is handed to others: name, id and key, with plus signs between them."""
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([self.kind]) + self.public)}"


def parse_key(text: str) -> NoteKey:
    """The key of a text as `NoteKey.text` gives it.

    Raises:
        NoteFault: It is none, or its id is not that of the key.

    >>> parse_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").kind
    1
    """
    name, _, rest = text.strip().partition("+")
    number, _, encoded = rest.partition("+")
    data = _decoded(encoded) if encoded else b""
    if len(data) != 1 + _KEY_BYTES or data[0] not in (ED25519, COSIGNATURE):
        raise NoteFault("it is not the key of a log or a witness (name+id+key)")
    key = NoteKey(name, data[0], data[1:])
    if key.id.hex() != number:
        raise NoteFault(f"its id is {key.id.hex()}, not {number[:8]}")
    return key


@dataclass(frozen=True)
class NoteSignature:
    """One line below a note: who signed, by name and id of the key, and the signature."""

    name: str
    id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """As it stands in the note."""
        return f"— {self.name} {_base64(self.id + self.signature)}\n"

    def is_of(self, key: NoteKey) -> bool:
        """Whether it says that this key made it."""
        return (self.name, self.id) == (key.name, key.id)

    @property
    def seconds(self) -> int:
        """When a witness made it, in seconds since 1970."""
        return int.from_bytes(self.signature[:TIME_BYTES], "big")


@dataclass(frozen=True)
class SignedNote:
    """A text with signatures, none of which is verified yet."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def __str__(self) -> str:
        """The whole note."""
        return f"{self.text}\n{''.join(one.line for one in self.signatures)}"


def parse_note(note: str) -> SignedNote:
    """A note in its parts.

    Raises:
        NoteFault: It is none.
    """
    if len(note.encode()) > LONGEST_NOTE or any(c < " " and c != "\n" for c in note):
        raise NoteFault("it is too long for a signed note, or has control characters")
    text, gap, signatures = note.rpartition("\n\n")
    if not gap or not note.endswith("\n"):
        raise NoteFault("it is not a signed note: a text, an empty line, signatures")
    return SignedNote(f"{text}\n", parse_signatures(signatures))


def parse_signatures(lines: str) -> tuple[NoteSignature, ...]:
    """The signatures of these lines.

    Raises:
        NoteFault: A line is none.
    """
    return tuple(_signature(line) for line in lines.removesuffix("\n").split("\n"))


def _signature(line: str) -> NoteSignature:
    match = _LINE.fullmatch(line)
    data = _decoded(match[2]) if match else b""
    if match is None or len(data) <= _ID_BYTES:
        raise NoteFault("a line below the text is no signature")
    return NoteSignature(match[1], data[:_ID_BYTES], data[_ID_BYTES:])


@dataclass(frozen=True)
class Checkpoint:
    """What a log says of its tree: which log it is, how many leaves, and the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text of its note."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of a note's text; lines after the third one are passed over.

    Raises:
        NoteFault: It is none.
    """
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines) or not _NUMBER.fullmatch(lines[1]):
        raise NoteFault("it is not a checkpoint: origin, size, root")
    return Checkpoint(lines[0], int(lines[1]), _hash(lines[2]))


def cosigned_message(text: str, seconds: int) -> bytes:
    """What a witness signs: the text of a checkpoint, and when it saw it."""
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


@dataclass(frozen=True)
class AddCheckpoint:
    """What a log asks a witness: to cosign this note, which follows what it saw by the proof."""

    old: int
    proof: tuple[bytes, ...]
    note: SignedNote

    @property
    def body(self) -> str:
        """As it is sent."""
        lines = [f"old {self.old}", *map(_base64, self.proof)]
        return "\n".join(lines) + f"\n\n{self.note}"


def parse_add_checkpoint(body: str) -> AddCheckpoint:
    """The request of a body.

    Raises:
        NoteFault: It is none.
    """
    head, _, note = body.partition("\n\n")
    first, *proof = head.split("\n")
    word, _, number = first.partition(" ")
    if word != "old" or not _NUMBER.fullmatch(number) or len(proof) > MOST_PROOF_LINES:
        raise NoteFault("it does not begin with the old size and at most 63 hashes")
    return AddCheckpoint(int(number), tuple(map(_hash, proof)), parse_note(note))


def proof_text(note: SignedNote, index: int, proof: Sequence[bytes], extra: bytes) -> str:
    """A proof that a leaf is in the tree of a checkpoint, as `c2sp.org/tlog-proof@v1`.

    Args:
        note: The checkpoint, with every signature that stands for it.
        index: Of the leaf.
        proof: Of its inclusion.
        extra: What its reader needs besides; the proof does not vouch for it.
    """
    head = ["c2sp.org/tlog-proof@v1", f"extra {_base64(extra)}", f"index {index}"]
    return "\n".join([*head, *map(_base64, proof)]) + f"\n\n{note}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(text: str) -> bytes:
    """Bytes of base64 in the one form that encoding gives."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or _base64(data) != text:
        raise NoteFault("something in it is not base64")
    return data


def _hash(text: str) -> bytes:
    data = _decoded(text)
    if len(data) != _HASH_BYTES:
        raise NoteFault(f"a hash in it has {len(data)} bytes, not {_HASH_BYTES}")
    return data
