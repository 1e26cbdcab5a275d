"""One column into the type that the contract promises, or why not, by row."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tenure.adapters.arrow_tables.moments import (
    MOMENT,
    Moments,
    only,
    positions,
    times_of_arrow,
    times_of_texts,
)
from tenure.lifecycle.data.sources import ColumnType, CsvFormat, Source

ARROW: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "timestamp": MOMENT,
}
TOO_LARGE = "a number beyond 64 bits"
NO_INTEGER = "a number that is no integer"
LOST_DIGITS = "a whole number so large that its type lost digits"
"""A floating-point number beyond which not every whole number has one of its own."""
ROUNDED = "digits that a 64-bit floating-point number cannot hold"
CUT = "digits beyond microseconds"
_INTEGER = r"^[+-]?[0-9]+(\.(0{0,2}|0{4,}))?$"
"""A whole number, also as a program with floating-point numbers writes it. `1.000` is none: where
points are between thousands it is a thousand."""
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_MAY_LOSE = r"([0-9]\.?){16,}|[eE]-0*[1-9][0-9]{2,}$"
"""Whatever has fewer significant digits, and is not tiny, keeps them as a double."""
NO_TEXT = "a character U+0000, which is not text"
_LARGEST = 2**63 - 1
_LARGEST_TEXT, _SMALLEST_TEXT = str(_LARGEST), str(2**63)
_EXACT = {pa.float16(): 2**11, pa.float32(): 2**24, pa.float64(): 2**53}
"""Up to here a floating-point type holds every whole number."""
_WIDE = Context(prec=1_100)
"""Digits of any double."""


@dataclass(frozen=True)
class TypedColumn:
    """A column in its type; a cell that cannot be is null and its row is among `bad`."""

    values: pa.ChunkedArray
    found: str | None = None
    """The type that was found when the column as a whole does not fit."""
    bad: dict[str, list[int]] = field(default_factory=dict)
    """Why to the rows (from 0) that have no value for that reason."""
    changed: dict[str, list[int]] = field(default_factory=dict)
    """What was lost on the way to the rows whose values are not quite those of the file."""
    quote: str = ""
    """What the library says of a column that does not fit; it may quote a value."""

    def as_a_whole(self, column: pa.ChunkedArray) -> "TypedColumn":
        """The same, unless most cells of the column it was made from show that it is of fractions.

        A few fractions among whole numbers are bad cells; many are another type.
        """
        values = len(column) - column.null_count
        if len(self.bad.get(NO_INTEGER, ())) <= values // 2:
            return self
        return TypedColumn(column, found=f"{str(column.type)[:80]} with fractions")

    @property
    def bad_rows(self) -> list[int]:
        """All rows that have no value of the type, in order."""
        return sorted({row for rows in self.bad.values() for row in rows})


def from_arrow(column: pa.ChunkedArray, kind: ColumnType, source: Source) -> TypedColumn:
    """A typed column of Parquet; narrower types of the same kind are widened.

    Decimals and floating-point numbers are integers where they are whole, as in CSV.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return TypedColumn(column.cast(ARROW[kind]))
    if kind == "timestamp" and is_local(column.type) and source.time_zone is None:
        return TypedColumn(column, found=f"{str(column.type)[:80]} without a time zone")
    if not _ACCEPTS[kind](column.type):
        return TypedColumn(column, found=str(column.type)[:80])
    try:
        return _CONVERTED[kind](column, source)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        return TypedColumn(column, found=str(column.type), quote=str(error)[:80])


def from_text(column: pa.ChunkedArray, kind: ColumnType, source: Source) -> TypedColumn:
    """A column of CSV text, written as the source says."""
    if kind == "string":
        return TypedColumn(column)
    form = source.csv
    if form.nulls:
        is_null = pc.is_in(column, value_set=pa.array(form.nulls, pa.string()))
        column = pc.if_else(is_null, pa.scalar(None, pa.string()), column)
    if kind == "timestamp":
        return _of_moments(times_of_texts(column, source))
    if kind == "boolean":
        return _flags(column, form)
    if form.decimal == ",":
        has_point = pc.match_substring(column, ".")
        column = pc.if_else(has_point, "x", pc.replace_substring(column, ",", "."))
    return _whole_texts(column) if kind == "integer" else _number_texts(column)


def is_local(kind: pa.DataType) -> bool:
    """Dates, and timestamps that do not know their zone."""
    return pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)


def _no_such(kind: ColumnType, rows: list[int]) -> dict[str, list[int]]:
    return {f"text that is no {kind}": rows} if rows else {}


def _of_moments(found: Moments) -> TypedColumn:
    return TypedColumn(found.values, bad=found.bad, changed={CUT: found.cut} if found.cut else {})


def _flags(column: pa.ChunkedArray, form: CsvFormat) -> TypedColumn:
    lower = pc.utf8_lower(column)
    yes, no = (
        pc.is_in(lower, value_set=pa.array([w.lower() for w in words], pa.string()))
        for words in (form.true_words, form.false_words)
    )
    known = pc.or_(yes, no)
    bad = positions(pc.and_(pc.invert(known), pc.is_valid(column)))
    values = pc.if_else(known, yes, pa.scalar(None, pa.bool_()))
    return TypedColumn(values, bad=_no_such("boolean", bad))


def _whole_texts(column: pa.ChunkedArray) -> TypedColumn:
    """Whole numbers as texts, to the digit."""
    text, bad = only(column, _INTEGER)
    text = pc.replace_substring_regex(text, r"\.0*$", "")
    text = pc.replace_substring_regex(text, r"^\+?(-?)0*([0-9])", r"\1\2")
    digits, size = pc.utf8_ltrim(text, "-"), pc.utf8_length(pc.utf8_ltrim(text, "-"))
    most = pc.if_else(pc.starts_with(text, "-"), _SMALLEST_TEXT, _LARGEST_TEXT)
    widest = len(_LARGEST_TEXT)
    beyond = pc.or_(
        pc.greater(size, widest), pc.and_(pc.equal(size, widest), pc.greater(digits, most))
    )
    text, too_large = _without(text, beyond)
    found = _no_such("integer", bad) | ({TOO_LARGE: too_large} if too_large else {})
    return TypedColumn(pc.cast(text, pa.int64()), bad=found)


def _number_texts(column: pa.ChunkedArray) -> TypedColumn:
    text, bad = only(column, _NUMBER)
    values, infinite = _without(
        *_paired(pc.cast(pc.utf8_ltrim(text, "+"), pa.float64()), pc.is_inf)
    )
    rounded = _rounded(text, pc.match_substring_regex(text, _MAY_LOSE), {*infinite})
    return TypedColumn(
        values,
        bad=_no_such("number", bad) | ({TOO_LARGE: infinite} if infinite else {}),
        changed={ROUNDED: rounded} if rounded else {},
    )


def _whole_numbers(column: pa.ChunkedArray, _: Source) -> TypedColumn:
    """Whole numbers of any type, each as it is."""
    kind = column.type
    bad: dict[str, list[int]] = {}
    if pa.types.is_floating(kind):
        column, _nan = _without(*_paired(column.cast(pa.float64()), pc.is_nan))
        column, bad["infinity"] = _without(*_paired(column, pc.is_inf))
        column, bad[NO_INTEGER] = _without(column, pc.not_equal(column, pc.trunc(column)))
        column, bad[LOST_DIGITS] = _without(column, pc.greater(pc.abs(column), _EXACT[kind]))
    elif pa.types.is_decimal(kind):
        column, bad[NO_INTEGER] = _without(column, pc.not_equal(column, pc.trunc(column)))
        column, bad[TOO_LARGE] = _without(column, _is_beyond_64_bits(column))
    elif pa.types.is_uint64(kind):
        largest = pa.scalar(_LARGEST, pa.uint64())
        column, bad[TOO_LARGE] = _without(column, pc.greater(column, largest))
    return TypedColumn(column.cast(pa.int64()), bad={w: rows for w, rows in bad.items() if rows})


def _numbers(column: pa.ChunkedArray, _: Source) -> TypedColumn:
    """64-bit floating-point numbers; NaN becomes null, and infinities are no values."""
    values = column.cast(pa.float64(), safe=False)
    values, _nan = _without(*_paired(values, pc.is_nan))
    values, infinite = _without(*_paired(values, pc.is_inf))
    rounded: list[int] = []
    if not pa.types.is_floating(column.type):
        scale = column.type.scale if pa.types.is_decimal(column.type) else 0
        doubtful = pc.greater_equal(pc.abs(values), pa.scalar(10.0 ** (15 - scale)))
        rounded = _rounded(column, doubtful, {*infinite})
    return TypedColumn(
        values,
        bad={"infinity": infinite} if infinite else {},
        changed={ROUNDED: rounded} if rounded else {},
    )


def _times(column: pa.ChunkedArray, source: Source) -> TypedColumn:
    return _of_moments(times_of_arrow(column, source.time_zone))


def _flags_as_they_are(column: pa.ChunkedArray, _: Source) -> TypedColumn:
    return TypedColumn(column)


def _texts_as_they_are(column: pa.ChunkedArray, _: Source) -> TypedColumn:
    """Texts of any width, but for those that no database and no CSV file could hold."""
    text = column.cast(pa.string())
    text, bad = _without(text, pc.match_substring(text, "\0"))
    return TypedColumn(text, bad={NO_TEXT: bad} if bad else {})


def _paired(
    column: pa.ChunkedArray, test: Callable[[pa.ChunkedArray], pa.ChunkedArray]
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    return column, test(column)


def _without(column: pa.ChunkedArray, mask: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[int]]:
    """The column with nulls where the mask is true, and those rows."""
    bad = pc.fill_null(mask, False)
    rows = positions(bad)
    return (pc.if_else(bad, pa.scalar(None, column.type), column) if rows else column), rows


def _is_beyond_64_bits(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Whether each decimal is; one by one, because few types of decimals hold the bounds."""
    if column.type.precision - column.type.scale < len(_LARGEST_TEXT):
        return pa.chunked_array([pa.repeat(pa.scalar(False), len(column))])
    found = [v is not None and not -_LARGEST - 1 <= v <= _LARGEST for v in column.to_pylist()]
    return pa.chunked_array([pa.array(found, pa.bool_())])


def _rounded(column: pa.ChunkedArray, mask: pa.ChunkedArray, but: set[int]) -> list[int]:
    """Rows of the mask whose number is another one as a 64-bit floating-point number."""
    rows = [row for row in positions(pc.fill_null(mask, False)) if row not in but]
    texts = column.take(pa.array(rows, pa.int64())).to_pylist()
    return [row for row, value in zip(rows, texts, strict=True) if _loses_digits(value)]


def _loses_digits(value: Any) -> bool:
    """Whether a double does not give back the digits that are written."""
    near = Decimal(float(value))
    try:
        written = Decimal(value)
        return near.is_infinite() or near.quantize(written, context=_WIDE) != written
    except InvalidOperation:  # more digits, or a smaller exponent, than any double has
        return True


_ACCEPTS: dict[ColumnType, Callable[[pa.DataType], bool]] = {
    "string": lambda t: (
        pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t)
    ),
    "integer": lambda t: (
        pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t)
    ),
    "number": lambda t: pa.types.is_floating(t) or pa.types.is_integer(t) or pa.types.is_decimal(t),
    "boolean": pa.types.is_boolean,
    "timestamp": lambda t: pa.types.is_timestamp(t) or pa.types.is_date(t),
}
_CONVERTED: dict[ColumnType, Callable[[pa.ChunkedArray, Source], TypedColumn]] = {
    "string": _texts_as_they_are,
    "integer": _whole_numbers,
    "number": _numbers,
    "boolean": _flags_as_they_are,
    "timestamp": _times,
}
