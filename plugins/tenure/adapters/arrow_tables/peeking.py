"""The rows of a quarantine file, for people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tenure.lifecycle.data.quality import Reason

ROW, REASONS = "_row", "_reasons"
_AT_ONCE = 10_000


@dataclass(frozen=True)
class QuarantinedRow:
    """One row of a quarantine file.

    Args:
        number: Of the row in the file that landed, from 1.
        reasons: Why it was set aside.
        cells: Column to value, as it came.
    """

    number: int
    reasons: tuple[Reason, ...]
    cells: Mapping[str, object]


def first_rows(path: Path, limit: int, columns: frozenset[str]) -> Iterator[QuarantinedRow]:
    """At most `limit` rows with those of the columns that are there."""
    with pq.ParquetFile(path) as file:
        names = [n for n in file.schema_arrow.names if n in columns or n in {ROW, REASONS}]
        batch = next(file.iter_batches(batch_size=limit, columns=names), None)
    if batch is not None:
        yield from _rows_of(batch)


def every_row(path: Path) -> Iterator[QuarantinedRow]:
    """All rows, with all columns."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_AT_ONCE):
            yield from _rows_of(batch)


def every_reason(path: Path) -> list[tuple[Reason, ...]]:
    """The reasons of each row, without its cells."""
    stored = pq.read_table(path, columns=[REASONS]).column(REASONS).to_pylist()
    return [reasons_of(one) for one in stored]


def _rows_of(batch: pa.RecordBatch) -> Iterator[QuarantinedRow]:
    for i, field in enumerate(batch.schema):
        is_day = pa.types.is_date(field.type)
        if is_day or pa.types.is_timestamp(field.type):  # Python knows no year 10000, a row may
            batch = batch.set_column(i, field.name, batch.column(i).cast(pa.string()))
    for row in batch.to_pylist():
        number, reasons = row.pop(ROW), row.pop(REASONS)
        yield QuarantinedRow(number, reasons_of(reasons), row)


def reasons_of(stored: Sequence[Mapping[str, Any]]) -> tuple[Reason, ...]:
    """The reasons of one row as the column `_reasons` holds them."""
    return tuple(Reason(**{**one, "columns": tuple(one["columns"])}) for one in stored)
