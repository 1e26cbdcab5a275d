"""Stores the files of the decision log, each recorded in the lifecycle database first."""

from pathlib import Path

from tenure.failpoints import failpoint
from tenure.files import digest_file
from tenure.installation import Installation
from tenure.layout import model_of
from tenure.vocabulary import digest_bytes


class RecordedFiles:
    """What a gateway, a batch scoring, an intake of outcomes and a compaction store through.

    The record comes first. Who dies before the object is there leaves a record whose file is
    missing, which is true: it is shipped again, under the same key and with a record of its own if
    its bytes differ. The other way round there would be a file that nobody wrote.

    Args:
        platform: The installation.
        writer: Who writes: the gateway's id, or what kind of run.
    """

    def __init__(self, platform: Installation, writer: str) -> None:
        self._platform = platform
        self._writer = writer

    def put(self, key: str, data: bytes) -> str:
        """Record and store the bytes of a Parquet file (overwrites); returns their SHA-256.

        Raises:
            ServiceUnreachable: Database or store do not answer; doing it again is fine.
        """
        from tenure.adapters.segment_files import row_count

        self._record(key, digest_bytes(data), row_count(data), None)
        return self._platform.store.put(key, data)

    def put_compacted(self, key: str, source: Path, *, rows: int, replaces: list[str]) -> str:
        """Record and store a file that stands for others of its folder. Raises as `put`."""
        self._record(key, digest_file(source), rows, replaces)
        return self._platform.store.put_file(key, source)

    def _record(self, key: str, digest: str, rows: int, replaces: list[str] | None) -> None:
        from tenure.adapters.sql import log_segments

        with self._platform.database.begin() as connection:
            log_segments.record(
                connection,
                key=key,
                model=model_of(key),
                digest=digest,
                rows=rows,
                writer=self._writer,
                replaces=replaces,
            )
        failpoint("segment.recorded")
