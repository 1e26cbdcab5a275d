"""A Parquet file into a table, after what it claims to hold was weighed."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.adapters.arrow_tables.csv_text import MAX_COLUMNS, UnreadableFile
from tenure.adapters.arrow_tables.foreign import foreign

_CELL = 8
"""Bytes that a cell takes in memory, about, however well it is compressed."""


def read_parquet(path: Path, *, max_bytes: int) -> pa.Table:
    """Read the file; Arrow's and pandas' own metadata are not looked at.

    Raises:
        Unreadable: It is no Parquet file, is damaged or encrypted, or holds more than the limit.
    """
    with path.open("rb") as stream:
        head = stream.read(16)
    if head.startswith(b"\x1f\x8b"):
        raise UnreadableFile("a file that was packed by gzip; Parquet is packed by itself")
    if not head.startswith(b"PAR1") and (what := foreign(head)):
        raise UnreadableFile(what)
    try:
        repeated = _weighed(path, max_bytes)
        with pq.ParquetFile(
            path, read_dictionary=repeated, coerce_int96_timestamp_unit="us"
        ) as file:  # in nanoseconds the years 1 and 9999 would silently become others
            table = file.read(use_threads=True)
        _weigh_repeated(table, max_bytes)
        table.validate(full=True)
        _weigh_zones(table)
    except MemoryError:
        raise  # also an ArrowException, but it is not the file that is broken
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableFile(_cause(error, path)) from None
    return plain(table.replace_schema_metadata(None))


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


def plain(table: pa.Table) -> pa.Table:
    """Columns of types that Arrow cannot compute with in those that it can."""
    for i, field in enumerate(table.schema):
        if (plain := _plain_type(field.type)) != field.type:
            table = table.set_column(i, field.name, table.column(i).cast(plain))
    return table


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def _cause(error: Exception, path: Path) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return re.sub(r"\s+", " ", first.replace(str(path), "the file"))[:160]
