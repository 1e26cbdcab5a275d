"""Columns in numbers: one pass over each column, one column in memory at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.adapters.arrow_tables.cells import ARROW
from tenure.adapters.arrow_tables.reading import Batch
from tenure.lifecycle.data.profiling import FORMS, MAX_TOP, BatchProfile, ColumnProfile
from tenure.lifecycle.data.sources import ColumnType

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def profile_table(
    batch: str, table: pa.Table, types: Mapping[str, ColumnType] | None = None
) -> BatchProfile:
    """The profile of a typed table.

    Args:
        batch: Its name.
        table: Typed by the contract, or rows of snapshots.
        types: The columns to look at, in the order of the answer; None takes all, as they are.
    """
    wanted = types or {field.name: _kind(field.type) for field in table.schema}
    columns = ((name, kind, table.column(name)) for name, kind in wanted.items())
    return _profile(batch, table.num_rows, columns)


def profile_file(
    batch: str, path: Path, types: Mapping[str, ColumnType] | None = None
) -> BatchProfile:
    """The profile of a snapshot; columns that it does not have are left out.

    Args:
        batch: Its name.
        path: Its file.
        types: The columns to look at; None takes all, as the file has them.
    """
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        known = {field.name: _kind(field.type) for field in schema}
        wanted = known if types is None else {n: k for n, k in types.items() if n in known}
        columns = (
            (name, kind, file.read(columns=[name]).column(name)) for name, kind in wanted.items()
        )
        return _profile(batch, file.metadata.num_rows, columns)


def _kind(found: pa.DataType) -> ColumnType:
    """The contract's word for a type of a snapshot."""
    return next(kind for kind, arrow in ARROW.items() if arrow == found)


def _profile(
    batch: str, rows: int, columns: Iterable[tuple[str, ColumnType, pa.ChunkedArray]]
) -> BatchProfile:
    return BatchProfile(batch, rows, tuple(_column(*column) for column in columns))


def _column(name: str, kind: ColumnType, values: pa.ChunkedArray) -> ColumnProfile:
    counted = pc.value_counts(values.drop_null())
    different, counts = counted.field("values"), counted.field("counts")
    return ColumnProfile(
        name=name,
        type=kind,
        rows=len(values),
        nulls=values.null_count,
        distinct=len(counts),
        **_MEASURES[kind](values, different, counts),
    )


def _of_numbers(values: pa.ChunkedArray, different: pa.Array, counts: pa.Array) -> dict[str, Any]:
    if not len(counts):
        return {}
    bounds = pc.min_max(values).as_py()
    found = pc.quantile(values, q=list(_QUANTILES)).to_pylist()
    return {
        "low": bounds["min"],
        "high": bounds["max"],
        "mean": pc.mean(values).as_py(),
        "stdev": pc.stddev(values).as_py(),
        "quantiles": dict(zip(_QUANTILES, found, strict=True)),
        "top": tuple(_top(different, counts)) if len(counts) <= MAX_TOP else (),
    }


def _of_times(values: pa.ChunkedArray, _: pa.Array, counts: pa.Array) -> dict[str, Any]:
    if not len(counts):
        return {}
    bounds = pc.min_max(values).as_py()
    return {"low": bounds["min"], "high": bounds["max"]}


def _of_texts(_: pa.ChunkedArray, different: pa.Array, counts: pa.Array) -> dict[str, Any]:
    if not len(counts):
        return {}
    lengths = pc.min_max(pc.utf8_length(different)).as_py()
    return {
        "top": tuple(_top(different, counts)),
        "lengths": (lengths["min"], lengths["max"]),
        "form": next((form for form in FORMS if _has_form(different, form)), None),
    }


def _of_flags(_: pa.ChunkedArray, different: pa.Array, counts: pa.Array) -> dict[str, Any]:
    return {"top": tuple(_top(different, counts))}


_MEASURES = {
    "integer": _of_numbers,
    "number": _of_numbers,
    "timestamp": _of_times,
    "string": _of_texts,
    "boolean": _of_flags,
}


def _top(different: pa.Array, counts: pa.Array) -> Iterator[tuple[Any, int]]:
    """The most frequent values, equal counts by their order."""
    order = pc.array_sort_indices(counts, order="descending").slice(0, MAX_TOP)
    pairs = zip(different.take(order).to_pylist(), counts.take(order).to_pylist(), strict=True)
    return iter(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _has_form(different: pa.Array, form: str) -> bool:
    matches = pc.match_substring_regex(different, f"^{FORMS[form]}+$")
    return bool(pc.all(matches).as_py())


def count_distinct(table: pa.Table, columns: Sequence[str]) -> int:
    """How many different combinations the columns hold; null is a value."""
    return int(table.select(list(columns)).group_by(list(columns)).aggregate([]).num_rows)


def repeated_share(table: pa.Table, columns: Sequence[str]) -> float:
    """Share of the rows, 0…1, whose combination is there more than once; null is a value."""
    counted = table.select(list(columns)).group_by(list(columns)).aggregate([([], "count_all")])
    counts = counted.column("count_all")
    repeated = pc.sum(counts.filter(pc.greater(counts, 1))).as_py() or 0
    return float(repeated / table.num_rows) if table.num_rows else 0.0


def sound_rows(batch: Batch) -> pa.Table:
    """The typed rows that break no rule of the contract."""
    assert batch.table is not None
    bad = {row for finding in batch.findings for row in finding.rows}
    good = [row for row in range(batch.rows) if row not in bad]
    return batch.table.take(pa.array(good, pa.int64())) if bad else batch.table
