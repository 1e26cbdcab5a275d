"""The log answers when a record is durable, and never when it is not."""

import asyncio
import errno
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tenure.gateway import log as log_module
from tenure.gateway import wal
from tenure.gateway.log import GroupLog
from tenure.gateway.refusals import Refusal

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
