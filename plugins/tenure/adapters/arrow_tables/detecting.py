"""How an unknown file is written and what its columns hold; the gate then reads it the same way."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from tenure.adapters.arrow_tables.cell_doubts import (
    DATED,
    are_exponent_codes,
    has,
    of_digits,
    of_moments,
    of_number,
    of_text,
    share,
)
from tenure.adapters.arrow_tables.cells import ROUNDED, from_arrow, from_text, is_local
from tenure.adapters.arrow_tables.csv_text import TextRows, UnreadableFile, read_text
from tenure.adapters.arrow_tables.doubts import (
    NoTable,
    encoding_of,
    escape_of,
    of_names,
    of_rows,
    opened,
    refuse_foreign,
    refuse_hint,
    refuse_most,
    refuse_names,
)
from tenure.adapters.arrow_tables.parquet_file import read_parquet
from tenure.lifecycle.data.profiling.proposals import may_begin_with_zero
from tenure.lifecycle.data.sources import ColumnType, CsvFormat, Source, two_readings

FITS = 0.99
"""Share of values that must be of a type; the others are set aside as the gate would."""
NULL_WORDS = (
    "", "NA", "N/A", "n/a", "na", "NULL", "null", "Null", "(null)", "None", "none", "NaN", "nan",
    "-NaN", "-nan", "NaT", "<NA>", "nil", "#N/A", "#NA", "#N/A N/A", "-", "--", ".", "?", "\\N",
    "1.#QNAN", "-1.#QNAN", "1.#IND", "-1.#IND",
)  # fmt: skip
"""The first is an empty cell in quotes."""
_MOST = 0.5
_MOST_MARKS = 200_000
"""Characters in which each delimiter is tried one by one."""
_DELIMITERS = ",;\t|:~^"
_FLAGS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"), ("ja", "nein"), ("oui", "non"))
_DATES = ("%d.%m.%Y", "%Y.%m.%d", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y")
_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_SWAPPED = {"%d/%m/%Y": "%m/%d/%Y", "%d-%m-%Y": "%m-%d-%Y"}
"""Day first and month first: certain only where a number above 12 says so."""


@dataclass(frozen=True)
class FileForm:
    """What a file is.

    Args:
        source: How to read files like it.
        types: Every column in the order of the file.
        notes: What was uncertain, for people.
    """

    source: Source
    types: Mapping[str, ColumnType]
    notes: list[str] = field(default_factory=list)


def detect(path: Path) -> FileForm:
    """What the file is and holds. Raises Unreadable."""
    with path.open("rb") as stream:
        is_parquet = stream.read(4) == b"PAR1"
    return _detect_parquet(path) if is_parquet else _detect_csv(path)


def _detect_parquet(path: Path) -> FileForm:
    table = read_parquet(path, max_bytes=Source().max_batch_bytes)
    refuse_names(table.column_names, None)
    local = any(is_local(column.type) for column in table.schema)
    source = Source(format="parquet", time_zone="UTC" if local else None)
    types: dict[str, ColumnType] = {}
    notes = ["times without a zone are read as UTC: time_zone is to be confirmed"] if local else []
    notes += of_names(table.column_names)
    broken: list[str] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kinds: tuple[ColumnType, ...] = ("boolean", "integer", "number", "timestamp", "string")
        kind = next((k for k in kinds if _is_of(column, k, source)), None)
        if kind is None or (kind == "number" and _is_of_whole(column.type)):
            broken.append(_no_type(name, column, kind))
            continue
        types[name] = "string" if pa.types.is_null(column.type) else kind
        if kind in {"integer", "number"}:
            lost = from_arrow(column, kind, source).changed.get(ROUNDED, [])
            notes += [*of_digits(name, len(lost)), *_of_moments(name, column)]
    if broken:
        raise NoTable(
            "; ".join(broken),
            "Leave these columns out of the file, or write each as text, numbers, booleans or "
            "times.",
        )
    return FileForm(source, types, notes)


def _of_moments(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    if _is_of_whole(column.type):
        yield from of_moments(name, pc.unique(column.drop_null()).cast(pa.string()))


def _no_type(name: str, column: pa.ChunkedArray, kind: ColumnType | None) -> str:
    """Why a column has no type of a contract."""
    found = f"a column {name!r} of type {str(column.type)[:80]}"
    if kind is None:
        return f"{found}; no contract has"
    ends = pc.min_max(column).as_py()
    return (
        f"{found} with values from {ends['min']:,} to {ends['max']:,}; an integer lies within "
        "±2^63, and a number would lose digits: write it as text"
    )


def _is_of(column: pa.ChunkedArray, kind: ColumnType, source: Source) -> bool:
    """Whether the guess is right; what was written with fractions is not meant as integer."""
    typed = from_arrow(column, kind, source)
    if kind != "integer":
        return typed.found is None
    return _is_of_whole(column.type) and typed.found is None and not typed.bad


def _is_of_whole(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0)


def _detect_csv(path: Path) -> FileForm:
    form, doubts = _dialect(path)
    rows = read_text(path, form, max_bytes=Source().max_batch_bytes)
    refuse_names(rows.table.column_names, form.delimiter)
    refuse_most(rows, form.delimiter)
    found = _Columns(rows)
    source = Source(format="csv", csv=form, time_zone="UTC")
    source, notes = found.formats(source)
    notes = [*doubts, *of_names(rows.table.column_names), *notes]
    types = {name: found.type(name, source) for name in rows.table.column_names}
    words = found.null_words(types, source)
    source = _with(source, nulls=words)
    notes += found.doubts(types, source)
    if shown := [word for word in words if word]:
        notes.append(f"{', '.join(shown)}: read as no value where a column is not text")
    notes += of_rows(rows)
    is_timed = "timestamp" in types.values()
    if not is_timed:
        source = source.model_copy(update={"time_zone": None})
        source = _with(source, times=())
    elif found.has_local_times:
        notes.append("times without a zone are read as UTC: time_zone is to be confirmed")
    else:
        source = source.model_copy(update={"time_zone": None})
    return FileForm(source, types, notes)


class _Columns:
    """The different values of each text column, with how often they come."""

    def __init__(self, rows: TextRows) -> None:
        self._values: dict[str, tuple[pa.Array, pa.Array]] = {}
        self._undecided: set[str] = set()
        """Columns of times that could be read in two ways: they stay text."""
        self.has_local_times = False
        aside = pa.array([*{*rows.ragged, *rows.headers, *rows.misquoted_rows}], pa.int64())
        whole = rows.table
        if len(aside):
            kept = pc.invert(pc.is_in(pa.array(range(len(whole)), pa.int64()), value_set=aside))
            whole = whole.filter(kept)
        for name, column in zip(whole.column_names, whole.columns, strict=True):
            counted = pc.value_counts(column.drop_null())
            is_word = pc.is_in(counted.field("values"), value_set=pa.array(NULL_WORDS, pa.string()))
            kept = counted.filter(pc.invert(is_word))
            self._values[name] = kept.field("values"), kept.field("counts")
        self._table, self._landed = whole, rows.table

    def formats(self, source: Source) -> tuple[Source, list[str]]:
        """The source with decimal sign, words of booleans and forms of times."""
        notes: list[str] = []
        source = _with(source, decimal=self._decimal())
        for yes, no in _FLAGS[1:]:
            if any(self._is_pair(name, yes, no) for name in self._values):
                form = source.csv
                source = _with(
                    source,
                    true_words=(*form.true_words, yes),
                    false_words=(*form.false_words, no),
                )
        times: list[str] = []
        for name in self._values:
            for time in self._times(name, source, notes):
                if two_readings([*times, time]):
                    notes.append(
                        f"{name}: its dates put day and month in another order than those of "
                        "other columns, and a source reads them in one; it is read as text"
                    )
                    self._undecided.add(name)
                elif time not in times:
                    times.append(time)
        return _with(source, times=tuple(times)), notes

    def type(self, name: str, source: Source) -> ColumnType:
        """The narrowest type that nearly all values have; identifiers stay text."""
        values, _ = self._values[name]
        if not len(values) or self._is_identifier(name) or name in self._undecided:
            return "string"
        kinds: tuple[ColumnType, ...] = ("boolean", "integer", "number", "timestamp")
        mark = "," if source.csv.decimal == "," else r"\."
        if pc.any(pc.match_substring_regex(values, rf"^[+-]?[0-9]*{mark}[0-9]*$")).as_py():
            kinds = ("boolean", "number", "timestamp")  # 1.0 is whole, but written as a number
        if are_exponent_codes(values, source.csv.decimal):
            kinds = ("boolean", "timestamp")
        kinds = kinds if self._is_flag(name) else kinds[1:]
        fitting = (k for k in kinds if self._fit(name, k, source) >= FITS)
        kind: ColumnType = next(fitting, "string")
        if kind == "timestamp":
            zoned = source.model_copy(update={"time_zone": None})
            self.has_local_times |= self._fit(name, kind, _with(zoned, times=())) < FITS
        return kind

    def doubts(self, types: Mapping[str, ColumnType], source: Source) -> Iterator[str]:
        """What of the columns could be read in another way too."""
        decimal = source.csv.decimal
        for name, (values, _) in self._values.items():
            if types[name] == "string" and name not in self._undecided:
                if not self._is_identifier(name):
                    yield from of_text(name, values, self._landed.column(name), decimal)
                elif self._is_called_one(name):
                    yield f"{name}: its digits are read as text, so that a zero in front is kept"
            elif types[name] == "number":
                yield from of_number(name, values, decimal)
                typed = from_text(pa.chunked_array([values]), "number", source)
                yield from of_digits(name, len(typed.changed.get(ROUNDED, ())))
            if types[name] not in {"boolean", "timestamp"}:
                yield from of_moments(name, values)

    def null_words(self, types: Mapping[str, ColumnType], source: Source) -> tuple[str, ...]:
        """Words that stand in typed columns where a value is missing."""
        typed = [name for name, kind in types.items() if kind != "string"]
        words = pa.array(NULL_WORDS, pa.string())
        found: set[str] = set()
        for name in typed:
            column = self._table.column(name)
            found |= {*pc.unique(column.filter(pc.is_in(column, value_set=words))).to_pylist()}
        return tuple(word for word in NULL_WORDS if word in found)

    def _fit(self, name: str, kind: ColumnType, source: Source) -> float:
        """Share of the values that are of the kind, by their number; of a sample when it is 0."""
        values, counts = self._values[name]
        total = pc.sum(counts).as_py() or 0
        if not total:
            return 0.0
        for size in (200, len(values)):
            tried = pa.chunked_array([values.slice(0, size)])
            bad = from_text(tried, kind, source).bad_rows
            if len(bad) > size // 5:
                return 0.0
            if size >= len(values):
                return 1 - (pc.sum(counts.take(pa.array(bad, pa.int64()))).as_py() or 0) / total
        return 0.0

    def _is_flag(self, name: str) -> bool:
        """Whether both words of a pair come, or true or false: a country is NO, a woman F."""
        found = {str(v).lower() for v in self._values[name][0].slice(0, 100).to_pylist()}
        return not found.isdisjoint(_FLAGS[0]) or any(found.issuperset(p) for p in _FLAGS[1:])

    def _is_pair(self, name: str, yes: str, no: str) -> bool:
        found = {str(v).lower() for v in self._values[name][0].slice(0, 10).to_pylist()}
        return found == {yes, no}

    def _is_identifier(self, name: str) -> bool:
        """Digits that are no quantity: leading zeros, too many, all with a plus, or so called."""
        values, _ = self._values[name]
        zeros = pc.any(pc.match_substring_regex(values, "^0[0-9]+$|^[0-9]{19,}$")).as_py()
        pluses = pc.all(pc.match_substring_regex(values, r"^\+[0-9]{6,}$")).as_py()
        return bool(zeros or pluses) or self._is_called_one(name)

    def _is_called_one(self, name: str) -> bool:
        """A zip code, a telephone number: the next file may hold one that begins with 0."""
        return may_begin_with_zero(name) and share(self._values[name][0], "^[0-9]{4,}$") >= _MOST

    def _decimal(self) -> str:
        """A comma when columns need it that cannot be thousands, and none needs the point."""
        comma, point = (
            any(self._has_decimals(name, sign) for name in self._values) for sign in (",", ".")
        )
        return "," if comma and not point else "."

    def _has_decimals(self, name: str, sign: str) -> bool:
        values, _ = self._values[name]
        mark, other = (",", r"\.") if sign == "," else (r"\.", ",")
        grouped = rf"[0-9]{{1,3}}({other}[0-9]{{3}})+"
        if share(values, rf"^[+-]?([0-9]+|{grouped})({mark}[0-9]+)?$") < FITS:
            return False
        certain = rf"^[+-]?([0-9]{{4,}}|0){mark}|{mark}[0-9]{{1,2}}$|{mark}[0-9]{{4,}}$"
        return has(values, rf"{certain}|{other}[0-9]{{3}}{mark}")

    def _times(self, name: str, source: Source, notes: list[str]) -> Iterator[str]:
        """The form of the column's times, when there is one and only one."""
        if share(self._values[name][0], DATED) < 1 - FITS:
            return
        if self._fit(name, "timestamp", source) >= FITS or self._is_identifier(name):
            return
        for date, clock in product(_DATES, _CLOCKS):
            if self._fit(name, "timestamp", _with(source, times=(date + clock,))) < FITS:
                continue
            other = _SWAPPED.get(date)
            swapped = _with(source, times=(f"{other}{clock}",)) if other else None
            if swapped and self._fit(name, "timestamp", swapped) >= FITS:
                notes.append(f"{name}: day or month first is not certain, so it is read as text")
                self._undecided.add(name)
                return
            yield date + clock
            return


def _with(source: Source, **changes: object) -> Source:
    return source.model_copy(update={"csv": source.csv.model_copy(update=changes)})


def _dialect(path: Path) -> tuple[CsvFormat, list[str]]:
    head = next(opened(path), b"")
    refuse_foreign(head)
    encoding, notes = encoding_of(path, head)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head).removeprefix("\ufeff")
    if not text.strip():
        raise UnreadableFile("no header")
    refuse_hint(text)
    delimiter = _delimiter(text)
    quote = _quote(text, delimiter)
    escape, doubts = escape_of(text, delimiter) if quote == '"' else ("", [])
    form = CsvFormat(delimiter=delimiter, encoding=encoding, quote=quote, escape=escape)
    return form, [*notes, *doubts]


def _delimiter(text: str) -> str:
    """What parts the lines into the same number of cells, most of all; quotes are left out."""
    scores = {sign: _regularity(text, sign) for sign in _DELIMITERS}
    best = max(scores, key=lambda sign: scores[sign])
    return best if scores[best] > 0 else ","


def _regularity(text: str, sign: str) -> float:
    """Share of rows with as many cells as the first, times that number, less one."""
    quote = _quote(text, sign)
    widths: list[int] = []
    cells, is_quoted = 1, False
    for before, mark in pairwise(f"\n{text[:_MOST_MARKS]}"):
        if mark == quote:
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif mark == sign:
            cells += 1
        elif mark in "\r\n":
            if before not in "\r\n":
                widths.append(cells)
            cells = 1
            if len(widths) > 200:
                break
    widths = widths or [cells]
    share = sum(width == widths[0] for width in widths) / len(widths)
    return share**2 * (widths[0] - 1)


def _quote(text: str, delimiter: str) -> Literal['"', "'"]:
    """The quote that stands next to delimiters or line ends, most often."""
    counts = {
        quote: text.count(f"{delimiter}{quote}") + text.count(f"{quote}{delimiter}")
        for quote in "\"'"
    }
    return "'" if counts["'"] > 2 * counts['"'] + 2 else '"'
