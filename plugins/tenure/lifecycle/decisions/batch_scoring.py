"""Scoring a whole snapshot: how it is cut into shards, and the ids of its decisions."""

import hashlib
import uuid
from dataclasses import dataclass

SHARD_ROWS = 100_000
"""Rows of a shard: about a second of scikit-learn, and as many rows as a retry repeats."""
MAX_SHARDS = 1_000
"""Mapped tasks that Airflow takes in one run by default are 1,024."""

ARM = "batch"
"""What the decision log names instead of an arm: no canary is judged by these decisions."""


@dataclass(frozen=True)
class Shard:
    """Rows `start` (from 0) up to but without `stop` of a snapshot."""

    number: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """How many."""
        return self.stop - self.start


def shards(rows: int, shard_rows: int = SHARD_ROWS) -> tuple[Shard, ...]:
    """Cut rows into shards of the given size; the last may be smaller, no rows give no shard.

    A snapshot that would need more than `MAX_SHARDS` is cut into that many larger ones.

    >>> [(s.start, s.stop) for s in shards(5, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    size = max(shard_rows, -(-rows // MAX_SHARDS))
    starts = range(0, rows, size)
    return tuple(Shard(n, start, min(start + size, rows)) for n, start in enumerate(starts))


def decision_id(run_key: str, milliseconds: int, row: int) -> str:
    """The UUIDv7 of a row's decision: the same for every try, so that no retry doubles it.

    Its 48 bits of time are those of the plan (milliseconds since 1970), the others a hash of run
    and row instead of chance (RFC 9562, section 5.7).
    """
    hashed = hashlib.blake2b(f"{run_key}|{row}".encode(), digest_size=10).digest()
    bits = int.from_bytes(hashed, "big")
    value = milliseconds << 80 | 0x7 << 76 | (bits >> 68) << 64 | 0b10 << 62
    return str(uuid.UUID(int=value | bits & ((1 << 62) - 1)))
