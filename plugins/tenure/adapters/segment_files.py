"""Joins Parquet files of decisions or outcomes into one, a piece at a time."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_ROWS = 64 * 1024


def kinds(path: Path) -> dict[str, str] | None:
    """Column to type; None when it is no Parquet file (any more)."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError):
        return None
    return {field.name: str(field.type) for field in schema}


def merge(paths: Sequence[Path], target: Path) -> int:
    """Write the rows of all files, in order; a column that a file lacks is null there.

    Returns:
        The number of rows written, which is that of the files together.

    Raises:
        ValueError: It is not: a file changed while it was read.
    """
    schema = pa.unify_schemas([pq.read_schema(path) for path in paths]).remove_metadata()
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for path in paths:
            with pq.ParquetFile(path) as source:
                for batch in source.iter_batches(_BATCH_ROWS):
                    writer.write_batch(_fitted(batch, schema))
    rows, expected = pq.read_metadata(target).num_rows, sum(_rows(path) for path in paths)
    if rows != expected:
        raise ValueError(f"{rows:,} rows were joined of {expected:,}")
    return rows


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    known = set(batch.schema.names)
    columns = [
        batch.column(field.name) if field.name in known else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.record_batch(columns, schema=schema)


def _rows(path: Path) -> int:
    return pq.read_metadata(path).num_rows
