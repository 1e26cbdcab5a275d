"""One column into the type that the contract promises, or why not, by row."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.lifecycle.sources import ColumnType

MOMENT = pa.timestamp("us", "UTC")
_ARROW: dict[ColumnType, pa.DataType] = {
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
_BOOLEAN = r"^(?i:true|false)$"
_MOMENT = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})$"
)


@dataclass(frozen=True)
class TypedColumn:
    """A column in its type; a cell that cannot be is null and its row is among `bad_rows`."""

    values: pa.ChunkedArray
    found: str | None = None
    """The type that was found when the column as a whole does not fit."""
    bad_rows: list[int] = field(default_factory=list)
    why: str = ""


def from_arrow(column: pa.ChunkedArray, kind: ColumnType) -> TypedColumn:
    """A typed column of Parquet; narrower types of the same kind are widened."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return TypedColumn(column.cast(_ARROW[kind]))
    if not _ACCEPTS[kind](column.type):
        found = str(column.type)[:80]
        is_local = pa.types.is_timestamp(column.type)
        return TypedColumn(column, found=f"{found} without a time zone" if is_local else found)
    try:
        typed = column.cast(_ARROW[kind], safe=kind == "integer")
    except pa.ArrowInvalid as error:
        return TypedColumn(column, found=f"{column.type}: {str(error)[:80]}")
    return _within_bounds(typed, kind)


def from_text(column: pa.ChunkedArray, kind: ColumnType) -> TypedColumn:
    """A column of CSV text."""
    if kind == "string":
        return TypedColumn(column)
    pattern = {
        "integer": _INTEGER,
        "number": _NUMBER,
        "boolean": _BOOLEAN,
        "timestamp": _MOMENT,
    }[kind]
    good = pc.match_substring_regex(column, pattern)
    bad_rows = positions(pc.fill_null(pc.invert(good), False))
    text = pc.if_else(pc.fill_null(good, False), column, pa.scalar(None, pa.string()))
    if kind == "timestamp":
        values, impossible = _moments(text)
        bad_rows = sorted({*bad_rows, *impossible})
    elif kind == "boolean":
        values = pc.equal(pc.utf8_lower(text), "true")
    else:
        values = pc.cast(pc.utf8_ltrim(text, "+"), _ARROW[kind])
    typed = _within_bounds(values, kind)
    rows = sorted({*bad_rows, *typed.bad_rows})
    return TypedColumn(typed.values, bad_rows=rows, why=f"text that is no {kind}")


_ACCEPTS: dict[ColumnType, Callable[[pa.DataType], bool]] = {
    "string": lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
    "integer": pa.types.is_integer,
    "number": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t),
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


def _moments(text: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[int]]:
    """Times and the rows whose text looks like one but names none (a 31st of February)."""
    try:
        return text.cast(MOMENT), []
    except pa.ArrowInvalid:
        moments = [_moment(value) for value in text.to_pylist()]
        was_null = pc.is_null(text).to_pylist()
        bad = [i for i, moment in enumerate(moments) if moment is None and not was_null[i]]
        return pa.chunked_array([pa.array(moments, MOMENT)]), bad


def _moment(value: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if value is not None else None
    except (ValueError, OverflowError):
        return None


def positions(mask: pa.ChunkedArray) -> list[int]:
    """Rows (from 0) where the mask is true; it holds no null.

    Through numpy: `pc.indices_nonzero` of pyarrow 25 crashes on a column without rows.
    """
    rows: list[int] = np.flatnonzero(mask.to_numpy()).tolist()
    return rows
