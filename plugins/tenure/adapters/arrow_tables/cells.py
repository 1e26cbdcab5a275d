"""One column into the type that the contract promises, or why not, by row."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from tenure.adapters.arrow_tables.moments import MOMENT, in_zone, moments, only, positions
from tenure.lifecycle.data.sources import ColumnType, CsvFormat, Source

ARROW: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": MOMENT,
}
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)
"""What Python and PostgreSQL can both hold, whatever the zone."""

_INTEGER = r"^[+-]?[0-9]{1,18}$"
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class TypedColumn:
    """A column in its type; a cell that cannot be is null and its row is among `bad_rows`."""

    values: pa.ChunkedArray
    found: str | None = None
    """The type that was found when the column as a whole does not fit."""
    bad_rows: list[int] = field(default_factory=list)
    why: str = ""
    quote: str = ""
    """What the library says of a column that does not fit; it may quote a value."""


def from_arrow(column: pa.ChunkedArray, kind: ColumnType, source: Source) -> TypedColumn:
    """A typed column of Parquet; narrower types of the same kind are widened."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return TypedColumn(column.cast(ARROW[kind]))
    if kind == "timestamp" and source.time_zone and is_local(column.type):
        values, doubtful = in_zone(column.cast(pa.timestamp("us"), safe=False), source.time_zone)
        typed = _within_bounds(values, kind)
        why = "a doubtful local time" if doubtful else typed.why
        return TypedColumn(typed.values, bad_rows=[*doubtful, *typed.bad_rows], why=why)
    if not _ACCEPTS[kind](column.type):
        found = str(column.type)[:80]
        is_local_time = pa.types.is_timestamp(column.type)
        return TypedColumn(column, found=f"{found} without a time zone" if is_local_time else found)
    too_large: list[int] = []
    if kind == "integer" and pa.types.is_uint64(column.type):
        beyond = pc.fill_null(pc.greater(column, pa.scalar(_LARGEST, pa.uint64())), False)
        too_large = positions(beyond)
        column = pc.if_else(beyond, pa.scalar(None, pa.uint64()), column)
    try:
        typed = column.cast(ARROW[kind], safe=kind == "integer")
    except pa.ArrowInvalid as error:
        return TypedColumn(column, found=str(column.type), quote=str(error)[:80])
    if too_large:
        return TypedColumn(typed, bad_rows=too_large, why="a number beyond 64 bits")
    return _within_bounds(typed, kind)


def from_text(column: pa.ChunkedArray, kind: ColumnType, source: Source) -> TypedColumn:
    """A column of CSV text, written as the source says."""
    if kind == "string":
        return TypedColumn(column)
    form = source.csv
    if form.nulls:
        is_null = pc.is_in(column, value_set=pa.array(form.nulls, pa.string()))
        column = pc.if_else(is_null, pa.scalar(None, pa.string()), column)
    values, bad = _converted(column, kind, source)
    typed = _within_bounds(values, kind)
    rows = sorted({*bad, *typed.bad_rows})
    return TypedColumn(typed.values, bad_rows=rows, why=f"text that is no {kind}")


def _converted(
    column: pa.ChunkedArray, kind: ColumnType, source: Source
) -> tuple[pa.ChunkedArray, list[int]]:
    """The values, and the rows whose text is none of the kind."""
    if kind == "timestamp":
        return moments(column, source)
    if kind == "boolean":
        return _flags(column, source.csv)
    if kind == "number" and source.csv.decimal == ",":
        has_point = pc.match_substring(column, ".")
        column = pc.if_else(has_point, "x", pc.replace_substring(column, ",", "."))
    text, bad = only(column, _INTEGER if kind == "integer" else _NUMBER)
    return pc.cast(pc.utf8_ltrim(text, "+"), ARROW[kind]), bad


def _flags(column: pa.ChunkedArray, form: CsvFormat) -> tuple[pa.ChunkedArray, list[int]]:
    lower = pc.utf8_lower(column)
    yes, no = (
        pc.is_in(lower, value_set=pa.array([w.lower() for w in words], pa.string()))
        for words in (form.true_words, form.false_words)
    )
    known = pc.or_(yes, no)
    bad = positions(pc.and_(pc.invert(known), pc.is_valid(column)))
    return pc.if_else(known, yes, pa.scalar(None, pa.bool_())), bad


def is_local(kind: pa.DataType) -> bool:
    """Dates, and timestamps that do not know their zone."""
    return pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)


_ACCEPTS: dict[ColumnType, Callable[[pa.DataType], bool]] = {
    "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "integer": pa.types.is_integer,
    "number": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t) or pa.types.is_decimal(t),
    "boolean": pa.types.is_boolean,
    "timestamp": lambda t: pa.types.is_timestamp(t) and t.tz is not None,
}


def _within_bounds(values: pa.ChunkedArray, kind: ColumnType) -> TypedColumn:
    """NaN becomes null; infinities and years outside 1…9999 are no values."""
    if kind == "number":
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
        bad, why = pc.is_inf(values), "infinity"
    elif kind == "timestamp":
        first, last = (pa.scalar(m, MOMENT) for m in (_FIRST, _LAST))
        bad = pc.or_(pc.less(values, first), pc.greater(values, last))
        why = "a year outside 1…9999"
    else:
        return TypedColumn(values)
    rows = positions(pc.fill_null(bad, False))
    if rows:
        values = pc.if_else(pc.fill_null(bad, False), pa.scalar(None, values.type), values)
    return TypedColumn(values, bad_rows=rows, why=why)
