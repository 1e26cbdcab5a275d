"""A witness cosigns what continues the last that it saw, and nothing else; killed anywhere."""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner
from witnesses import NAME, WitnessProcess

from tenure.adapters.note_keys import NoteSigner, signed_by
from tenure.adapters.witness_server import listening
from tenure.cli import app
from tenure.errors import ConfigInvalid, PortTaken, StateConflict
from tenure.lifecycle.audit.merkle import consistency_proof, leaf_hash, root_of
from tenure.lifecycle.audit.signed_note import (
    AddCheckpoint,
    Checkpoint,
    SignedNote,
    parse_note,
    parse_signatures,
)
from tenure.lifecycle.audit.witness import WitnessAnswer
from tenure.usecases.audit.witness import Witness, alone

LOG = NoteSigner("example.org/tenure", b"l" * 32)
LEAVES = [leaf_hash(b"%d" % number) for number in range(20)]
OTHERS = [leaf_hash(b"x"), *LEAVES[1:]]
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Noon:
    def now(self) -> datetime:
        return NOW


def asked(
    old: int, size: int, leaves: list[bytes] = LEAVES, log: NoteSigner = LOG, origin: str = ""
) -> AddCheckpoint:
    tree = Checkpoint(origin or log.key.name, size, root_of(leaves[:size]))
    proof = tuple(consistency_proof(leaves[:size], old)) if old <= size else ()
    return AddCheckpoint(old, proof, SignedNote(tree.text, (log.sign(tree.text),)))


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "w", NAME, LOG.key, Noon())


def add(witness: Witness, request: AddCheckpoint) -> WitnessAnswer:
    return witness.add_checkpoint(request.body.encode())


def size_of(witness: Witness) -> int:
    answer = witness.newest()
    return 0 if answer.status == 404 else int(answer.body.split("\n")[1])


def test_it_cosigns_what_continues_the_last(witness: Witness, tmp_path: Path) -> None:
    for old, size in ((0, 3), (3, 3), (3, 7), (7, 20)):
        answer = add(witness, asked(old, size))
        assert answer.status == 200, (old, size, answer)
        note = asked(old, size).note
        mine = parse_signatures(answer.body)
        assert signed_by(SignedNote(note.text, mine), witness.key)
        assert mine[0].seconds == int(NOW.timestamp())
    kept = parse_note(witness.newest().body)
    assert signed_by(kept, witness.key)
    assert signed_by(kept, LOG.key)
    assert len(list((tmp_path / "w").iterdir())) == 2  # its key and one small file
    assert (tmp_path / "w" / "seen.json").stat().st_size < 1_000


@pytest.mark.parametrize(
    ("name", "request_", "status", "body"),
    [
        ("another size was seen", asked(3, 9), 409, "7\n"),
        ("the first one again", asked(0, 9), 409, "7\n"),
        ("it went back", asked(3, 3), 409, "7\n"),
        ("the same size, another root", asked(7, 7, OTHERS), 409, "7\n"),
        ("another past", asked(7, 9, OTHERS), 422, "the proof does not lead from 7 to it\n"),
        ("no proof", AddCheckpoint(7, (), asked(7, 9).note), 422, None),
        ("smaller than old", asked(7, 5), 400, "old 7 is more than size 5\n"),
        ("unknown log", asked(7, 9, origin="example.org/other"), 404, "unknown log\n"),
        (
            "another key",
            asked(7, 9, log=NoteSigner(LOG.key.name, b"k" * 32)),
            403,
            "not signed by the key of the log\n",
        ),
    ],
)
def test_it_refuses_everything_else(
    witness: Witness, name: str, request_: AddCheckpoint, status: int, body: str | None
) -> None:
    assert add(witness, asked(0, 7)).status == 200
    answer = add(witness, request_)
    assert (answer.status, body or answer.body) == (status, answer.body), name
    assert size_of(witness) == 7
    assert add(witness, asked(7, 9)).status == 200, "it goes on"


@pytest.mark.parametrize("body", [b"", b"old 0\n\nx", b"\xff", b"old 0\n\n" + b"x" * 60_000])
def test_what_is_no_request_changes_nothing(witness: Witness, body: bytes) -> None:
    assert witness.add_checkpoint(body).status == 400
    assert size_of(witness) == 0


def test_a_write_that_fails_is_not_answered_and_the_disk_counts(
    witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert add(witness, asked(0, 3)).status == 200

    def synced_never(_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("tenure.files.sync_folder", synced_never)
        with pytest.raises(OSError, match="Input/output"):
            add(witness, asked(3, 9))
    assert size_of(witness) == 9  # the rename was done: whoever comes is told so
    assert add(witness, asked(3, 5)).body == "9\n"


@pytest.mark.parametrize("text", ["", "{}", '{"origin": null, "note": "x"}', "[]"])
def test_a_state_that_cannot_be_read_is_not_taken_for_a_new_one(
    witness: Witness, tmp_path: Path, text: str
) -> None:
    (tmp_path / "w" / "seen.json").write_text(text)
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        Witness(tmp_path / "w", NAME, LOG.key, Noon())


@pytest.mark.parametrize("name", ["seen.json", "witness.key"])
def test_half_a_folder_is_refused(witness: Witness, tmp_path: Path, name: str) -> None:
    assert add(witness, asked(0, 3)).status == 200
    (tmp_path / "w" / name).unlink()
    with pytest.raises(ConfigInvalid, match=r"seen\.json"):
        Witness(tmp_path / "w", NAME, LOG.key, Noon())


def test_a_folder_is_of_one_log_and_one_process(witness: Witness, tmp_path: Path) -> None:
    assert add(witness, asked(0, 3)).status == 200
    other = NoteSigner("example.org/other", b"o" * 32)
    with pytest.raises(ConfigInvalid, match=r"the log example\.org/tenure"):
        Witness(tmp_path / "w", NAME, other.key, Noon())
    again = Witness(tmp_path / "w", NAME, LOG.key, Noon())
    assert again.key == witness.key
    with alone(tmp_path / "w"), pytest.raises(StateConflict), alone(tmp_path / "w"):
        pytest.fail("two at once")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[WitnessProcess]:
    found = WitnessProcess(tmp_path / "process", LOG.key)
    yield found
    found.stop()


def post(process: WitnessProcess, request: AddCheckpoint) -> httpx.Response:
    return httpx.post(f"{process.url}/add-checkpoint", content=request.body, trust_env=False)


def test_over_http_and_killed_between_state_and_answer(process: WitnessProcess) -> None:
    process.start(TENURE_ENV="test", TENURE_FAIL="witness.kept:kill:2")
    key = process.key
    missing = httpx.get(f"{process.url}/checkpoint", trust_env=False)
    assert (missing.status_code, missing.text) == (404, "nothing was seen yet\n")
    first = post(process, asked(0, 3))
    assert (first.status_code, first.text[:2]) == (200, "— ")
    with pytest.raises(httpx.HTTPError):
        post(process, asked(3, 9))
    assert process.died() == -signal.SIGKILL
    process.start()
    assert process.key == key
    conflict = post(process, asked(3, 9))
    assert (conflict.status_code, conflict.text) == (409, "9\n")
    assert conflict.headers["Content-Type"] == "text/x.tlog.size"
    assert post(process, asked(9, 9)).status_code == 200
    assert post(process, asked(3, 5)).text == "9\n"  # it never goes back
    huge = httpx.post(f"{process.url}/add-checkpoint", content=b"x" * 70_000, trust_env=False)
    assert huge.status_code == 413
    kept = httpx.get(f"{process.url}/checkpoint", trust_env=False).text
    assert signed_by(parse_note(kept), process.note_key)
    assert json.loads((process.folder / "seen.json").read_text())["note"] == kept


def test_a_port_that_is_taken_is_said() -> None:
    with listening("127.0.0.1", 0) as sock, pytest.raises(PortTaken, match="witness cannot bind"):
        listening("127.0.0.1", sock.getsockname()[1])


@pytest.mark.parametrize(
    ("log", "name", "says"),
    [
        ("nonsense", NAME, "not the key of a log"),
        (NoteSigner(NAME, b"w" * 32, is_witness=True).key.text, NAME, "the key of a witness"),
        (LOG.key.text, "two words", "no key of a note"),
    ],
)
def test_wrong_usage(tmp_path: Path, log: str, name: str, says: str) -> None:
    done = CliRunner().invoke(app, ["witness", str(tmp_path), "--log", log, "--name", name])
    assert done.exit_code == 2
    assert says in done.output
