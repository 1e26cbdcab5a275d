"""A landed file into a typed table, with every breach of the contract by column and row."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.adapters.arrow_tables.cells import TypedColumn, from_arrow, from_text
from tenure.adapters.arrow_tables.csv_text import TextRows, UnreadableFile, read_text
from tenure.adapters.arrow_tables.moments import positions
from tenure.adapters.arrow_tables.parquet_file import read_parquet
from tenure.lifecycle.data.quality import CONTRACT, KEY, ROUNDED, Finding
from tenure.lifecycle.data.sources import Column, Contract, Source
from tenure.verdicts import Severity

SHOWN_ROWS = 5


@dataclass(frozen=True)
class Batch:
    """What a file holds.

    Args:
        rows: Rows of the file; 0 when it cannot be read.
        original: The rows as they came, for quarantine; None when the file cannot be read.
        table: The contract's columns in the contract's order and types; cells that are not of
            their type are null. None when columns or types do not fit.
        findings: Breaches of the contract, and repeated keys.
        set_aside: Columns of the contract that `table` does not have: each with the type that was
            found instead, or "" when there is no such column.
        unknown: Columns of the file that the contract does not know.
    """

    rows: int
    original: pa.Table | None
    table: pa.Table | None
    findings: tuple[Finding, ...] = field(default=())
    set_aside: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether the contract holds, so that expectations may be checked."""
        return self.table is not None and not any(f.is_fatal for f in self.findings)


def read_batch(
    path: Path,
    source: Source,
    contract: Contract,
    *,
    required: Collection[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> Batch:
    """Read a file and compare it with the contract; never raises for what the file holds.

    Columns may come in any order and in any width of their type; timestamps must know their zone.

    Args:
        path: The file.
        source: Its format.
        contract: What it should hold.
        required: Columns without which the batch has no sense: all others may be set aside. None:
            the contract must hold to the letter.
        renamed: Old to new name, for columns that may still come under the old one.
    """
    try:
        rows = _rows(path, source)
    except UnreadableFile as error:
        return Batch(0, None, None, (_breach("the file", str(error), f"a {source.format} file"),))
    original = _under_new_names(rows.table, renamed or {})
    return against_contract(original, source, contract, required=required, rows=rows)


def against_contract(
    original: pa.Table,
    source: Source,
    contract: Contract,
    *,
    required: Collection[str] | None = None,
    rows: TextRows | None = None,
) -> Batch:
    """The rows as they came, typed by the contract, with every breach of it."""
    ragged = (*rows.ragged, *rows.headers) if rows else ()
    cells = _emptied(original, ragged)
    if any(column.sensitivity == "personal" for column in contract.columns.values()):
        # nobody knows which cell is the personal one of a row whose cells may have moved
        original = _emptied(cells, rows.misquoted_rows if rows else ())
    findings = list(_broken_columns(original, contract, required))
    columns: dict[str, TypedColumn] = {}
    set_aside: dict[str, str] = {}
    if not findings:
        findings += _broken_rows(rows, source) if rows else ()
        convert = from_text if source.format == "csv" else from_arrow
        for name, column in contract.columns.items():
            if name not in original.column_names:
                set_aside[name] = ""
                continue
            found = cells.column(name)
            typed = convert(found, column.type, source).as_a_whole(found)
            if typed.found is not None and required is not None and name not in required:
                set_aside[name] = typed.found
                continue
            columns[name] = typed
            findings += _broken_cells(name, column, typed, ragged)
    everything = range(original.num_rows)
    if any(not finding.rows for finding in findings):
        whole = tuple(_of_rows(finding, everything) for finding in findings)
        return Batch(original.num_rows, original, None, whole)
    table = pa.table({name: column.values for name, column in columns.items()})
    bad = {row for finding in findings for row in finding.rows}
    findings += _broken_keys(table, contract.key, bad)
    findings += _rounded_cells(contract, columns)
    unknown = tuple(n for n in original.column_names if n not in contract.columns)
    return Batch(original.num_rows, original, table, tuple(findings), set_aside, unknown)


def _under_new_names(table: pa.Table, renamed: Mapping[str, str]) -> pa.Table:
    """Old names become new ones; where both are there, the old one stays a column of its own."""
    found = set(table.column_names)
    new = [n if renamed.get(n, n) in found else renamed[n] for n in table.column_names]
    return table.rename_columns(new)


def _broken_columns(
    table: pa.Table, contract: Contract, required: Collection[str] | None
) -> Iterator[Finding]:
    found = table.column_names
    is_strict = required is None
    for name, times in Counter(found).items():
        if times > 1:
            found_so_often = f"{times} columns of this name"
            yield _breach(_shown(name), found_so_often, "one", columns=(name,))
        if is_strict and name not in contract.columns and not contract.allow_extra_columns:
            stranger = "a column that the contract does not know"
            yield _breach(_shown(name), stranger, "no such column", columns=(name,))
    for name, column in contract.columns.items():
        if name not in found and (required is None or name in required):
            yield _breach(name, "no such column", column.type, columns=(name,))


def _broken_rows(rows: TextRows, source: Source) -> Iterator[Finding]:
    """Rows with another number of cells, or none of their own, and cells that are no text."""
    if rows.ragged:
        counts = sorted({*rows.ragged.values()})
        found = f"{counts[0]:,}…{counts[-1]:,}" if len(counts) > 1 else f"{counts[0]:,}"
        width = f"{rows.table.num_columns:,} cells, as the header"
        ragged = sorted(rows.ragged)
        yield _set_aside("width", None, ragged, _rows_text(ragged, f"{found} cells"), width)
    for name, bad in rows.undecodable.items():
        encoding = source.csv.encoding
        why = _rows_text(bad, f"bytes that are not {encoding} text")
        yield _set_aside("encoding", name, bad, why, f"{encoding} text")
    for name, bad in rows.misquoted.items():
        why = _rows_text(bad, "a quote within a cell that is not doubled")
        allowed = "quotes doubled" + (" or behind a backslash" if source.csv.escape else "")
        yield _set_aside("quote", name, bad, why, allowed)
    if rows.headers:
        why = _rows_text([*rows.headers], "the header once more")
        yield _set_aside("header", None, [*rows.headers], why, "the header as first line only")


def _broken_cells(
    name: str, column: Column, typed: TypedColumn, ragged: Collection[int]
) -> Iterator[Finding]:
    if typed.found is not None:
        breach = _breach(name, typed.found, column.type, columns=(name,))
        yield replace(breach, quote=typed.quote)
        return
    bad = typed.bad_rows
    if bad:
        why = " and ".join(_rows_text(rows, why) for why, rows in typed.bad.items())
        yield _set_aside("type", name, bad, why, column.type)
    if not column.nullable:
        known = {*bad, *ragged}
        nulls = [row for row in positions(pc.is_null(typed.values)) if row not in known]
        if nulls:
            why = _rows_text(nulls, "null")
            yield _set_aside("null", name, nulls, why, f"{column.type}, never null")


def _rounded_cells(contract: Contract, columns: Mapping[str, TypedColumn]) -> Iterator[Finding]:
    """Cells that lost digits on the way into their type: said, and kept."""
    for name, typed in columns.items():
        for why, rows in typed.changed.items():
            yield Finding(
                rule=ROUNDED,
                subject=_shown(name),
                severity=Severity.INFO,
                holds=False,
                observed=_rows_text(rows, why),
                allowed=f"{contract.columns[name].type}, to the last digit",
                columns=(name,),
            )


def _set_aside(
    rule: str, column: str | None, rows: list[int], observed: str, allowed: str
) -> Finding:
    """Rows that break the contract in one column, or as a whole."""
    return Finding(
        rule=rule,
        subject="the row" if column is None else _shown(column),
        severity=Severity.WARNING,
        holds=False,
        observed=observed,
        allowed=allowed,
        rows=rows,
        columns=() if column is None else (column,),
    )


def _broken_keys(table: pa.Table, key: tuple[str, ...], bad: Collection[int]) -> list[Finding]:
    """Rows without a key are set aside; of others with the same key the first sound one stays."""
    if not key:
        return []
    numbered = table.select(list(key)).append_column("_row", pa.array(range(table.num_rows)))
    if bad:
        numbered = numbered.filter(
            pc.invert(
                pc.is_in(numbered.column("_row"), value_set=pa.array(sorted(bad), pa.int64()))
            )
        )
    keyed = numbered.drop_null()
    firsts = keyed.group_by(list(key)).aggregate([("_row", "min")]).column("_row_min")
    later = keyed.filter(pc.invert(pc.is_in(keyed.column("_row"), value_set=firsts)))
    there = pc.is_in(numbered.column("_row"), value_set=keyed.column("_row"))
    missing = numbered.filter(pc.invert(there)).column("_row").to_pylist()
    repeated = later.column("_row").to_pylist()
    found = [_broken_key(table, key, repeated, "a key seen before", "each key once")]
    if missing:
        found.append(_broken_key(table, key, missing, "a null key", "a key, never null"))
    return found


def _broken_key(
    table: pa.Table, key: tuple[str, ...], rows: list[int], why: str, allowed: str
) -> Finding:
    share = len(rows) / max(table.num_rows, 1)
    return Finding(
        rule=KEY,
        subject=" and ".join(key),
        severity=Severity.WARNING,
        holds=not rows,
        observed=f"{len(rows):,} of {table.num_rows:,} rows with {why} ({100 * share:.1f}%)",
        allowed=allowed,
        rows=rows,
        columns=key,
        value=share,
        limit=0.0,
        counts=(len(rows), table.num_rows),
    )


def _rows(path: Path, source: Source) -> TextRows:
    size, limit = path.stat().st_size, source.max_batch_bytes
    if size > limit:
        raise UnreadableFile(f"{size:,} bytes; source.memory_mb allows {limit:,}")
    if source.format == "csv":
        return read_text(path, source.csv, max_bytes=limit)
    return TextRows(read_parquet(path, max_bytes=limit))


def _emptied(table: pa.Table, rows: Collection[int]) -> pa.Table:
    """The table with nulls in these rows."""
    if not rows:
        return table
    kept = np.ones(table.num_rows, bool)
    kept[list(rows)] = False
    mask = pa.array(kept)
    null = pa.scalar(None, pa.string())
    columns = [pc.if_else(mask, column, null) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _breach(subject: str, found: str, expected: str, columns: tuple[str, ...] = ()) -> Finding:
    return Finding(CONTRACT, subject, Severity.CRITICAL, False, found, expected, columns=columns)


def _of_rows(finding: Finding, rows: range) -> Finding:
    """A breach of the whole file is a breach of each of its rows."""
    return replace(finding, holds=False, rows=finding.rows or rows)


def _rows_text(rows: list[int], why: str) -> str:
    listed = ", ".join(f"{row + 1:,}" for row in rows[:SHOWN_ROWS])
    more = f" and {len(rows) - SHOWN_ROWS:,} more" if len(rows) > SHOWN_ROWS else ""
    return f"{why} in {len(rows):,} rows (row {listed}{more})"


def _shown(name: str) -> str:
    return repr(name)[1:-1][:80] or "''"
