"""Counts what the gateway shipped: decision and outcome Parquet files."""

from collections.abc import Iterable
from pathlib import Path

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
