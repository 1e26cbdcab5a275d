"""A CSV file into a table of text, row by row as it came; what cannot be a row is named.

Memory: one block of 1 MiB beyond the table; a gzip file is read as a stream and stopped at the
limit, whatever it claims.
"""

import codecs
import csv as python_csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from tenure.adapters.arrow_tables.foreign import foreign
from tenure.adapters.arrow_tables.moments import positions
from tenure.adapters.arrow_tables.quotes import STRAY, QuoteMarker
from tenure.lifecycle.data.sources import CsvFormat

MAX_COLUMNS = 2_000
MAX_RAGGED = 100_000
_BLOCK = 1024 * 1024
_GZIP = b"\x1f\x8b"
_BROKEN = "\ufdd0"
"""Stands for bytes that are no text: a code point that Unicode keeps free for such use."""
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


class UnreadableFile(Exception):
    """The file as a whole is not what its suffix says."""


@dataclass(frozen=True)
class TextRows:
    """The rows of a CSV file.

    Args:
        table: Every cell as text; null is an empty cell without quotes. A row whose cells are not
            as many as the header's is there too, with the cells that it has.
        ragged: Position of each such row to how many cells it has.
        undecodable: Column to the positions of cells that are no text in the file's encoding.
        misquoted: Column to the positions of cells with a quote that is neither doubled nor last.
        headers: Positions of rows that repeat the header, as files have that were put together.
    """

    table: pa.Table
    ragged: Mapping[int, int] = field(default_factory=dict)
    undecodable: Mapping[str, list[int]] = field(default_factory=dict)
    misquoted: Mapping[str, list[int]] = field(default_factory=dict)
    headers: tuple[int, ...] = ()

    @property
    def misquoted_rows(self) -> list[int]:
        """Positions of rows with such a cell, in order."""
        return sorted({row for found in self.misquoted.values() for row in found})


def read_text(path: Path, form: CsvFormat, *, max_bytes: int) -> TextRows:
    """Read the file.

    Raises:
        Unreadable: It is no such CSV file; the message says what was found instead.
    """
    ragged = _Ragged(form)
    with path.open("rb") as file, _Utf8(file, form, max_bytes) as stream:
        try:
            table = _parse(pa.PythonFile(stream, "r"), form, ragged)
        except MemoryError:
            raise  # also an ArrowException, but it is not the file that is broken
        except (pa.ArrowException, OSError, EOFError, ValueError) as error:
            raise UnreadableFile(_cause(error, stream, ragged)) from None
    return _with_header(table, ragged, stream)


def _parse(stream: pa.NativeFile, form: CsvFormat, ragged: "_Ragged") -> pa.Table:
    """The header as row 0, columns as f0, f1, …: names may be there twice, or be anything."""
    return csv.read_csv(
        stream,
        read_options=csv.ReadOptions(
            use_threads=False, autogenerate_column_names=True, block_size=_BLOCK
        ),
        parse_options=csv.ParseOptions(
            delimiter=form.delimiter,
            quote_char=form.quote or False,
            double_quote=bool(form.quote),
            escape_char=form.escape or False,
            newlines_in_values=bool(form.quote),
            invalid_row_handler=ragged,
        ),
        convert_options=csv.ConvertOptions(
            check_utf8=False,
            column_types={f"f{i}": pa.string() for i in range(MAX_COLUMNS + 1)},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


class _Ragged:
    """Keeps the rows whose number of cells is not that of the header, and sees the last line."""

    def __init__(self, form: CsvFormat) -> None:
        self.form = form
        self.rows: dict[int, str] = {}
        self.counts: dict[int, int] = {}
        self.saw_end = False

    def __call__(self, row: csv.InvalidRow) -> str:
        if row.actual_columns == MAX_COLUMNS + 1 and row.text == end_of(self.form):
            self.saw_end = True
        else:
            position = (row.number or 2) - 2  # numbers begin at 1, with the header
            self.rows[position], self.counts[position] = row.text, row.actual_columns
        return "skip" if len(self.rows) <= MAX_RAGGED else "error"

    def cells(self, width: int) -> list[list[str | None]]:
        """The cells of these rows in the columns of the header, as far as there are any.

        A row that cannot be parted (by a stray line end) stays whole in the first.
        """
        dialect = {
            "delimiter": self.form.delimiter,
            "quotechar": self.form.quote or None,
            "escapechar": self.form.escape or None,
        }
        quoting = python_csv.QUOTE_MINIMAL if self.form.quote else python_csv.QUOTE_NONE
        found = []
        for text in self.rows.values():
            reader = python_csv.reader([text], quoting=quoting, **dialect)  # type: ignore[arg-type]
            try:
                cells = [_as_it_came(cell) or None for cell in next(reader, [])][:width]
            except python_csv.Error:  # a cell that Python's reader does not take, Arrow's did
                cells = [_as_it_came(text)]
            found.append(cells + [None] * (width - len(cells)))
        return found


def end_of(form: CsvFormat) -> str:
    """A line after the last one: a quote that is still open there swallows it."""
    return form.delimiter * MAX_COLUMNS


python_csv.field_size_limit(2**31 - 1)  # of a ragged row; the block limits it


def _as_it_came(text: str) -> str:
    """A cell without our marks."""
    return text.replace(_BROKEN, "\N{REPLACEMENT CHARACTER}").replace(STRAY, "")


def _with_header(table: pa.Table, ragged: _Ragged, stream: "_Utf8") -> TextRows:
    names = [column[0].as_py() or "" for column in table.columns] if len(table) else []
    if not any(names):
        raise UnreadableFile("no header")
    if len(names) > MAX_COLUMNS:
        raise UnreadableFile(f"{len(names):,} columns; 1…{MAX_COLUMNS:,} are allowed")
    if not ragged.saw_end:
        raise UnreadableFile(
            f"a quote that is never closed; it opens in or after row {max(len(table) - 1, 1):,}"
        )
    if _BROKEN in "".join(names):
        raise UnreadableFile(f"a header that is not {ragged.form.encoding} text")
    if STRAY in "".join(names):
        raise UnreadableFile("a header with a quote that is neither doubled nor around a name")
    columns = table.slice(1).columns
    bad = _cleaned(columns, names, _BROKEN) if stream.is_broken else {}
    stray = _cleaned(columns, names, STRAY) if stream.quotes.found else {}
    found = pa.table(columns, names=names)
    again = _header_again(found)
    if not ragged.rows:
        return TextRows(found, {}, bad, stray, again)
    return _interleaved(found, ragged, bad, stray, again)


def _cleaned(columns: list[pa.ChunkedArray], names: list[str], mark: str) -> dict[str, list[int]]:
    """Rows of each column that hold the mark, which is taken out of the column."""
    found = {}
    for i, name in enumerate(names):
        if rows := positions(pc.fill_null(pc.match_substring(columns[i], mark), False)):
            found[name] = rows
            columns[i] = pc.replace_substring(columns[i], mark, _as_it_came(mark))
    return found


def _header_again(table: pa.Table) -> tuple[int, ...]:
    """Rows whose every cell is the name of its column; of one column a word may be a value."""
    if table.num_columns < 2:
        return ()
    rows = positions(pc.fill_null(pc.equal(table.column(0), table.column_names[0]), False))
    return tuple(
        row
        for row in rows
        if [column[row].as_py() or "" for column in table.columns] == table.column_names
    )


def _interleaved(
    table: pa.Table,
    ragged: _Ragged,
    bad: Mapping[str, list[int]],
    stray: Mapping[str, list[int]],
    again: tuple[int, ...],
) -> TextRows:
    """Every ragged row in the place where it stood."""
    total = len(table) + len(ragged.rows)
    places = np.array(sorted(ragged.rows), np.int64)
    whole = np.setdiff1d(np.arange(total), places, assume_unique=True)
    order = np.empty(total, np.int64)
    order[whole], order[places] = np.arange(len(whole)), np.arange(len(whole), total)
    cells = ragged.cells(table.num_columns)
    rows = pa.table(
        [pa.array([row[i] for row in cells], pa.string()) for i in range(table.num_columns)],
        names=table.column_names,
    )
    moved, strayed = (
        {name: whole[rows_].tolist() for name, rows_ in marked.items()} for marked in (bad, stray)
    )
    return TextRows(
        pa.concat_tables([table, rows]).take(pa.array(order)),
        ragged.counts,
        moved,
        strayed,
        tuple(whole[[*again]].tolist()) if again else (),
    )


class _Utf8Watch:
    """Whether bytes of which every one is a letter elsewhere are UTF-8: hardly ever by chance."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._is_wide = False

    def holds(self, raw: bytes, *, final: bool) -> bool:
        """Whether all that came is UTF-8 and some of it is more than ASCII; told at the end."""
        if self._decoder is None:
            return False
        try:
            self._is_wide |= not self._decoder.decode(raw, final).isascii()
        except UnicodeDecodeError:
            self._decoder = None
        return final and self._is_wide and self._decoder is not None


class _Utf8(io.RawIOBase):
    """The file as UTF-8, decompressed, with the line of `end_of` after it."""

    def __init__(self, file: BinaryIO, form: CsvFormat, max_bytes: int) -> None:
        head = file.read(4)
        file.seek(0)
        self._source = _opened(file, head)
        self._form = form
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._decoder = codecs.getincrementaldecoder(form.encoding)("tenure_broken")
        self._ended = False
        self._begun = False
        self.quotes = QuoteMarker(form)
        self._others = _Utf8Watch() if form.encoding.startswith(("iso-", "windows-")) else None
        self.is_broken = False
        """Whether some bytes were no text."""
        self.stopped: str | None = None
        """Why reading was given up, for people."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._ended:
            return b""
        try:
            raw = self._source.read(_BLOCK if size < 0 else size)
        except (OSError, EOFError):
            raise self._stop("a gzip file that is damaged or cut off") from None
        self._left -= len(raw)
        if self._left < 0:
            raise self._stop(
                f"more than the {self._max_bytes:,} bytes (decompressed) of source.memory_mb"
            )
        if not self._begun:
            raw = self._without_mark(raw)
        text = self._text(raw)
        if not text:  # a decoder that waits for more must not look like the end
            return self.read(size)
        self.is_broken = self.is_broken or _BROKEN in text
        return text.encode()

    def _text(self, raw: bytes) -> str:
        """The next of the text, with our marks, and at its end the line of `end_of`."""
        text = self._decoder.decode(raw, final=not raw)
        self._ended = not raw and self._begun
        self._begun = True
        if self._others and self._others.holds(raw, final=self._ended):
            raise self._stop(f"UTF-8 text, the source says {self._form.encoding}")
        if self._ended:
            text += f"\n{end_of(self._form)}\n"
        return self.quotes.marked(text.replace("\0", _BROKEN), final=self._ended)

    def _without_mark(self, raw: bytes) -> bytes:
        """Skip the mark of UTF-8 (UTF-16 needs its own); refuse the mark of another encoding."""
        if what := foreign(raw):
            raise self._stop(what)
        found = next((known for mark, known in _MARKS.items() if raw.startswith(mark)), None)
        if found is not None and not self._form.encoding.startswith(found):
            raise self._stop(f"{found.upper()} text, the source says {self._form.encoding}")
        return raw.removeprefix(codecs.BOM_UTF8)

    def _stop(self, cause: str) -> OSError:
        self.stopped = cause
        return OSError(cause)


def _opened(file: BinaryIO, head: bytes) -> BinaryIO | pa.NativeFile:
    return pa.CompressedInputStream(file, "gzip") if head.startswith(_GZIP) else file


def _cause(error: Exception, stream: _Utf8, ragged: _Ragged) -> str:
    if stream.stopped:
        return stream.stopped
    if len(ragged.rows) > MAX_RAGGED:
        return f"more than {MAX_RAGGED:,} rows with another number of cells than the header"
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "cannot infer number of columns" in first:
        return "no header"
    if "straddl" in first:
        return "a row of more than 1 MiB, or a quote that is never closed"
    return re.sub(r"\s+", " ", first)[:160]


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return _BROKEN, error.end


codecs.register_error("tenure_broken", _mark)
