"""The witness: a process of other people, elsewhere, that remembers how long the ledger was.

It needs a folder and the public key of the ledger, and nothing of the installation.
"""

import fcntl
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.errors import ConfigInvalid, StateConflict
from tenure.failpoints import failpoint
from tenure.files import disk_errors, made_once, private_folder, whole_file
from tenure.lifecycle.audit.signed_note import (
    NoteFault,
    NoteKey,
    SignedNote,
    parse_add_checkpoint,
    parse_checkpoint,
    parse_note,
)
from tenure.lifecycle.audit.witness import OK, SeenTree, WitnessAnswer, refusal

if TYPE_CHECKING:
    from tenure.ports import Clock

_STATE, _KEY, _LOCK = "seen.json", "witness.key", "lock"
_NOTHING: dict[str, object] = {"origin": None, "note": None}

_log = logging.getLogger("tenure.witness")


class Witness:
    """Cosigns the checkpoints of one log, each of which continues the one before.

    Args:
        folder: Its key and what it saw last; made on first use, and never shared.
        name: What it is called in cosignatures.
        log: Public key of the log; its name is the origin of the log's checkpoints.
        clock: When it cosigned.

    Raises:
        ConfigInvalid: The folder holds a key but not what was seen, or it saw another log.
    """

    def __init__(self, folder: Path, name: str, log: NoteKey, clock: "Clock") -> None:
        from tenure.adapters.note_keys import NoteSigner

        self._state = folder / _STATE
        self._log = log
        self._clock = clock
        self._turn = threading.Lock()
        with disk_errors(folder):
            private_folder(folder)
            if not (folder / _KEY).exists():  # before the key: who has a key has seen something
                made_once(self._state, lambda: json.dumps(_NOTHING))
            if self._seen() is not None and not (folder / _KEY).exists():
                raise self._refused(f"is there, but not {_KEY}, which cosigned it")
            secret = bytes.fromhex(made_once(folder / _KEY, lambda: os.urandom(32).hex()))
        self._signer = NoteSigner(name, secret, is_witness=True)

    @property
    def key(self) -> NoteKey:
        """Its public key, which whoever verifies must have from its own people."""
        return self._signer.key

    def newest(self) -> WitnessAnswer:
        """The checkpoint that it cosigned last, with the cosignature; 404 before the first."""
        note = self._seen()
        return WitnessAnswer(404, "nothing was seen yet\n") if note is None else _said(str(note))

    def add_checkpoint(self, body: bytes) -> WitnessAnswer:
        """Cosign what continues the newest; what it saw is on the disk before it answers."""
        try:
            asked = parse_add_checkpoint(body.decode())
            checkpoint = parse_checkpoint(asked.note.text)
        except (NoteFault, UnicodeDecodeError) as error:
            return WitnessAnswer(400, f"{error}\n")
        if checkpoint.origin != self._log.name:
            return WitnessAnswer(404, "unknown log\n")
        if not self._is_of_log(asked.note):
            return WitnessAnswer(403, "not signed by the key of the log\n")
        with self._turn:
            note = self._seen()  # from the disk: also after a write that failed
            seen = _tree(note)
            why = refusal(seen, asked, checkpoint)
            if why is not None:
                _log.warning(
                    "refused=%s seen=%s old=%s size=%s root=%s",
                    why.status,
                    seen.size,
                    asked.old,
                    checkpoint.size,
                    checkpoint.root.hex(),
                )
                return why
            cosignature = self._signer.sign(asked.note.text, int(self._clock.now().timestamp()))
            logs = [one for one in asked.note.signatures if one.is_of(self._log)]
            self._keep(SignedNote(asked.note.text, (*logs, cosignature)))
        failpoint("witness.kept")
        _log.info("cosigned=%s root=%s", checkpoint.size, checkpoint.root.hex())
        return _said(cosignature.line)

    def _is_of_log(self, note: SignedNote) -> bool:
        from tenure.adapters.note_keys import signed_by

        return signed_by(note, self._log)

    def _seen(self) -> SignedNote | None:
        """What it cosigned last, by its file."""
        try:
            kept = json.loads(self._state.read_text("utf-8"))
            origin = kept["origin"]
            note = None if kept["note"] is None else parse_note(kept["note"])
            _tree(note)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._refused(f"cannot be read: {type(error).__name__}") from error
        if origin not in (None, self._log.name):
            raise self._refused(f"is about the log {origin}, not {self._log.name}")
        return note

    def _keep(self, note: SignedNote) -> None:
        kept = {"origin": self._log.name, "note": str(note)}
        with whole_file(self._state) as stream:
            stream.write(json.dumps(kept, ensure_ascii=False).encode())

    def _refused(self, why: str) -> ConfigInvalid:
        return ConfigInvalid(
            f"What the witness saw last ({self._state}) {why}.",
            still_safe="Nothing was cosigned.",
            next_step="Restore the file as it was last, never an older one. If it is lost, begin "
            "in an empty folder: it makes a new key, which everybody who verifies must hear of.",
        )


def _said(text: str) -> WitnessAnswer:
    return WitnessAnswer(OK, text)


def _tree(note: SignedNote | None) -> SeenTree:
    if note is None:
        return SeenTree()
    checkpoint = parse_checkpoint(note.text)
    return SeenTree(checkpoint.size, checkpoint.root)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder of a witness; the kernel lets go of it however the process ends.

    Raises:
        StateConflict: Another witness works in it.
    """
    with disk_errors(folder):
        private_folder(folder)
        stream = (folder / _LOCK).open("w")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateConflict(
                f"Another witness works in {folder}.",
                still_safe="That one goes on; this one read and wrote nothing.",
                next_step="End it first, or give this one a folder of its own.",
            ) from error
        yield


def serve_witness(witness: Witness, *, host: str, port: int) -> None:
    """Answer until SIGTERM or Ctrl-C.

    Raises:
        PortTaken: Somebody listens there already.
    """
    from tenure.adapters import witness_server

    app = witness_server.witness_app(witness.add_checkpoint, witness.newest)
    with witness_server.listening(host, port) as sock:
        _log.info("listening=%s:%s key=%s", *sock.getsockname()[:2], witness.key.text)
        witness_server.run(app, sock)
