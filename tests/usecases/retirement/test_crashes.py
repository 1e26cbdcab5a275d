"""Dies at the n-th call to store or database, for every n, and goes on as another process.

`make test` tries each ninth call, `make fault-test` all of them.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import event

from tenure.adapters.archive import Archive
from tenure.adapters.sql import decommissions, versions
from tenure.installation import Installation
from tenure.lifecycle.retirement.decommission import StepAction
from tenure.ports import ObjectStore
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.retirement.decommissioning import Decommissioning, decommissioning
from tenure.vocabulary import RunRef, State, VersionRef

MODEL = "flight_late"

pytestmark = pytest.mark.service


class Killed(BaseException):
    """What SIGKILL is to the code: nothing of ours catches it."""


@dataclass
class Countdown:
    """Dies before its n-th call; 0 never dies."""

    at: int = 0
    calls: int = 0

    def tick(self, *_: object) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise Killed


@dataclass
class DyingStore:
    """Passes everything on, and may die before it does."""

    store: ObjectStore
    countdown: Countdown
    deleted: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.countdown.tick()
            if name == "delete":
                self.deleted.append(args[0])
            return getattr(self.store, name)(*args, **kwargs)

        return call


@pytest.fixture
def dying(platform: Installation) -> Iterator[tuple[Installation, DyingStore]]:
    """A second process on the same database and store, which dies when it is told to."""
    other = Installation(platform.settings)
    countdown = Countdown()
    store = DyingStore(other.store, countdown)
    other.__dict__["store"] = store
    engine = other.database.engine
    event.listen(engine, "before_cursor_execute", countdown.tick)
    event.listen(engine, "commit", countdown.tick)
    yield other, store
    engine.dispose()


def live(retire: Decommissioning, number: int, run: RunRef) -> None:
    retire.request(number, reason="old", successor="", run=run)
    retire.confirm(number, agrees=True, person="grace")
    for action in (StepAction.NOTIFY, StepAction.ARCHIVE, StepAction.DELETE, StepAction.RECORD):
        retire.do(action, number, run)


@pytest.mark.parametrize(
    "every",
    [pytest.param(9, marks=pytest.mark.exhaustive), pytest.param(1, marks=pytest.mark.fault)],
)
def test_whenever_it_dies_it_can_be_finished(
    *,
    every: int,
    platform: Installation,
    dying: tuple[Installation, DyingStore],
    make_version: Callable[..., VersionRef],
    mirror: Any,
    run: RunRef,
    consumer: list[str],
) -> None:
    other, store = dying
    died, number, at = True, 0, 1 - every
    while died:
        number, at = number + 1, at + every
        make_version(number)
        before = set(platform.store.list(""))
        store.countdown.at, store.countdown.calls, store.deleted = at, 0, []
        died = False
        try:
            live(decommissioning(other, MODEL, mirror), number, run)
        except Killed:
            died = True
        store.countdown.at = 0
        live(decommissioning(other, MODEL, mirror), number, run)
        check(platform, number, before, store.deleted)
    assert at > 60, "so many calls there are at least; fewer means that nothing was killed"
    assert verify_ledger(platform, invariants=True).ok
    assert len(set(consumer)) == number
    assert set(mirror.gone) == {f"{MODEL}@{n}" for n in range(1, number + 1)}


def check(platform: Installation, number: int, before: set[str], deleted: list[str]) -> None:
    with platform.database.begin() as c:
        ref = versions.get(c, MODEL, number)
        assert ref is not None
        progress = decommissions.get(c, ref.id)
        rows = decommissions.archived_items(c, progress.id) if progress else []
    assert progress is not None
    assert ref.state is State.DELETED
    archive = Archive(platform.store)
    manifest = archive.manifest(progress.archive_key or "", progress.archive_digest)
    archive.verify(manifest.items)
    marked = {item.key for item in manifest.marked}
    assert set(deleted) == marked
    assert before - set(platform.store.list("")) == marked
    assert {row.key for row in rows if row.deleted_at} == marked
    record = platform.store.get(f"archive/{MODEL}/{number}/record.json", progress.record_digest)
    assert json.loads(record)["subject"] == f"{MODEL}@{number}"


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch, receiver: Any) -> list[str]:
    """Message ids that the consumer was sent, repetitions included."""
    monkeypatch.setenv("TENURE_DEMO_WEBHOOK", receiver.url)
    ids: list[str] = receiver.ids
    return ids
