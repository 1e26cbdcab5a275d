"""Joins Parquet files of decisions or outcomes into one, a piece at a time, and lists segments."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SEGMENT = "segment"
"""Column of a compacted file: the name without suffix under which each of its rows was shipped."""
_BATCH_ROWS = 64 * 1024


def kinds(path: Path) -> dict[str, str] | None:
    """Column to type; None when it is no Parquet file (any more)."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError):
        return None
    return {field.name: str(field.type) for field in schema}


def row_count(data: bytes) -> int:
    """Rows of the bytes of a Parquet file."""
    return pq.read_metadata(pa.BufferReader(data)).num_rows


def merge(files: Mapping[str, Path], target: Path) -> int:
    """Write the rows of all files, in order; a column that a file lacks is null there.

    Args:
        files: By the name of the segment; that of a file which was compacted itself is not used.
        target: File to write.

    Returns:
        The number of rows written, which is that of the files together.

    Raises:
        ValueError: It is not: a file changed while it was read.
    """
    shapes = [pq.read_schema(path) for path in files.values()]
    schema = pa.unify_schemas([*shapes, pa.schema({SEGMENT: pa.string()})]).remove_metadata()
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for name, path in files.items():
            with pq.ParquetFile(path) as source:
                for batch in source.iter_batches(_BATCH_ROWS):
                    writer.write_batch(_fitted(_named(batch, name), schema))
    rows, expected = pq.read_metadata(target).num_rows, sum(_rows(p) for p in files.values())
    if rows != expected:
        raise ValueError(f"{rows:,} rows were joined of {expected:,}")
    return rows


def segment_list(names: Iterable[str]) -> bytes:
    """A Parquet file with the names, sorted, as its column `segment_name`."""
    target = io.BytesIO()
    pq.write_table(pa.table({"segment_name": sorted(names)}), target, compression="zstd")
    return target.getvalue()


def _named(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    if SEGMENT in batch.schema.names:
        return batch
    return batch.append_column(SEGMENT, pa.array([name] * len(batch), pa.string()))


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    known = set(batch.schema.names)
    columns = [
        batch.column(field.name) if field.name in known else pa.nulls(len(batch), field.type)
        for field in schema
    ]
    return pa.record_batch(columns, schema=schema)


def _rows(path: Path) -> int:
    return pq.read_metadata(path).num_rows
