"""The log answers when a record is durable, and never when it is not."""

import asyncio
import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.log import wal
from tenure.gateway.log import writer as log_module
from tenure.gateway.log.writer import GroupLog

Make = Callable[[], GroupLog]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[GroupLog] = []
    ids = (f"id{n}" for n in itertools.count())

    def one() -> GroupLog:
        made.append(GroupLog(tmp_path, new_id=lambda: next(ids), on_sealed=lambda: None))
        return made[-1]

    yield one
    for log in made:
        log.close()


def stored(folder: Path) -> list[bytes]:
    paths = sorted([*folder.glob("*.wal"), *folder.glob("*.open")])
    return [payload for path in paths for payload in wal.read_frames(path.read_bytes())[0]]


async def append_many(log: GroupLog, count: int, *, sync: bool = True) -> list[Any]:
    tasks = [log.append(f"{n}".encode(), sync=sync) for n in range(count)]
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("sync", [True, False])
def test_answered_records_are_in_the_file(make: Make, tmp_path: Path, sync: bool) -> None:
    assert asyncio.run(append_many(make(), 100, sync=sync)) == [None] * 100
    assert sorted(stored(tmp_path)) == sorted(f"{n}".encode() for n in range(100))


def test_one_sync_serves_a_group(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    monkeypatch.setattr(os, "fdatasync", syncs.append)
    asyncio.run(append_many(make(), 200))
    assert 1 <= len(syncs) < 50


def test_write_only_never_syncs_before_the_answer(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    monkeypatch.setattr(os, "fdatasync", syncs.append)
    asyncio.run(append_many(make(), 20, sync=False))
    assert syncs == []


def test_rotates_by_time_without_new_records(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    monkeypatch.setattr(log_module, "ROTATE_SECONDS", 0.05)
    asyncio.run(append_many(make(), 1))
    eventually(lambda: wal.sealed_segments(tmp_path))
    assert list(tmp_path.glob("*.open")) == []


def test_rotates_by_size(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    monkeypatch.setattr(log_module, "ROTATE_SECONDS", 60.0)
    monkeypatch.setattr(log_module, "ROTATE_BYTES", 100)
    asyncio.run(append_many(make(), 50))
    eventually(lambda: wal.sealed_segments(tmp_path))


def test_full_disk_refuses_then_heals(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    monkeypatch.setattr(log_module, "_PROBE_SECONDS", 0.02)
    log = make()

    def full(_descriptor: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(Path, "write_bytes", lambda *_: full(0, memoryview(b"")))
        (error,) = asyncio.run(append_many(log, 1))
        assert isinstance(error, Refusal)
        assert (error.status, error.code) == (503, "log_unavailable")
        assert "No space left" in str(log.failure)
        assert list(tmp_path.glob("*.open")) == []
    eventually(lambda: log.failure is None)
    assert asyncio.run(append_many(log, 3)) == [None] * 3
    assert len(stored(tmp_path)) == 3


def test_failed_sync_ends_acceptance_for_good(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    log = make()

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        (error,) = asyncio.run(append_many(log, 1))
        assert isinstance(error, Refusal)
    (error,) = asyncio.run(append_many(log, 1))
    assert isinstance(error, Refusal)
    assert "restart" in error.message


def test_restart_seals_what_was_open_and_goes_on(make: Make, tmp_path: Path) -> None:
    left = tmp_path / "000000007-old.open"
    left.write_bytes(wal.MAGIC + wal.frame(b"before") + b"torn")
    log = make()
    asyncio.run(append_many(log, 1))
    assert (tmp_path / "000000007-old.wal").exists()
    assert [p.name for p in tmp_path.glob("*.open")] == ["000000008-id0.open"]


def test_close_seals(make: Make, tmp_path: Path) -> None:
    log = make()
    asyncio.run(append_many(log, 5))
    log.close()
    assert len(wal.sealed_segments(tmp_path)) == 1
    assert len(stored(tmp_path)) == 5


def test_a_closed_log_refuses_at_once(make: Make, tmp_path: Path) -> None:
    log = make()
    asyncio.run(append_many(log, 1))
    log.close()
    (error,) = asyncio.run(asyncio.wait_for(append_many(log, 1), 5))
    assert isinstance(error, Refusal)
    assert (error.status, error.code) == (503, "log_unavailable")
    assert error.message == (
        "No decision can be logged, so none is given (this gateway is ending)."
    )
    assert stored(tmp_path) == [b"0"]


def test_what_races_with_the_end_is_written_or_refused(make: Make, tmp_path: Path) -> None:
    """Closed while requests come without a pause: each has its answer, and it is true."""

    async def race(log: GroupLog) -> list[Any]:
        loop = asyncio.get_running_loop()
        closing = None
        tasks = []
        for number in range(400):
            if number == 200:
                closing = loop.run_in_executor(None, log.close)
            tasks.append(asyncio.ensure_future(log.append(b"%d" % number, sync=False)))
            await asyncio.sleep(0)
        assert closing is not None
        await closing
        tasks.append(asyncio.ensure_future(log.append(b"late", sync=False)))
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)

    *answers, late = asyncio.run(race(make()))
    assert isinstance(late, Refusal)
    assert {type(one) for one in answers} <= {type(None), Refusal}
    answered = [b"%d" % number for number, one in enumerate(answers) if one is None]
    assert len(answered) >= 200
    assert sorted(stored(tmp_path)) == sorted(answered)


def test_a_probe_that_cannot_be_removed_does_not_end_the_writer(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    """A disk that turned read-only refuses that too, even for a file that is not there."""
    monkeypatch.setattr(log_module, "_PROBE_SECONDS", 0.02)
    removals: list[Path] = []

    def read_only(path: Any, *_: object, **__: object) -> int:
        if isinstance(path, Path):
            removals.append(path)
        raise OSError(errno.EROFS, "Read-only file system")

    log = make()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        patch.setattr(Path, "write_bytes", read_only)
        patch.setattr(Path, "unlink", read_only)
        (error,) = asyncio.run(append_many(log, 1))
        assert isinstance(error, Refusal)
        eventually(lambda: (tmp_path / ".probe") in removals)
    eventually(lambda: log.failure is None)
    assert asyncio.run(append_many(log, 1)) == [None]


class Stuck:
    """A disk that does not answer until it is let."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.reached = threading.Event()

    def __call__(self, _descriptor: int) -> None:
        self.reached.set()
        self.gate.wait(10)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch, make: Make) -> Iterator[Stuck]:
    monkeypatch.setattr(log_module, "HANG_SECONDS", 0.2)
    monkeypatch.setattr(log_module, "_LOOK_SECONDS", 0.02)
    disk = Stuck()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", disk)
        yield disk
        disk.gate.set()


HANGS = "No decision can be logged, so none is given (the disk has not answered for over 0.2 s)."


def test_a_disk_that_hangs_keeps_nobody_waiting(
    make: Make,
    stuck: Stuck,
    tmp_path: Path,
    eventually: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was being written may be in the log later; what waited behind it is not; it heals."""
    log = make()

    async def hang() -> list[Any]:
        first = asyncio.ensure_future(log.append(b"being written", sync=True))
        await asyncio.to_thread(stuck.reached.wait, 5)
        behind = [asyncio.ensure_future(log.append(b"behind", sync=True)) for _ in range(3)]
        given = await asyncio.wait_for(asyncio.gather(first, *behind, return_exceptions=True), 5)
        assert log.failure == "the disk has not answered for over 0.2 s"
        assert not log.is_sound
        return [
            *given,
            *await asyncio.gather(log.append(b"new", sync=True), return_exceptions=True),
        ]

    answers = asyncio.run(hang())
    assert [(one.status, one.code, one.message) for one in answers] == [
        (503, "log_unavailable", HANGS)
    ] * 5
    assert caplog.text.count("decision_log=failed") == 1
    stuck.gate.set()
    eventually(lambda: log.failure is None)
    assert asyncio.run(append_many(log, 2)) == [None] * 2
    assert sorted(stored(tmp_path)) == [b"0", b"1", b"being written"]


def test_a_disk_that_hangs_without_a_request_is_a_failure_too(
    make: Make, stuck: Stuck, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    """A segment is sealed when nobody asks: readiness has to know before somebody does."""
    monkeypatch.setattr(log_module, "ROTATE_SECONDS", 0.05)
    log = make()

    async def idle() -> None:
        assert await append_many(log, 1, sync=False) == [None]
        hangs = "the disk has not answered for over 0.2 s"
        await asyncio.to_thread(eventually, lambda: log.failure == hangs)

    asyncio.run(idle())


def test_a_process_that_was_stopped_takes_its_disk_for_sound(make: Make, stuck: Stuck) -> None:
    """SIGSTOP in the middle of a sync: the clock went on meanwhile, and nobody is refused."""
    log = make()

    async def stopped() -> list[Any]:
        first = asyncio.ensure_future(log.append(b"being written", sync=True))
        await asyncio.to_thread(stuck.reached.wait, 5)
        time.sleep(0.5)  # nothing runs
        then = asyncio.ensure_future(log.append(b"then", sync=True))
        await asyncio.sleep(0.05)
        assert log.failure is None
        stuck.gate.set()
        return [await first, await then]

    assert asyncio.run(stopped()) == [None, None]


def test_a_disk_that_hangs_does_not_keep_the_process_from_ending(
    make: Make, stuck: Stuck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "_CLOSE_SECONDS", 0.1)
    log = make()

    async def close() -> Any:
        first = asyncio.ensure_future(log.append(b"x", sync=True))
        await asyncio.to_thread(stuck.reached.wait, 5)
        await asyncio.wait_for(asyncio.to_thread(log.close), 5)
        return (await asyncio.wait_for(asyncio.gather(first, return_exceptions=True), 5))[0]

    assert isinstance(asyncio.run(close()), Refusal)
    stuck.gate.set()
    log._thread.join(5)
    assert not log._thread.is_alive()


def test_an_error_that_nobody_foresaw_ends_no_thread(
    make: Make, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    monkeypatch.setattr(log_module, "_PROBE_SECONDS", 0.02)
    log = make()

    def broken(*_: object) -> int:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", broken)
        (error,) = asyncio.run(asyncio.wait_for(append_many(log, 1), 5))
    assert isinstance(error, Refusal)
    eventually(lambda: log.failure is None)
    assert asyncio.run(append_many(log, 1)) == [None]


def test_a_failure_is_said_once_and_then_counted(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = make()
    now = [100.0]
    log._complaints._monotonic = lambda: now[0]

    def full(_descriptor: int, _data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(Path, "write_bytes", lambda *_: full(0, memoryview(b"")))
        for now[0] in (100.0, 130.0, 159.9, 160.0, 161.0):
            asyncio.run(append_many(log, 1))
    asyncio.run(append_many(log, 2))
    said = [one.getMessage() for one in caplog.records if "decision_log" in one.getMessage()]
    cause = "cause=OSError: No space left on device"
    folder = log._folder.name
    assert said == [
        f"decision_log=failed folder={folder} refused=1 {cause}",
        f"decision_log=failed folder={folder} refused=4 {cause}",
        f"decision_log=works folder={folder} refused=5",
    ]


@pytest.mark.parametrize(("age", "sound"), [(59.9, True), (60.0, True), (60.1, False)])
def test_what_should_have_been_sealed_long_ago_is_not_sound(
    make: Make, monkeypatch: pytest.MonkeyPatch, age: float, sound: bool
) -> None:
    monkeypatch.setattr(log_module, "ROTATE_SECONDS", 600.0)
    log = make()
    assert log.is_sound
    asyncio.run(append_many(log, 1))
    opened = log._opened_at
    monkeypatch.setattr(time, "monotonic", lambda: opened + age)
    found = log.is_sound
    monkeypatch.undo()
    assert found == sound


def test_what_could_not_be_sealed_is_not_sound(
    make: Make, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Any]
) -> None:
    monkeypatch.setattr(log_module, "ROTATE_SECONDS", 0.05)
    log = make()

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        assert asyncio.run(append_many(log, 1, sync=False)) == [None]
        eventually(lambda: not log.is_sound)
    assert not log.is_sound
