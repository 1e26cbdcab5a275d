"""Files that are there whole or not at all, and what is said when a disk does not take them."""

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tenure.errors import ServiceUnreachable

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


@contextmanager
def whole_file(path: Path, drafts: Path | None = None, *, once: bool = False) -> Iterator[BinaryIO]:
    """A stream whose bytes replace the file when all are written and synced to disk.

    Readers see the old file or the new one, also after a power cut. When the block raises, the old
    file stays and the draft is removed. Only its owner may read it.

    Args:
        path: Its folder must exist.
        drafts: A folder of the same file system for the unfinished file; the file's own when None.
        once: Of several that write it at once one does; the others get FileExistsError.
    """
    draft = (drafts or path.parent) / f".{path.name[:100]}.{secrets.token_hex(8)}"
    try:
        with os.fdopen(os.open(draft, _NEW, 0o600), "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        if once:
            os.link(draft, path)
            draft.unlink()
        else:
            draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def private_folder(path: Path) -> None:
    """Make the folder, and those above it that are missing; only their owner may enter them.

    A folder that is there stays as it is: somebody may have opened it on purpose.
    """
    for folder in reversed([path, *path.parents]):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)


def digest_file(path: Path) -> str:
    """SHA-256 of the file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Say in words that a disk is full, read-only or broken; other errors pass.

    Raises:
        ServiceUnreachable: The disk did not take what was written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise disk_error(place, os.strerror(error.errno)) from error


def disk_error(place: Path, cause: str) -> ServiceUnreachable:
    """The error of a disk that does not take what is written."""
    return ServiceUnreachable(
        f"{place} cannot be written: {cause}.",
        still_safe="What was there before is whole; the unfinished file was removed and nothing "
        "was published.",
        next_step=f"Make room on the disk of {place} (`df -h`), or make it writable. The task "
        "tries again by itself; clear it when its tries are used up.",
    )


def made_once(path: Path, make: Callable[[], str]) -> str:
    """The text of a file that only its owner may read; whoever comes first makes it."""
    private_folder(path.parent)
    if not path.exists():
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(make())
                stream.flush()
                os.fsync(stream.fileno())
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return path.read_text().strip()
