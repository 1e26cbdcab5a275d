"""Archives of retired versions: written, read back byte by byte, restored."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.errors import ArchiveIncomplete, ArtifactRefused, ObjectMissing
from tenure.lifecycle.retirement.decommission import Item, Manifest, read_manifest
from tenure.ports import ObjectStore
from tenure.vocabulary import canonical_json, digest_bytes

_SHOWN = 5


@dataclass(frozen=True)
class ArchiveSource:
    """Something that belongs into an archive.

    Args:
        name: Role of the item.
        key: Where the original lies; `database:…` when it is a row.
        archive_key: Where the copy goes.
        digest: SHA-256 that the original must have, where it is known.
        data: The bytes, when they do not lie in the object store.
        delete_after: Whether the original goes later.
    """

    name: str
    key: str
    archive_key: str
    digest: str | None = None
    data: bytes | None = None
    delete_after: bool = False


class Archive:
    """Reads and writes below `archive/` of an object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def copy(self, source: ArchiveSource) -> Item:
        """Write the copy of an original; again gives the same.

        Raises:
            ArchiveIncomplete: The original is gone or has other bytes than it should.
        """
        data = self._read(source)
        digest = self._store.put(source.archive_key, data)
        return Item(
            source.name, source.key, source.archive_key, len(data), digest, source.delete_after
        )

    def write_manifest(self, manifest: Manifest, key: str) -> str:
        """Write what the archive holds and return the digest."""
        return self._store.put(key, canonical_json(manifest.to_dict()))

    def manifest(self, key: str, digest: str | None) -> Manifest:
        """The manifest with this digest.

        Raises:
            ArchiveIncomplete: It is gone, has other bytes, or is no manifest.
        """
        try:
            return read_manifest(json.loads(self._store.get(key, digest)))
        except (ObjectMissing, KeyError) as error:
            raise incomplete([f"{key}: not there, or not a manifest"]) from error
        except (ArtifactRefused, TypeError, ValueError) as error:
            raise incomplete([f"{key}: not the bytes that were written"]) from error

    def faults(self, items: Sequence[Item]) -> dict[str, str]:
        """Read every copy again and say what is wrong, by name of the item; empty when all hold."""
        found = {item.name: self._fault(item) for item in items}
        return {name: why for name, why in found.items() if why is not None}

    def verify(self, items: Sequence[Item]) -> None:
        """Read every copy again.

        Raises:
            ArchiveIncomplete: One is gone or has other bytes.
        """
        faults = self.faults(items)
        if faults:
            raise incomplete([f"{name}: {why}" for name, why in faults.items()])

    def restore(self, manifest: Manifest, target: Path) -> None:
        """Write every original back below an empty folder, under its own key.

        Raises:
            ArchiveIncomplete: A copy does not read back as it was written.
        """
        self.verify(manifest.items)
        for item in manifest.items:
            path = target.joinpath(*item.key.removeprefix("database:").split("/"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self._store.get(item.archive_key, item.sha256))

    def _read(self, source: ArchiveSource) -> bytes:
        if source.data is not None:
            return source.data
        try:
            return self._store.get(source.key, source.digest)
        except ObjectMissing as error:
            raise incomplete([f"{source.name}: the original {source.key} is gone"]) from error
        except ArtifactRefused as error:
            raise incomplete([f"{source.name}: {error.what}"]) from error

    def _fault(self, item: Item) -> str | None:
        try:
            data = self._store.get(item.archive_key)
        except ObjectMissing:
            return f"{item.archive_key} is gone"
        if digest_bytes(data) != item.sha256:
            return (
                f"{item.archive_key} has {len(data):,} bytes of SHA-256 "
                f"{digest_bytes(data)[:12]}…, written were {item.size:,} of {item.sha256[:12]}…"
            )
        return None


def sample_predictions(reference: Path, rows: int) -> bytes:
    """Features and scores of the first rows of a reference file, as JSON.

    The scores are those that the trainer computed, so a restored artifact that gives them again
    is the one that was trained.
    """
    import pyarrow.parquet as pq

    table = pq.ParquetFile(reference)
    columns = [name for name in table.schema_arrow.names if name.startswith("f_")]
    batch = next(table.iter_batches(batch_size=rows, columns=[*columns, "score"]), None)
    found: list[dict[str, Any]] = batch.to_pylist() if batch is not None else []
    return canonical_json(
        [
            {"features": {name[2:]: _null(row[name]) for name in columns}, "score": row["score"]}
            for row in found
        ]
    )


def _null(value: object) -> object:
    """Missing numbers are NaN in some files and null in others; JSON has null only."""
    return None if isinstance(value, float) and math.isnan(value) else value


def largest_difference(found: Sequence[float], stored: Sequence[float]) -> float:
    """Largest difference between two rows of scores, as a part of values beyond 1; 0 of none."""
    pairs = zip(found, stored, strict=True)
    return max((abs(a - b) / max(1.0, abs(b)) for a, b in pairs), default=0.0)


def incomplete(faults: Sequence[str]) -> ArchiveIncomplete:
    """The error that lists what does not read back."""
    more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return ArchiveIncomplete(
        f"{len(faults)} items of the archive do not read back as they were written: "
        + "; ".join(faults[:_SHOWN])
        + more
        + ".",
        still_safe="Nothing is deleted while the archive is not whole; the version serves nobody.",
        next_step="Clear the task `archive`: it copies again from the originals. If an original is "
        "gone too, restore it from a backup of the object store first.",
    )
