"""The object store as a folder: what one machine needs, and what the embedded default uses."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

from tenure.ports import ObjectInfo, is_object_key, other_bytes
from tenure.vocabulary import digest_bytes

_TEMPORARY = ".tmp"
"""Unfinished writes lie here; names that begin with a dot are no objects."""
_CHUNK = 1024 * 1024


class LocalStore:
    """Implements `tenure.ports.ObjectStore` on a folder of the local file system.

    A write goes to a temporary file, is synced to disk, then renamed: readers see all or nothing,
    also after a power cut. Links, pipes and hidden files inside the folder are not objects.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @classmethod
    def from_url(cls, url: str) -> "LocalStore":
        """The store of `file:///folder`."""
        parts = urlsplit(url)
        if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
            raise ValueError(f"{url!r} is not a file:///folder URL")
        return cls(Path(unquote(parts.path)))

    def put(self, key: str, data: bytes) -> str:
        """Store bytes (overwrites), returns their SHA-256."""
        path = self._path(key)
        temporary, stream = self._begin()
        with stream:
            stream.write(data)
            _sync(stream)
        self._finish(temporary, path)
        return digest_bytes(data)

    def put_file(self, key: str, source: Path) -> str:
        """Store a file of any size (overwrites), returns its SHA-256."""
        path = self._path(key)
        temporary, stream = self._begin()
        with stream, source.open("rb") as origin:
            hashed = _Hashing(stream)
            copyfileobj(origin, cast(BinaryIO, hashed), _CHUNK)
            _sync(stream)
        self._finish(temporary, path)
        return hashed.digest

    def get(self, key: str, digest: str | None = None) -> bytes:
        """Read bytes; with `digest`, raises ArtifactRefused when they differ.

        Raises:
            KeyError: There is no such object.
        """
        data = self._existing(key).read_bytes()
        if digest is not None and digest_bytes(data) != digest:
            raise other_bytes(key, found=digest_bytes(data), expected=digest)
        return data

    def fetch(self, key: str, digest: str | None = None) -> Path:
        """The object's own path; read it, never write to it.

        Raises:
            KeyError: There is no such object.
            ArtifactRefused: Its SHA-256 is not `digest`.
        """
        path = self._existing(key)
        if digest is not None:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != digest:
                raise other_bytes(key, found=found, expected=digest)
        return path

    def list(self, prefix: str) -> Iterator[str]:
        """Keys that begin with the prefix, sorted; unfinished writes are not among them."""
        folder = prefix.rpartition("/")[0]
        start = self._path(folder) if folder else self._root
        if start.resolve() != start:
            return
        yield from sorted(
            key
            for path in _regular_files(start)
            if (key := path.relative_to(self._root).as_posix()).startswith(prefix)
        )

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        path = self._path(key)
        return path.is_file() and path.resolve() == path

    def info(self, key: str) -> ObjectInfo:
        """Size, time and stamp, without reading the content.

        Raises:
            KeyError: There is no such object.
        """
        found = self._existing(key).stat()
        return ObjectInfo(
            size=found.st_size,
            modified=datetime.fromtimestamp(found.st_mtime, tz=UTC),
            stamp=f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}",
        )

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        if self.exists(key):
            self._path(key).unlink(missing_ok=True)

    def url(self, key: str) -> str:
        """`file:///…` of the object."""
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        if not is_object_key(key):
            raise ValueError(f"{key[:200]!r} is not an object key: relative, no dots, no backslash")
        return self._root.joinpath(*key.split("/"))

    def _existing(self, key: str) -> Path:
        if not self.exists(key):
            raise KeyError(key)
        return self._path(key)

    def _begin(self) -> tuple[Path, BinaryIO]:
        folder = self._root / _TEMPORARY
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / secrets.token_hex(16)
        return temporary, temporary.open("xb")

    def _finish(self, temporary: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.parent.resolve() != path.parent:
            temporary.unlink()
            raise ValueError(f"{path} leads through a link")
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Hashing:
    """A sink that hashes what passes through it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._stream.write(data)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _regular_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _regular_files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _sync(stream: BinaryIO) -> None:
    stream.flush()
    os.fsync(stream.fileno())
