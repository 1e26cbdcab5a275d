"""Columns of a table of which one tells the other: duplicates, and what gives a flag away.

Bounded: two passes over each column, and comparisons of pairs on a sample only.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tenure.lifecycle.data.profiling.profile import BatchProfile, ColumnProfile
from tenure.lifecycle.data.profiling.remarks import ENOUGH_VALUES, LikePair

SAMPLE_ROWS = 2_000
MAX_FLAGS = 20
"""Columns of two values that are tried as what another one gives away."""
NEARLY = 0.9995
"""Correlation from which on two columns of numbers are nearly the same."""

Codes = NDArray[np.int64]


def like_pairs(table: pa.Table, profile: BatchProfile) -> list[LikePair]:
    """Pairs of columns of which one tells the other, the surest first; null is a value."""
    if table.num_rows < ENOUGH_VALUES:
        return []
    told = {c.name: c for c in profile.columns if c.distinct + (c.nulls > 0) > 1}
    same = [*_same(table, told)]
    known = {frozenset((p.first, p.second)) for p in same}
    rows = np.linspace(0, table.num_rows - 1, min(SAMPLE_ROWS, table.num_rows)).astype(np.int64)
    sample = table.take(pa.array(np.unique(rows)))
    others = [*_nearly(sample, told), *_deciding(sample, told)]
    return [*same, *(p for p in others if frozenset((p.first, p.second)) not in known)]


def _same(table: pa.Table, columns: Mapping[str, ColumnProfile]) -> Iterator[LikePair]:
    """Columns that are equal, or equal under other names of their values, in all rows."""
    by_order: dict[bytes, str] = {}
    for name, profile in columns.items():
        codes, _ = _codes(table.column(name))
        first = by_order.setdefault(hashlib.sha256(codes.tobytes()).digest(), name)
        is_equal = first != name and table.column(first).equals(table.column(name))
        if is_equal:
            yield LikePair("equal", first, name)
        elif first != name and profile.distinct < table.num_rows:
            yield LikePair("one to one", first, name)


def _codes(column: pa.ChunkedArray) -> tuple[Codes, int]:
    """Each value by the order in which it came first, and how many there are."""
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, len(encoded.dictionary)


def _nearly(sample: pa.Table, columns: Mapping[str, ColumnProfile]) -> Iterator[LikePair]:
    """Numbers that are almost a line of each other; scaled, so that no square is infinite."""
    names = [n for n, c in columns.items() if c.type in {"integer", "number"} and not _is_few(c)]
    found = [_floats(sample.column(n)) for n in names]
    scaled = [
        (n, v / (np.abs(v).max(initial=0.0) or 1.0)) for n, v in zip(names, found, strict=True)
    ]
    whole = [(n, v) for n, v in scaled if not np.isnan(v).any() and v.std()]
    if len(whole) < 2:
        return
    lines = np.corrcoef(np.array([v for _, v in whole]))
    for i, j in zip(*np.nonzero(np.triu(np.abs(lines) >= NEARLY, 1)), strict=True):
        yield LikePair("nearly equal", whole[i][0], whole[j][0], f"correlation {lines[i, j]:.4f}")


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)


def _is_few(column: ColumnProfile) -> bool:
    return column.distinct <= 2


def _deciding(sample: pa.Table, columns: Mapping[str, ColumnProfile]) -> Iterator[LikePair]:
    """What tells a column of two values: another one's values, its nulls, or a threshold."""
    flags = [n for n, c in columns.items() if c.distinct == 2 and not c.nulls][:MAX_FLAGS]
    for flag in flags:
        codes, _ = _codes(sample.column(flag))
        is_one = codes == 1
        if min(is_one.sum(), (~is_one).sum()) < ENOUGH_VALUES // 2:
            continue
        for name, column in columns.items():
            if name != flag and (how := _how(sample.column(name), column, is_one)):
                yield LikePair("decides", name, flag, how)


def _how(values: pa.ChunkedArray, profile: ColumnProfile, is_one: NDArray[np.bool_]) -> str:
    """How the column tells the flag, or nothing."""
    is_null = pc.is_null(values).to_numpy()
    if profile.nulls and ((is_null == is_one).all() or (is_null == ~is_one).all()):
        return "by being there or not"
    if profile.type in {"integer", "number"} and not profile.nulls and not _is_few(profile):
        numbers = _floats(values)
        ones, others = numbers[is_one], numbers[~is_one]
        if ones.min() > others.max() or ones.max() < others.min():
            return "by a threshold"
    if profile.type in {"string", "boolean"} and 2 < profile.distinct <= len(values) // 10:
        codes, _ = _codes(values)
        shares = np.bincount(codes, is_one) / np.maximum(np.bincount(codes), 1)
        if np.isin(shares, (0.0, 1.0)).all():
            return "each of its values goes with one"
    return ""
