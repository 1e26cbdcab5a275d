"""Copies of artifacts beside a gateway, so that it can restart while the object store is away."""

from collections.abc import Iterator
from pathlib import Path

from tenure.files import whole_file
from tenure.ports import ObjectStore
from tenure.vocabulary import digest_bytes


class CachedStore:
    """An object store whose objects that are asked for by digest are kept in a folder.

    A copy is used only when its SHA-256 is the one that is asked for; a corrupt one, or a
    link in its place, is read anew.
    """

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self._store = store
        self._folder = folder
        for draft in folder.glob(".*"):  # of a process that was killed
            draft.unlink()

    def get(self, key: str, digest: str | None = None) -> bytes:
        """Read bytes; from the folder when the digest is known there."""
        return self._store.get(key) if digest is None else self.fetch(key, digest).read_bytes()

    def fetch(self, key: str, digest: str | None = None) -> Path:
        """A local path; the copy in the folder when a digest is given."""
        if digest is None:
            return self._store.fetch(key)
        path = self._folder / digest
        if not path.is_file() or path.is_symlink() or digest_bytes(path.read_bytes()) != digest:
            self._keep(path, self._store.get(key, digest))
        return path

    def keep_only(self, digests: frozenset[str]) -> None:
        """Remove the copies of everything else; what another thread is writing of these stays."""
        if self._folder.exists():
            for path in self._folder.iterdir():
                if _digest(path) not in digests:
                    path.unlink(missing_ok=True)

    def put(self, key: str, data: bytes) -> str:
        """Straight to the store."""
        return self._store.put(key, data)

    def put_file(self, key: str, source: Path) -> str:
        """Straight to the store."""
        return self._store.put_file(key, source)

    def list(self, prefix: str) -> Iterator[str]:
        """Straight from the store."""
        return self._store.list(prefix)

    def exists(self, key: str) -> bool:
        """Straight from the store."""
        return self._store.exists(key)

    def delete(self, key: str) -> None:
        """Straight to the store."""
        self._store.delete(key)

    def url(self, key: str) -> str:
        """Straight from the store."""
        return self._store.url(key)

    def _keep(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            draft.write(data)


def _digest(path: Path) -> str:
    """Of a copy, or of the draft of one."""
    return path.name.removeprefix(".").partition(".")[0]
