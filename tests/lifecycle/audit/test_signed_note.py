"""Notes, checkpoints and requests in the form of C2SP; the vectors are the specifications' own."""

import base64

import pytest

from tenure.adapters.note_keys import NoteSigner, signed_by
from tenure.lifecycle.audit.merkle import leaf_hash
from tenure.lifecycle.audit.signed_note import (
    COSIGNATURE,
    AddCheckpoint,
    Checkpoint,
    NoteFault,
    NoteKey,
    NoteSignature,
    SignedNote,
    parse_add_checkpoint,
    parse_checkpoint,
    parse_key,
    parse_note,
    proof_text,
)

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SECRET = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotp"
    "RZb6KE6RyyBwJnAM=\n"
)
COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhc"
    "yv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJs"
    "X3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)
HASHES = [
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=",
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=",
]


def test_the_note_of_go() -> None:
    signer = NoteSigner("PeterNeumann", SECRET)
    assert signer.key == parse_key(PETER)
    assert signer.key.text == PETER
    note = parse_note(PETERS_NOTE)
    assert str(SignedNote(note.text, (signer.sign(note.text),))) == str(note) == PETERS_NOTE
    assert signed_by(note, parse_key(PETER))


def test_the_checkpoint_of_the_specification() -> None:
    note = parse_note(COSIGNED)
    assert str(note) == COSIGNED
    found = parse_checkpoint(note.text)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.text == note.text
    seconds = int.from_bytes(note.signatures[1].signature[:8], "big")
    assert seconds == 1679315147  # the line `time` of the specification's example


def test_a_cosignature_commits_to_text_time_and_witness() -> None:
    witness = NoteSigner("witness.example/w1", b"w" * 32, is_witness=True)
    log = NoteSigner("example.com/log", b"l" * 32)
    text = Checkpoint("example.com/log", 7, leaf_hash(b"x")).text
    mine = witness.sign(text, 1_679_315_147)

    def other(name: str = mine.name, signature: bytes = mine.signature) -> NoteSignature:
        return NoteSignature(name, mine.id, signature)

    note = SignedNote(text, (log.sign(text), mine))
    assert witness.key.kind == COSIGNATURE
    assert signed_by(note, witness.key)
    assert signed_by(note, log.key)
    later = mine.signature[:7] + b"\xff" + mine.signature[8:]
    others = {
        "the text": SignedNote(text.replace("7", "8"), note.signatures),
        "the time": SignedNote(text, (other(signature=later),)),
        "the name": SignedNote(text, (other("witness.example/w2"),)),
        "nothing": SignedNote(text, note.signatures[:1]),
        "a second one that fails": SignedNote(text, (mine, other(signature=b"x" * 72))),
        "a short one": SignedNote(text, (other(signature=b"x"),)),
    }
    for name, forged in others.items():
        assert not signed_by(forged, witness.key), name
    again = NoteSigner("witness.example/w1", b"v" * 32, is_witness=True)
    assert not signed_by(note, again.key)


def test_what_a_log_asks_is_read_as_it_was_written() -> None:
    body = f"old 20852014\n{HASHES[0]}\n{HASHES[1]}\n\n{COSIGNED}"
    found = parse_add_checkpoint(body)
    assert (found.old, len(found.proof), str(found.note)) == (20852014, 2, COSIGNED)
    assert found.body == body
    assert AddCheckpoint(0, (), found.note).body == f"old 0\n\n{COSIGNED}"


def test_a_proof_has_the_form_of_its_specification() -> None:
    step = leaf_hash(b"x")
    text = proof_text(parse_note(COSIGNED), 3, [step], b"whatever")
    assert text.split("\n")[:5] == [
        "c2sp.org/tlog-proof@v1",
        "extra d2hhdGV2ZXI=",
        "index 3",
        base64.b64encode(step).decode(),
        "",
    ]
    assert text.endswith(f"\n\n{COSIGNED}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER.replace("Peter", "Peter "),
        PETER.replace("+AR", "+AX"),
        PETER[:-1],
    ],
)
def test_no_key(text: str) -> None:
    with pytest.raises(NoteFault):
        parse_key(text)


def test_a_key_has_a_name_that_a_note_can_hold() -> None:
    for name in ("", "two words", "a+b"):
        with pytest.raises(NoteFault):
            NoteKey(name, COSIGNATURE, b"k" * 32)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        PETERS_NOTE.removesuffix("\n"),
        PETERS_NOTE.replace("— ", "- "),
        PETERS_NOTE.replace("x08go/", "x08go "),
        PETERS_NOTE.replace("AM=", "AN="),
        PETERS_NOTE.replace("If", "I\x00f"),
        "x" * 20_000 + PETERS_NOTE,
        "a\n\n— PeterNeumann AAAA\n",
    ],
)
def test_no_note(note: str) -> None:
    with pytest.raises(NoteFault):
        parse_note(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n7\n",
        f"log\n07\n{HASHES[0]}\n",
        f"log\n-1\n{HASHES[0]}\n",
        f"log\n7\n{HASHES[0][:-4]}\n",
        f"\n7\n{HASHES[0]}\n",
        f"log\n{10**30}\n{HASHES[0]}\n",
    ],
)
def test_no_checkpoint(text: str) -> None:
    with pytest.raises(NoteFault):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "head",
    ["", "old", "old 01", "new 7", "old -1", "old 7\nxx", "old 7\n" + "\n".join(HASHES * 32)],
)
def test_no_request(head: str) -> None:
    with pytest.raises(NoteFault):
        parse_add_checkpoint(f"{head}\n\n{COSIGNED}")
