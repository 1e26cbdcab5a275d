"""Counts, finds and samples what was shipped: decision and outcome Parquet files."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq


def request_ids(paths: Iterable[Path]) -> list[str]:
    """Request id of every decision, doubled ones included."""
    return [
        str(value)
        for path in paths
        for value in pq.read_table(path, columns=["request_id"])["request_id"].to_pylist()
    ]


def row_count(paths: Iterable[Path]) -> int:
    """Rows of all files, from their footers."""
    return sum(pq.read_metadata(path).num_rows for path in paths)


def counted(paths: Iterable[Path], column: str) -> Counter[str]:
    """How often each value of a text column comes, nulls left out; files without it have none."""
    return Counter(
        str(value)
        for path in paths
        if column in pq.read_schema(path).names
        for value in pq.read_table(path, columns=[column])[column].drop_null().to_pylist()
    )


def find(paths: Iterable[Path], column: str, wanted: Collection[str]) -> list[dict[str, Any]]:
    """Whole rows whose column has one of the values, each with the columns of its own file."""
    values = sorted(wanted)
    return [
        row
        for path in paths
        if column in pq.read_schema(path).names
        for row in pq.read_table(path, filters=[(column, "in", values)]).to_pylist()
    ]


def sample(paths: Iterable[Path], rows: int, seed: int) -> list[str]:
    """Ids of randomly chosen decisions; the same for the same files' rows and seed."""
    key = str(seed).encode()

    def place(decision_id: str) -> bytes:
        return hashlib.blake2b(decision_id.encode(), key=key, digest_size=8).digest()

    ids = (
        str(value)
        for path in paths
        for value in pq.read_table(path, columns=["decision_id"])["decision_id"].to_pylist()
    )
    return heapq.nsmallest(rows, ids, key=place)
