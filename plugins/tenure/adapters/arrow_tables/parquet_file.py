"""A Parquet file into a table, after what it claims to hold was weighed."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.adapters.arrow_tables.csv_text import MAX_COLUMNS, UnreadableFile

_CELL = 8
"""Bytes that a cell takes in memory, about, however well it is compressed."""


def read_parquet(path: Path, *, max_bytes: int) -> pa.Table:
    """Read the file; Arrow's and pandas' own metadata are not looked at.

    Raises:
        Unreadable: It is no Parquet file, is damaged or encrypted, or holds more than the limit.
    """
    try:
        repeated = _weighed(path, max_bytes)
        with pq.ParquetFile(path, read_dictionary=repeated) as file:
            table = file.read(use_threads=True)
        _weigh_repeated(table, max_bytes)
        table.validate(full=True)
        _weigh_zones(table)
    except MemoryError:
        raise  # also an ArrowException, but it is not the file that is broken
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableFile(_cause(error, path)) from None
    return _plain(table.replace_schema_metadata(None))


def _weighed(path: Path, max_bytes: int) -> list[str]:
    """Text columns with a dictionary, of which a small file can claim any number of repetitions."""
    with pq.ParquetFile(path) as file:
        meta = file.metadata
        columns = len(file.schema_arrow.names)
        if not 0 < columns <= MAX_COLUMNS:
            raise UnreadableFile(f"{columns:,} columns; 1…{MAX_COLUMNS:,} are allowed")
        groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
        size = max(sum(g.total_byte_size for g in groups), meta.num_rows * columns * _CELL)
        if size > max_bytes:
            raise UnreadableFile(
                f"{size:,} bytes (decompressed); source.memory_mb allows {max_bytes:,}"
            )
        chunks = [g.column(i) for g in groups for i in range(g.num_columns)]
        return sorted(
            {
                chunk.path_in_schema
                for chunk in chunks
                if chunk.physical_type == "BYTE_ARRAY"
                and chunk.has_dictionary_page
                and chunk.path_in_schema in file.schema_arrow.names
            }
        )


def _weigh_repeated(table: pa.Table, max_bytes: int) -> None:
    """Count what the texts would take when each repetition is written out, before it is."""
    size = 0
    for column in table.columns:
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            lengths = pc.binary_length(chunk.dictionary.cast(pa.binary()))
            size += pc.sum(lengths.cast(pa.int64()).take(chunk.indices)).as_py() or 0
    if size > max_bytes:
        raise UnreadableFile(
            f"{size:,} bytes (decompressed); source.memory_mb allows {max_bytes:,}"
        )


def _weigh_zones(table: pa.Table) -> None:
    """A zone is stored as bytes; whoever asks for one that is no text gets a ValueError."""
    for field in table.schema:
        if pa.types.is_timestamp(field.type):
            _ = field.type.tz


def _plain(table: pa.Table) -> pa.Table:
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            values = table.column(i).cast(field.type.value_type)
            table = table.set_column(i, field.name, values)
    return table


def _cause(error: Exception, path: Path) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return re.sub(r"\s+", " ", first.replace(str(path), "the file"))[:160]
