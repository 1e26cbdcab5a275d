"""A verifier in another language accepts every proof of the ledger, and no forged one."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ledger_forgery import grow, rewrite
from witnesses import NAME, WitnessThread, configured

from tenure.adapters.note_keys import NoteSigner
from tenure.errors import LedgerBroken, NotWitnessed, TextRefused
from tenure.installation import Installation
from tenure.lifecycle.audit.ledger import GENESIS, Event, event_content, event_hash
from tenure.lifecycle.audit.merkle import inclusion_proof, leaf_hash, root_of
from tenure.lifecycle.audit.signed_note import (
    Checkpoint,
    NoteKey,
    SignedNote,
    parse_note,
    proof_text,
)
from tenure.usecases.audit.checkpoints import make_checkpoint
from tenure.usecases.audit.ledger_tree import checkpoint_rule, log_key
from tenure.usecases.audit.proofs import prove_events
from tenure.vocabulary import RunRef

VERIFIER = Path(__file__).parents[2] / "builders" / "tlog_proof_verifier.mjs"
RUN = RunRef("maintain_platform", "r1", "maintain")
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
LOG = NoteSigner("example.org/tenure", b"l" * 32)
WITNESS = NoteSigner(NAME, b"w" * 32, is_witness=True)

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="the verifier needs Node.js")


def judged(proofs: list[str], log: NoteKey, witness: NoteKey) -> list[str]:
    """What the foreign verifier says of each."""
    done = subprocess.run(
        ["node", str(VERIFIER), log.text, witness.text],
        input="".join(f"{json.dumps(one)}\n" for one in proofs),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.splitlines()


def events(length: int, actor: str = "ada") -> list[Event]:
    found: list[Event] = []
    for seq in range(1, length + 1):
        event = Event(
            seq=seq,
            op_key=f"op{seq}",
            subject="mv:1",
            generation=seq,
            src="draft",
            dst="trained",
            actor=actor,
            body={"share": 0.5, "who": "Ægir"},
            at=NOW + timedelta(seconds=seq),
            prev_hash=found[-1].hash if found else GENESIS,
            hash="",
        )
        columns = {k: v for k, v in vars(event).items() if k != "hash"}
        found.append(Event(**columns, hash=event_hash(**columns)))
    return found


def cosigned(
    leaves: list[bytes], witness: NoteSigner = WITNESS, log: NoteSigner = LOG
) -> SignedNote:
    text = Checkpoint(log.key.name, len(leaves), root_of(leaves)).text
    return SignedNote(text, (log.sign(text), witness.sign(text, int(NOW.timestamp()))))


def leaves_of(chain: list[Event]) -> list[bytes]:
    return [leaf_hash(event.hash.encode()) for event in chain]


def proofs(chain: list[Event], note: SignedNote) -> list[str]:
    leaves = leaves_of(chain)
    return [
        proof_text(note, index, inclusion_proof(leaves, index), event_content(event))
        for index, event in enumerate(chain)
    ]


@needs_node
def test_a_thousand_honest_proofs_are_accepted() -> None:
    chain = events(1_000)
    found = judged(proofs(chain, cosigned(leaves_of(chain))), LOG.key, WITNESS.key)
    assert found == [f"ok {index}" for index in range(1_000)]


@needs_node
def test_forged_proofs_are_refused() -> None:
    chain, other = events(37), events(37, actor="eve")
    note = cosigned(leaves_of(chain))
    honest = proofs(chain, note)[20]
    mine, stranger = leaves_of(other), NoteSigner(NAME, b"x" * 32, is_witness=True)
    text = Checkpoint(LOG.key.name, 37, root_of(mine)).text
    alone = SignedNote(text, (LOG.sign(text),))
    lines = honest.split("\n")
    step = lines[4]
    forged = {
        "another event": proof_text(
            note, 20, inclusion_proof(leaves_of(chain), 20), event_content(other[20])
        ),
        "another place": honest.replace("index 20", "index 21"),
        "beyond the tree": honest.replace("index 20", "index 37"),
        "a step less": honest.replace(f"{step}\n", "", 1),
        "a step twice": honest.replace(f"{step}\n", f"{step}\n{step}\n", 1),
        "another step": honest.replace(step, lines[3], 1),
        "another size": honest.replace("\n37\n", "\n38\n"),
        "another log": honest.replace("example.org/tenure", "example.org/forged"),
        "no witness": honest.rpartition("—")[0],
        "rewritten, signed by its owner": proofs(other, alone)[20],
        "rewritten, with the old cosignature": proofs(
            other, SignedNote(text, (LOG.sign(text), note.signatures[1]))
        )[20],
        "rewritten, with another witness": proofs(other, cosigned(mine, stranger))[20],
        "rewritten, another witness by the right id": proofs(
            other,
            SignedNote(
                text,
                (
                    LOG.sign(text),
                    type(note.signatures[1])(
                        NAME, WITNESS.key.id, stranger.sign(text, 7).signature
                    ),
                ),
            ),
        )[20],
        "nothing": "",
    }
    found = judged([honest, *forged.values()], LOG.key, WITNESS.key)
    assert found[0] == "ok 20"
    accepted = [name for name, one in zip(forged, found[1:], strict=True) if one[:2] == "ok"]
    assert (accepted, len(found)) == ([], len(forged) + 1)


@pytest.fixture
def witnessed(platform: Installation, tmp_path: Path) -> Iterator[Installation]:
    witness = WitnessThread(tmp_path / "witness", log_key(platform))
    grow(platform, "a", "b", "c")
    yield configured(platform, witness.policy)
    witness.stop()


@needs_node
@pytest.mark.service
def test_of_a_real_ledger(witnessed: Installation) -> None:
    make_checkpoint(witnessed, RUN)
    (second,) = prove_events(witnessed, "2")
    every = prove_events(witnessed, "s")
    assert [one.seq for one in every] == [1, 2, 3]
    assert every[1] == second
    assert second.witness == NAME
    rule = checkpoint_rule(witnessed)
    assert rule.has_witness
    found = judged([one.text for one in every], log_key(witnessed), rule.key)
    assert found == ["ok 0", "ok 1", "ok 2"]
    note = parse_note(second.text.partition("\n\n")[2])
    assert len(note.signatures) == 2


@pytest.mark.service
def test_what_cannot_be_proved(witnessed: Installation) -> None:
    with pytest.raises(NotWitnessed, match=r"Event 3 is newer than .* has 0 events"):
        prove_events(witnessed, "3")
    make_checkpoint(witnessed, RUN)
    grow(witnessed, "d")
    with pytest.raises(NotWitnessed, match=r"Event 4 is newer than .* has 3 events"):
        prove_events(witnessed, "s")
    for nothing in ("9", "9" * 30, "plan:none", "plan:\udcff"):
        with pytest.raises(TextRefused, match="has no event"):
            prove_events(witnessed, nothing)
    rewrite(witnessed, 2)
    with pytest.raises(LedgerBroken, match="broken at event 2"):
        prove_events(witnessed, "1")
