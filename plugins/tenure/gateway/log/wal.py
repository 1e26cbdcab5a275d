"""Write-ahead segments: framed records in a file, readable up to the last whole one.

A segment is `<number>-<id>.open` while it is written and `<number>-<id>.wal` once it is sealed. It
begins with a magic line; a frame is length (4 bytes), CRC32 of length and payload (4), payload.
"""

import logging
import os
import struct
import zlib
from pathlib import Path

from tenure.failpoints import failpoint
from tenure.files import sync_folder

logger = logging.getLogger(__name__)

MAGIC = b"TENURE1\n"
_HEADER = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
OPEN, SEALED = ".open", ".wal"
DAMAGED = "damaged"
"""Folder, inside that of the segments, of files that do not read as they were written."""
UNSHIPPABLE = "unshippable"
"""The same for sealed segments that nobody could store; they are tried again."""


def frame(payload: bytes) -> bytes:
    """The bytes of one record; an empty one is refused, so that a hole does not look like it."""
    if not payload:
        raise ValueError("an empty payload cannot be framed")
    length = len(payload)
    return _HEADER.pack(length, _checksum(length, payload)) + payload


def read_frames(data: bytes) -> tuple[list[bytes], int]:
    """Payloads of every whole record from the start, and how many bytes of the file they take.

    Reading stops at the first record that is cut off or does not match its checksum.
    """
    if not data.startswith(MAGIC):
        return [], 0
    payloads: list[bytes] = []
    position = len(MAGIC)
    while position + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, position)
        end = position + _HEADER.size + length
        payload = data[position + _HEADER.size : end]
        if length == 0 or end > len(data) or _checksum(length, payload) != checksum:
            break
        payloads.append(payload)
        position = end
    return payloads, position


def is_torn(rest: bytes) -> bool:
    """Whether bytes after the last whole record are the beginning of one, or of the magic line.

    That is what a process leaves that was killed while it wrote: nobody was answered for it.
    Anything else was whole once and is damaged now.
    """
    if len(rest) < _HEADER.size:
        return True
    length, _ = _HEADER.unpack_from(rest)
    return bool(length > len(rest) - _HEADER.size)


def set_aside(path: Path, folder: Path, good: int) -> None:
    """Keep a file that does not read as it was written, for a person to look at.

    Moved, not copied: a full disk takes no copy, and only what is shipped makes room on it.
    """
    damaged = folder / DAMAGED
    damaged.mkdir(exist_ok=True)
    size = path.stat().st_size
    path.rename(damaged / path.name)
    sync_folder(damaged)
    sync_folder(path.parent)
    logger.error(
        "segment=damaged name=%s good_bytes=%s bytes=%s kept_in=%s", path.name, good, size, DAMAGED
    )


def damaged_files(folder: Path) -> list[Path]:
    """What was set aside and nobody has taken away yet."""
    return sorted((folder / DAMAGED).glob("*"))


def recover(folder: Path) -> list[Path]:
    """Seal what a killed process left open: cut its torn tail off, drop it when nothing is left.

    What was not torn but changed afterwards stays as it is, for the shipper to set aside; what
    cannot be read is put where the shipper tries it now and then, and keeps no gateway from its
    start.
    Returns the segments that were sealed here, oldest first.
    """
    sealed = []
    for path in sorted(folder.glob(f"*{OPEN}")):
        try:
            data = path.read_bytes()
        except OSError as error:
            logger.error("segment=unreadable name=%s cause=%s", path.name, error)  # noqa: TRY400
            put_out_of_the_way(seal(path))
            continue
        payloads, good = read_frames(data)
        if not (is_torn(data[good:]) if good else MAGIC.startswith(data[: len(MAGIC)])):
            sealed.append(seal(path))  # whole: who ships it sets it aside
            continue
        if not payloads:
            path.unlink()
            continue
        with path.open("r+b") as stream:
            stream.truncate(good)
            os.fsync(stream.fileno())
        sealed.append(seal(path))
    return sealed


def seal(path: Path) -> Path:
    """Rename an open segment, so that the shipper sees it."""
    target = path.with_suffix(SEALED)
    path.rename(target)
    sync_folder(path.parent)
    return target


def sealed_segments(folder: Path) -> list[Path]:
    """Segments that wait for the shipper, oldest first."""
    return sorted(folder.glob(f"*{SEALED}"))


def unshippable(folder: Path) -> list[Path]:
    """Segments that were put out of the shipper's way, oldest first."""
    return sealed_segments(folder / UNSHIPPABLE)


def put_out_of_the_way(path: Path) -> None:
    """Let later segments pass; nothing of it is lost. Raises OSError: it lies where it lay."""
    aside = path.parent / UNSHIPPABLE
    aside.mkdir(exist_ok=True)
    path.rename(aside / path.name)
    sync_folder(aside)
    sync_folder(path.parent)


def next_number(folder: Path) -> int:
    """One more than the highest number that waits, so that order survives a wrong clock."""
    waiting = (*folder.glob("*-*"), *unshippable(folder))
    return max((int(path.name.split("-", 1)[0]) for path in waiting), default=0) + 1


def _checksum(length: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(_LENGTH.pack(length)))


class Segment:
    """The segment that is being written; one thread only.

    A failed write is undone by cutting the file back, so the next one may succeed. After a failed
    sync nothing more is accepted: the kernel may have dropped the pages it could not write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self.size = 0
        self.is_broken = False
        self._synced = 0
        try:
            self._write(MAGIC)
            sync_folder(path.parent)
        except OSError:
            os.close(self._file)
            path.unlink()
            raise

    @property
    def is_empty(self) -> bool:
        """Whether it holds no record yet."""
        return self.size <= len(MAGIC)

    def append(self, frames: bytes, *, sync: bool) -> None:
        """Write whole frames at the end, all or none.

        Raises:
            OSError: They are not in the segment. When it was the sync that failed, they were cut
                off again, so that what is refused is not found here after a restart.
        """
        before = self.size
        self._write(frames)
        if not sync:
            return
        try:
            self.sync()
        except OSError:
            self.size = before
            self._cut_back()
            raise

    def sync(self) -> None:
        """Put everything so far on the disk. Raises OSError, and is broken then."""
        if self._synced == self.size:
            return
        try:
            failpoint("log.sync")
            os.fdatasync(self._file)
        except OSError:
            self.is_broken = True
            raise
        self._synced = self.size

    def close(self) -> Path | None:
        """Sync, seal and close; None when there was nothing in it. Raises OSError."""
        try:
            if not self.is_broken:
                self.sync()
        finally:
            os.close(self._file)
        if self.is_empty:
            self.path.unlink()
            return None
        return seal(self.path)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            self._cut_back()
            raise
        self.size += len(data)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
        except OSError:
            self.is_broken = True
