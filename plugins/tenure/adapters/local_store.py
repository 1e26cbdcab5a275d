"""The object store as a folder: what one machine needs, and what the embedded default uses."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, cast
from urllib.parse import parse_qs, unquote, urlsplit

from tenure.files import digest_file, disk_errors, private_folder, whole_file
from tenure.ports import (
    ObjectInfo,
    Stranger,
    is_object_key,
    missing_object,
    no_object_key,
    other_bytes,
)
from tenure.vocabulary import digest_bytes

_DRAFTS = ".tmp"
"""Unfinished writes lie here; names that begin with a dot are no objects."""
_CHUNK = 1024 * 1024
_SAID = "encrypted"


class LocalStore:
    """Implements `tenure.ports.ObjectStore` on a folder of the local file system.

    A write goes to a temporary file, is synced to disk, then renamed: readers see all or nothing,
    also after a power cut. Links, pipes and hidden files inside the folder are not objects. Only
    the owner may enter the folders that it makes and read the files.
    """

    def __init__(self, root: Path, *, encrypted: str | None = None) -> None:
        self._root = root.resolve()
        self._encrypted = encrypted

    @classmethod
    def from_url(cls, url: str) -> "LocalStore":
        """The store of `file:///folder[?encrypted=reason]`.

        A folder does not encrypt. Whoever runs it may say that its volume does, and why they know.
        """
        parts = urlsplit(url)
        options = {name: values[0].strip() for name, values in parse_qs(parts.query).items()}
        if parts.scheme != "file" or parts.netloc not in {"", "localhost"} or {*options} - {_SAID}:
            raise ValueError(f"{url!r} is not a file:///folder[?encrypted=reason] URL")
        return cls(Path(unquote(parts.path)), encrypted=options.get(_SAID))

    def put(self, key: str, data: bytes) -> str:
        """Store bytes (overwrites), returns their SHA-256.

        Raises:
            ServiceUnreachable: The disk is full or read-only.
        """
        with self._writing(key) as stream:
            stream.write(data)
        return digest_bytes(data)

    def put_file(self, key: str, source: Path) -> str:
        """Store a file of any size (overwrites), returns its SHA-256.

        Raises:
            ServiceUnreachable: The disk is full or read-only.
        """
        with self._writing(key) as stream, source.open("rb") as origin:
            hashed = _Hashing(stream)
            copyfileobj(origin, cast(BinaryIO, hashed), _CHUNK)
        return hashed.digest

    def put_once(self, key: str, source: Path) -> str:
        """Store a file that never changes, returns its SHA-256; the same bytes again are fine.

        Raises:
            ArtifactRefused: Other bytes lie there; they stay.
            ServiceUnreachable: The disk is full or read-only.
        """
        digest = digest_file(source)
        if not self.exists(key):
            with (
                suppress(FileExistsError),  # somebody was faster: whose bytes, is looked at below
                self._writing(key, once=True) as stream,
                source.open("rb") as origin,
            ):
                copyfileobj(origin, stream, _CHUNK)
        self.fetch(key, digest)
        return digest

    def get(self, key: str, digest: str | None = None) -> bytes:
        """Read bytes; with `digest`, raises ArtifactRefused when they differ.

        Raises:
            ObjectMissing: There is no such object.
        """
        data = self._existing(key).read_bytes()
        if digest is not None and digest_bytes(data) != digest:
            raise other_bytes(key, found=digest_bytes(data), expected=digest)
        return data

    def fetch(self, key: str, digest: str | None = None) -> Path:
        """The object's own path; read it, never write to it.

        Raises:
            ObjectMissing: There is no such object.
            ArtifactRefused: Its SHA-256 is not `digest`.
        """
        path = self._existing(key)
        if digest is not None:
            found = digest_file(path)
            if found != digest:
                raise other_bytes(key, found=found, expected=digest)
        return path

    @contextmanager
    def borrow(self, key: str, digest: str | None = None) -> Iterator[Path]:
        """The same as `fetch`: there is no copy."""
        yield self.fetch(key, digest)

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
            and is_object_key(key)
        )

    def strangers(self, prefix: str) -> Iterator[Stranger]:
        """What lies below the prefix, which ends with a slash, and is no object; sorted."""
        start = self._path(prefix.rstrip("/"))
        if start.resolve() != start:
            yield Stranger(prefix, "a link, or a folder behind one", None)
            return
        yield from sorted(
            (Stranger(_name(path, start), why, _modified(path)) for path, why in _others(start)),
            key=lambda one: one.name,
        )

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        path = self._path(key)
        return path.is_file() and path.resolve() == path

    def info(self, key: str) -> ObjectInfo:
        """Size, time and stamp, without reading the content.

        Raises:
            ObjectMissing: There is no such object.
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

    def sweep(self, before: datetime) -> int:
        """Remove what writers that were killed before that moment left behind; returns how many."""
        removed, failures = 0, []
        for draft in _entries(self._root / _DRAFTS):
            try:
                if draft.stat().st_mtime < before.timestamp():
                    draft.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
            except OSError as error:  # about this one: the others go
                failures.append(error)
        if failures:
            raise failures[0]
        return removed

    def url(self, key: str) -> str:
        """`file:///…` of the object."""
        return self._path(key).as_uri()

    def encryption(self) -> str | None:
        """The reason that the URL gives, None when it gives none."""
        return self._encrypted or None

    def _path(self, key: str) -> Path:
        if not is_object_key(key):
            raise ValueError(f"{key[:200]!r} is not an object key: relative, no dots, no backslash")
        return self._root.joinpath(*key.split("/"))

    def _existing(self, key: str) -> Path:
        if not self.exists(key):
            raise missing_object(key)
        return self._path(key)

    @contextmanager
    def _writing(self, key: str, *, once: bool = False) -> Iterator[BinaryIO]:
        """A stream into the object; drafts lie in a hidden folder of the store."""
        path, drafts = self._path(key), self._root / _DRAFTS
        with disk_errors(self._root):
            private_folder(drafts)
            private_folder(path.parent)
            if path.parent.resolve() != path.parent:
                raise ValueError(f"{path} leads through a link")
            with whole_file(path, drafts, once=once) as stream:
                yield stream


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


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _name(path: Path, start: Path) -> str:
    """As a person finds it; bytes that are no UTF-8, and control characters, as escapes."""
    name = os.fsencode(path.relative_to(start)).decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _modified(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, tz=UTC)
    except OSError:
        return None


def _others(folder: Path) -> Iterator[tuple[Path, str]]:
    """What `_regular_files` leaves out or no key can name, with why."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        yield folder, f"not readable ({error.strerror or error})"
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.is_symlink():
            yield path, "a link"
        elif not is_object_key(entry.name):
            yield path, no_object_key(entry.name)
        elif entry.is_dir():
            yield from _others(path) if any(path.iterdir()) else [(path, "an empty folder")]
        elif not entry.is_file():
            yield path, "neither a file nor a folder"


def _regular_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir() or not os.access(folder, os.R_OK | os.X_OK):
        return  # `strangers` names a folder that cannot be read
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _regular_files(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
