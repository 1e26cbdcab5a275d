"""Checkpoints of the ledger are cosigned and stored twice, whoever is killed or silent."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_forgery import as_owner, cut, forget, grow, rewrite
from witnesses import WitnessProcess, WitnessThread, configured

from tenure.adapters.note_keys import NoteSigner
from tenure.errors import LedgerBroken, NotWitnessed
from tenure.installation import Installation
from tenure.layout import CHECKPOINTS
from tenure.lifecycle.audit.witness import LedgerPolicy, WitnessPolicy
from tenure.usecases.audit.checkpoints import (
    CheckpointCounts,
    kept_checkpoint,
    make_checkpoint,
)
from tenure.usecases.audit.ledger_tree import checkpoint_rule, difference, log_key, verified
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

RUN = RunRef("maintain_platform", "r1", "maintain")


@pytest.fixture
def witness(platform: Installation, tmp_path: Path) -> Iterator[WitnessThread]:
    found = WitnessThread(tmp_path / "witness", log_key(platform))
    yield found
    found.stop()


@pytest.fixture
def watched(platform: Installation, witness: WitnessThread) -> Installation:
    """Three events, and a witness that saw none of them yet."""
    grow(platform, "a", "b", "c")
    return configured(platform, witness.policy)


def cosigned(platform: Installation) -> int:
    """How many events the newest checkpoint covers that is in the database and in the store."""
    keys = checkpoint_rule(platform)
    kept = kept_checkpoint(platform, keys)
    assert kept is not None
    *_, newest = sorted(platform.store.list(CHECKPOINTS))
    stored = verified(platform.store.get(newest).decode(), keys)
    assert stored.tree == kept.tree
    assert difference(platform, stored, keys) is None
    return stored.tree.size


def test_an_empty_ledger_has_none(platform: Installation) -> None:
    assert make_checkpoint(platform, RUN) == CheckpointCounts(0, is_cosigned=False, is_new=False)
    assert not list(platform.store.list("ledger/"))


def test_it_is_cosigned_and_stored_twice(watched: Installation) -> None:
    assert make_checkpoint(watched, RUN) == CheckpointCounts(3, is_cosigned=True, is_new=True)
    assert cosigned(watched) == 3
    assert make_checkpoint(watched, RUN) == CheckpointCounts(3, is_cosigned=True, is_new=False)
    grow(watched, "d", "e")
    assert make_checkpoint(watched, RUN).is_new
    assert cosigned(watched) == 5
    assert len(list(watched.store.list(CHECKPOINTS))) == 2
    assert [*watched.store.list("ledger/tile/")] == ["ledger/tile/0/000.p/5"]


def in_child(platform: Installation, **environment: str) -> int:
    """A run of its own process with its own connections; returns how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        os.environ.update(environment)
        own = configured(Installation(platform.settings), platform.config.ledger)
        make_checkpoint(own, RUN)
        code = 0
    finally:
        os._exit(code)


@pytest.mark.parametrize("place", ["checkpoint.cosigned", "checkpoint.stored"])
@pytest.mark.parametrize("grown", [False, True])
def test_killed_between_asking_and_storing(
    watched: Installation, place: str, *, grown: bool
) -> None:
    orders = {"TENURE_ENV": "test", "TENURE_FAIL": f"{place}:kill"}
    assert in_child(watched, **orders) == -signal.SIGKILL
    assert kept_checkpoint(watched, checkpoint_rule(watched)) is None
    if grown:
        grow(watched, "d")
    assert make_checkpoint(watched, RUN).is_new
    assert cosigned(watched) == 3 + grown


def test_the_witness_killed_before_its_answer(platform: Installation, tmp_path: Path) -> None:
    """The command itself, in a process: it kept what it saw, and the next run gets it cosigned."""
    grow(platform, "a", "b")
    process = WitnessProcess(tmp_path / "witness", log_key(platform))
    try:
        process.start(TENURE_ENV="test", TENURE_FAIL="witness.kept:kill")
        configured(platform, process.policy)
        with pytest.raises(NotWitnessed, match="gave no answer"):
            make_checkpoint(platform, RUN)
        assert process.died() == -signal.SIGKILL
        grow(platform, "c")
        with pytest.raises(NotWitnessed, match="gave no answer: ConnectError"):
            make_checkpoint(platform, RUN)
        process.start()
        assert make_checkpoint(platform, RUN).is_new
        assert cosigned(platform) == 3
    finally:
        process.stop()


def test_somebody_else_asked_meanwhile(watched: Installation) -> None:
    """Two installations of one ledger, or a database that was restored with an older report."""
    make_checkpoint(watched, RUN)
    grow(watched, "d")
    make_checkpoint(watched, RUN)
    as_owner(watched, "DELETE FROM report WHERE body->'facts'->>'size' = '4'")
    grow(watched, "e")
    assert make_checkpoint(watched, RUN).is_new
    assert cosigned(watched) == 5


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("an event", lambda p: rewrite(p, 2), r"broken at event 2: it is about s by eve"),
        ("the tail", lambda p: cut(p, 3), r"event 3: there is none; .* has 3 events"),
        ("the tail, and new ones", lambda p: (cut(p, 3), grow(p, "x", "y")), r"at event 3: it is"),
    ],
)
@pytest.mark.parametrize("forgets", [False, True])
def test_the_witness_does_not_cosign_what_was_rewritten(
    watched: Installation,
    name: str,
    change: Callable[[Installation], object],
    says: str,
    *,
    forgets: bool,
) -> None:
    make_checkpoint(watched, RUN)
    change(watched)
    if forgets:
        forget(watched)
    with pytest.raises(LedgerBroken, match=says):
        make_checkpoint(watched, RUN)
    assert len(list(watched.store.list(CHECKPOINTS))) == 1, name


def test_a_witness_of_another_ledger_and_one_with_another_key(
    watched: Installation, witness: WitnessThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TENURE_LEDGER_KEY", "ab" * 32)
        with pytest.raises(NotWitnessed, match="403: not signed by the key of the log"):
            make_checkpoint(watched, RUN)
    policy = witness.policy.witness
    assert policy
    origin = LedgerPolicy(origin="example.org/other", witness=policy)
    with pytest.raises(NotWitnessed, match="404: unknown log"):
        make_checkpoint(configured(watched, origin), RUN)
    stranger = NoteSigner("witness.example/w2", b"z" * 32, is_witness=True).key.text
    wrong = LedgerPolicy(witness=WitnessPolicy(url=policy.url, key=stranger))
    with pytest.raises(NotWitnessed, match=r"no cosignature of witness\.example/w2"):
        make_checkpoint(configured(watched, wrong), RUN)
    assert not list(watched.store.list("ledger/"))


def test_without_a_witness_the_ledger_signs_alone(platform: Installation) -> None:
    grow(platform, "a", "b", "c")
    assert make_checkpoint(platform, RUN) == CheckpointCounts(3, is_cosigned=False, is_new=True)
    grow(platform, "d")
    assert make_checkpoint(platform, RUN).is_new
    assert cosigned(platform) == 4
    rewrite(platform, 3)
    with pytest.raises(LedgerBroken, match=r"event 3: .* that the ledger's own key signed"):
        make_checkpoint(platform, RUN)


def test_a_witness_that_comes_later_cosigns_what_was_there(
    platform: Installation, witness: WitnessThread
) -> None:
    grow(platform, "a", "b", "c")
    make_checkpoint(platform, RUN)
    assert make_checkpoint(configured(platform, witness.policy), RUN).is_new
    assert cosigned(platform) == 3
