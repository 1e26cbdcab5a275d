"""A file is there whole or not at all, whatever the disk does."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tenure.errors import ServiceUnreachable
from tenure.files import digest_file, disk_errors, made_once, whole_file
from tenure.vocabulary import digest_bytes


def test_it_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with whole_file(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    assert digest_file(path) == digest_bytes(b"new")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_writer_that_breaks_off_leaves_the_old_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path) as stream:
            stream.write(b"new")
            raise error

    with pytest.raises(error):
        write()

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    sync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    with whole_file(tmp_path / "a") as stream:
        stream.write(b"x")

    assert steps == ["file", "rename", "folder"]


def test_a_secret_that_could_not_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            made_once(tmp_path / "a.key", lambda: "secret")
    assert list(tmp_path.iterdir()) == []
    assert made_once(tmp_path / "a.key", lambda: "secret") == "secret"
    assert made_once(tmp_path / "a.key", lambda: "another") == "secret"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.key"]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO]
)
def test_a_disk_that_takes_nothing_is_named(tmp_path: Path, number: int) -> None:
    with pytest.raises(ServiceUnreachable) as error, disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))

    assert error.value.what == f"{tmp_path} cannot be written: {os.strerror(number)}."
    assert "was removed and nothing was published" in error.value.still_safe


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "gone").read_bytes()
