"""The first rows of a quarantine file, for people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROW, REASONS = "_row", "_reasons"


def first_rows(path: Path, limit: int, columns: frozenset[str]) -> Iterator[dict[str, Any]]:
    """At most `limit` rows with `_row`, `_reasons` and those of the columns that are there."""
    with pq.ParquetFile(path) as file:
        names = [n for n in file.schema_arrow.names if n in columns or n in {ROW, REASONS}]
        batch = next(file.iter_batches(batch_size=limit, columns=names), None)
    if batch is None:
        return
    for i, field in enumerate(batch.schema):
        if pa.types.is_timestamp(field.type):  # Python knows no year 10000, a bad row may
            batch = batch.set_column(i, field.name, batch.column(i).cast(pa.string()))
    yield from batch.to_pylist()
