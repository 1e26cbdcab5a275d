"""A landed file into a typed table, with every breach of the contract by column and row."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from tenure.adapters.arrow_tables.cells import TypedColumn, from_arrow, from_text, positions
from tenure.lifecycle.expectations import Severity
from tenure.lifecycle.quality import CONTRACT, Finding
from tenure.lifecycle.sources import Column, Contract, Source

MAX_BYTES = 4 * 1024**3
"""Size that a file may have, and may claim to have once it is decompressed."""
MAX_COLUMNS = 2_000
SHOWN_ROWS = 5
_BOM = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """The file as a whole is not what its suffix says."""


@dataclass(frozen=True)
class Batch:
    """What a file holds.

    Args:
        rows: Rows of the file; 0 when it cannot be read.
        original: The rows as they came, for quarantine; None when the file cannot be read.
        table: The contract's columns in the contract's order and types; cells that are not of
            their type are null. None when columns or types do not fit.
        findings: Breaches of the contract, and repeated keys.
    """

    rows: int
    original: pa.Table | None
    table: pa.Table | None
    findings: tuple[Finding, ...] = field(default=())

    @property
    def is_sound(self) -> bool:
        """Whether the contract holds, so that expectations may be checked."""
        return self.table is not None and not any(f.is_fatal for f in self.findings)


def read_batch(path: Path, source: Source, contract: Contract) -> Batch:
    """Read a file and compare it with the contract; never raises for what the file holds.

    Columns may come in any order and in any width of their type; timestamps must know their zone.
    """
    try:
        _refuse_bombs(path.stat().st_size, 1)
        original = _READERS[source.format](path)
    except Unreadable as error:
        return Batch(0, None, None, (_breach("the file", str(error), f"a {source.format} file"),))
    findings = list(_broken_columns(original, contract))
    columns: dict[str, TypedColumn] = {}
    if not findings:
        convert = from_text if source.format == "csv" else from_arrow
        for name, column in contract.columns.items():
            columns[name] = convert(original.column(name), column.type)
            findings += _broken_cells(name, column, columns[name])
    everything = range(original.num_rows)
    if any(not finding.rows for finding in findings):
        whole = tuple(_of_rows(finding, everything) for finding in findings)
        return Batch(original.num_rows, original, None, whole)
    table = pa.table({name: column.values for name, column in columns.items()})
    findings += _repeated_keys(table, contract.key)
    return Batch(original.num_rows, original, table, tuple(findings))


def _broken_columns(table: pa.Table, contract: Contract) -> Iterator[Finding]:
    found = table.column_names
    for name, times in Counter(found).items():
        if times > 1:
            yield _breach(_shown(name), f"{times} columns of this name", "one")
        if name not in contract.columns and not contract.allow_extra_columns:
            yield _breach(
                _shown(name), "a column that the contract does not know", "no such column"
            )
    for name, column in contract.columns.items():
        if name not in found:
            yield _breach(name, "no such column", column.type)


def _broken_cells(name: str, column: Column, typed: TypedColumn) -> Iterator[Finding]:
    if typed.found is not None:
        yield _breach(name, typed.found, column.type)
        return
    if typed.bad_rows:
        yield _breach(name, _said(typed.bad_rows, typed.why), column.type, typed.bad_rows)
    if not column.nullable:
        nulls = sorted({*positions(pc.is_null(typed.values))} - {*typed.bad_rows})
        if nulls:
            yield _breach(name, _said(nulls, "null"), f"{column.type}, never null", nulls)


def _repeated_keys(table: pa.Table, key: tuple[str, ...]) -> list[Finding]:
    """The first row of a key stays, all later ones are quarantined."""
    if not key:
        return []
    numbered = table.select(list(key)).append_column("_row", pa.array(range(table.num_rows)))
    firsts = numbered.group_by(list(key)).aggregate([("_row", "min")]).column("_row_min")
    rows = positions(pc.invert(pc.is_in(numbered.column("_row"), value_set=firsts)))
    share = 100 * len(rows) / max(table.num_rows, 1)
    return [
        Finding(
            rule="key",
            subject=" and ".join(key),
            severity=Severity.WARNING,
            holds=not rows,
            observed=f"{len(rows):,} of {table.num_rows:,} rows with a key seen before "
            f"({share:.1f}%)",
            allowed="each key once",
            rows=rows,
        )
    ]


def _read_parquet(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            meta = file.metadata
            size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
            _refuse_bombs(size, len(file.schema_arrow.names))
            table = file.read(use_threads=True)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Unreadable(_cause(error, path)) from None
    return table.replace_schema_metadata(None)


def _read_csv(path: Path) -> pa.Table:
    """Every cell as text; an empty cell without quotes is null."""
    with path.open("rb") as stream:
        head = stream.read(len(_BOM) + 1024 * 1024)
    names = _header(head.removeprefix(_BOM))
    ragged: list[str] = []

    def refuse(row: csv.InvalidRow) -> str:
        ragged.append(f"row {(row.number or 2) - 1:,} with {row.actual_columns} cells")
        return "error"

    try:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
            convert_options=csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        if ragged:
            raise Unreadable(f"{ragged[0]}, the header has {len(names)}") from None
        raise Unreadable(_cause(error, path)) from None


def _header(head: bytes) -> list[str]:
    if b"\0" in head:
        raise Unreadable("a NUL byte: not UTF-8 text")
    try:
        text = head.decode("utf-8") if len(head) < 1024 * 1024 else head.decode("utf-8", "ignore")
    except UnicodeDecodeError as error:
        raise Unreadable(f"bytes that are not UTF-8 at {error.start:,}") from None
    first = text.splitlines()[0] if text.strip() else ""
    if not first:
        raise Unreadable("no header")
    with pa.BufferReader((first + "\n").encode()) as stream:
        names: list[str] = csv.read_csv(stream).column_names
    _refuse_bombs(0, len(names))
    return names


_READERS = {"parquet": _read_parquet, "csv": _read_csv}


def _refuse_bombs(size: int, columns: int) -> None:
    if size > MAX_BYTES:
        raise Unreadable(f"{size:,} bytes (decompressed); at most {MAX_BYTES:,}")
    if not 0 < columns <= MAX_COLUMNS:
        raise Unreadable(f"{columns:,} columns; 1…{MAX_COLUMNS:,} are allowed")


def _cause(error: Exception, path: Path) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if "straddl" in first:
        return "a row of more than 1 MiB, or a quote that is never closed"
    return re.sub(r"\s+", " ", first.replace(str(path), "the file"))[:160]


def _breach(subject: str, found: str, expected: str, rows: list[int] | None = None) -> Finding:
    return Finding(CONTRACT, subject, Severity.CRITICAL, False, found, expected, rows or ())


def _of_rows(finding: Finding, rows: range) -> Finding:
    """A breach of the whole file is a breach of each of its rows."""
    return Finding(
        finding.rule, finding.subject, finding.severity, False, finding.observed, finding.allowed,
        finding.rows or rows,
    )  # fmt: skip


def _said(rows: list[int], why: str) -> str:
    listed = ", ".join(f"{row + 1:,}" for row in rows[:SHOWN_ROWS])
    more = f" and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
    return f"{why} in {len(rows):,} rows (row {listed}{more})"


def _shown(name: str) -> str:
    return repr(name)[1:-1][:80] or "''"
