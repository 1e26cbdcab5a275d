"""A table cut into the batches that it may have come from."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.lifecycle.data.profiling import (
    PERIODS,
    BatchCut,
    BatchKind,
    BatchProfile,
    number_of_slices,
)
from tenure.lifecycle.data.quality import Finding

_MOST_PERIODS = 1_200
_FEW_NULLS = 0.01
_MONTH = r"(19|20)[0-9]{2}-?(0[1-9]|1[0-2])"

Slices = Mapping[str, np.ndarray]
"""Name of a batch to the positions of its rows, in the order of the table."""


def find_cut(
    table: pa.Table,
    profile: BatchProfile,
    *,
    hidden: Collection[str],
    time: str | None,
    kinds: Sequence[BatchKind],
) -> BatchCut:
    """How a file is cut: by the first kind of period of which it holds several, else into slices.

    Args:
        table: The rows, typed.
        profile: Of its columns.
        hidden: Columns whose times are those of people.
        time: The column of times; None takes the one with the fewest nulls that will do, or one
            that names months.
        kinds: Periods, the preferred one first.
    """
    moments = [c for c in profile.columns if c.type == "timestamp" and c.name not in hidden]
    dated = [c.name for c in sorted(moments, key=lambda c: c.nulls) if c.null_share < _FEW_NULLS]
    for column in (time,) if time else dated:
        for kind in kinds:
            if 1 < len(slices_of(table, BatchCut(kind, column))) <= _MOST_PERIODS:
                return BatchCut(kind, column)
    return next((BatchCut("month", c) for c in _months(table, profile)), BatchCut("slice"))


def _months(table: pa.Table, profile: BatchProfile) -> Iterator[str]:
    """Columns that hold nothing but the names of months, as 2024-03 or 202403."""
    for column in profile.columns:
        if column.type in {"string", "integer"} and 1 < column.distinct <= _MOST_PERIODS:
            values = table.column(column.name).drop_null().unique().to_pylist()
            if column.null_share < _FEW_NULLS and all(re.fullmatch(_MONTH, str(v)) for v in values):
                yield column.name


def slices_of(table: pa.Table, cut: BatchCut) -> Slices:
    """The rows of each batch, in the order of the batches; empty where the table is too small."""
    if cut.column is None:
        number = number_of_slices(table.num_rows)
        return equal(table.num_rows, number) if number else {}
    column = table.column(cut.column)
    if pa.types.is_timestamp(column.type):
        return periods(column, PERIODS[cut.kind])
    return same(column)


def periods(times: pa.ChunkedArray, form: str) -> Slices:
    """The rows of each period (`%Y-%m`), oldest first; rows without a time are in none."""
    names = pc.strftime(times.cast(pa.timestamp("us", "UTC")), format=form)
    return same(names)


def same(values: pa.ChunkedArray) -> Slices:
    """The rows of each value, in the order of the values; nulls are in none."""
    encoded = values.combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    order = order[np.searchsorted(codes[order], 0) :]
    starts = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    found = {
        str(name): order[starts[n] : starts[n + 1]]
        for n, name in enumerate(encoded.dictionary.to_pylist())
    }
    return dict(sorted(found.items()))


def equal(rows: int, number: int) -> Slices:
    """So many slices of the table, one after the other, each as long as the others or one less."""
    parts = np.array_split(np.arange(rows), number)
    return {f"rows {part[0] + 1:,}…{part[-1] + 1:,}": part for part in parts if len(part)}


def of_part(finding: Finding, part: np.ndarray) -> Finding:
    """A finding about rows of a table, as one about those rows of it that a part holds."""
    rows = np.asarray(finding.rows, np.int64)
    places = np.searchsorted(part, rows)
    is_inside = (places < len(part)) & (part[np.minimum(places, len(part) - 1)] == rows)
    inside = places[is_inside].tolist()
    return replace(finding, rows=inside, holds=not inside)
