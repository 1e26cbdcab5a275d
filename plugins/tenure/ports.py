"""What the thinking needs from the world, where two implementations of it exist."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from tenure.verdicts import Report
from tenure.vocabulary import RunRef


class Clock(Protocol):
    """Wall clock, always in UTC."""

    def now(self) -> datetime:
        """The present moment, timezone-aware."""
        ...


class Ids(Protocol):
    """Source of ids that nobody can guess."""

    def new(self) -> str:
        """A UUIDv7 in its usual text form."""
        ...


class ObjectStore(Protocol):
    """A folder or bucket of immutable objects; keys are relative, with `/`.

    Writes are atomic: an object is there whole or not at all.
    """

    def put(self, key: str, data: bytes) -> str:
        """Store bytes (overwrites), returns their SHA-256."""
        ...

    def put_file(self, key: str, source: Path) -> str:
        """Store a file of any size (overwrites), returns its SHA-256."""
        ...

    def get(self, key: str, digest: str | None = None) -> bytes:
        """Read bytes; with `digest`, raises ArtifactRefused when they differ.

        Raises:
            KeyError: There is no such object.
        """
        ...

    def fetch(self, key: str, digest: str | None = None) -> Path:
        """A local path with the object's content (the object itself or a cached copy).

        Raises:
            KeyError: There is no such object.
        """
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Keys below the prefix, sorted; unfinished writes are not among them."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; absent is fine."""
        ...

    def url(self, key: str) -> str:
        """Where a person or another tool finds the object."""
        ...


class Reports(Protocol):
    """Keeps evidence: the body in the object store, a row in the lifecycle database."""

    def save(self, report: Report, *, model: str | None, dataset: str | None, run: RunRef) -> str:
        """Store once and return the digest; the same report again is a no-op."""
        ...


class Engine(Protocol):
    """One scan over Parquet files, giving sufficient statistics only.

    Paths are local files; columns must exist in every file.
    """

    def histogram(
        self, paths: Sequence[Path], numeric: dict[str, Sequence[float]], where: str | None = None
    ) -> dict[str, list[int]]:
        """Counts per bin for each numeric column: len(edges) + 1 bins, nulls last."""
        ...

    def categories(
        self, paths: Sequence[Path], columns: Sequence[str]
    ) -> dict[str, dict[str, int]]:
        """Counts per value for each categorical column; null is the empty string."""
        ...
