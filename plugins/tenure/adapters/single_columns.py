"""What each column tells by itself: the label, learned on older rows and tried on newer ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.leaks import (
    GIVEN_AWAY,
    LAGS,
    MIN_NAMED,
    MOVES_WITH_ORDER,
    NAMES_ROWS,
    ColumnScan,
    ShiftedLabel,
    area_of_codes,
    area_of_rates,
    rank_correlation,
)

BINS = 32
"""Quantiles that numbers are cut at; a value that many rows share is a bin of its own."""
MAX_SHIFTED_ROWS = 200_000
"""Newest (or last) rows that are looked at for a label that was shifted."""

Codes = NDArray[np.int64]


def alone(
    table: pa.Table, columns: Sequence[str], labels: NDArray[np.bool_], times: NDArray[np.int64]
) -> dict[str, float]:
    """Area under the ROC curve of the label's rate by a column's value, on the newest quarter.

    Args:
        table: The rows; n of them.
        columns: To try, texts, flags or numbers; null is a value.
        labels: Shape (n,).
        times: Shape (n,), in any unit.

    Returns:
        Column to area, 0…1; empty when either part of the rows has one class only.
    """
    order = np.argsort(times, kind="stable")
    older, _ = np.split(order, [len(order) * 3 // 4])
    found = {}
    for name in columns:
        area = area_of_codes(_codes(table.column(name), older)[order], labels[order])
        if area is not None:
            found[name] = area
    return found


def shifted(
    table: pa.Table, columns: Sequence[str], labels: NDArray[np.bool_], times: NDArray[np.int64]
) -> dict[str, ShiftedLabel]:
    """Columns that give away the label of another row, some rows before or after their own.

    Args:
        table: The rows in the order of their files; n of them.
        columns: To try.
        labels: Shape (n,).
        times: Shape (n,), in any unit.

    Returns:
        Only columns that reach `GIVEN_AWAY`, each with the lag that it reaches most by.
    """
    newest = np.argsort(times, kind="stable")
    orders = {"time": newest[-MAX_SHIFTED_ROWS:]}
    if not (newest == np.arange(len(newest))).all():
        orders["file"] = np.arange(len(newest))[-MAX_SHIFTED_ROWS:]
    found: dict[str, ShiftedLabel] = {}
    for name in columns:
        tried = list(_tried(table.column(name), orders, labels))
        best = max(tried, key=lambda one: one.roc_auc, default=None)
        if best is not None and best.roc_auc >= GIVEN_AWAY:
            found[name] = best
    return found


def _tried(
    column: pa.ChunkedArray, orders: Mapping[str, Codes], labels: NDArray[np.bool_]
) -> Iterator[ShiftedLabel]:
    for kind, order in orders.items():
        codes, sorted_labels = _codes(column, order)[order], labels[order]
        for lag in LAGS:
            mine, others = codes[max(lag, 0) :], sorted_labels[max(-lag, 0) :]
            rows = min(len(mine), len(others))
            area = area_of_codes(mine[:rows], others[:rows])
            if area is not None:
                yield ShiftedLabel(area, lag, kind)


def scan(
    frame: Any,
    labels: NDArray[np.bool_],
    times: NDArray[np.int64],
    *,
    before: Codes,
    holdout: Codes,
) -> ColumnScan:
    """One pass over the features of a model's rows.

    Args:
        frame: Numeric (float64) and categorical (text or None) columns, in the order of the files.
        labels: Shape (n,).
        times: Shape (n,), in any unit.
        before: Numbers of the rows that were trained or calibrated on.
        holdout: Numbers of the rows that judge.
    """
    columns = list(frame.columns)
    if not columns:
        return ColumnScan(rows=len(labels), alone={}, holdout=len(holdout))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return ColumnScan(
        rows=len(labels),
        alone=alone(table, columns, labels, times),
        shifted=shifted(table, columns, labels, times),
        with_order=_with_order(frame, labels, times),
        named=_named(frame),
        duplicates=_duplicates(frame, before, holdout),
        holdout=len(holdout),
    )


def _with_order(
    frame: Any, labels: NDArray[np.bool_], times: NDArray[np.int64]
) -> dict[str, float]:
    """Numeric features that follow an order of the rows which itself gives the label away."""
    found: dict[str, float] = {}
    for order in (np.argsort(times, kind="stable"), np.arange(len(times))):
        place = np.arange(len(order)) * 2 * BINS // max(len(order), 1)
        area = area_of_rates(place, labels[order])
        if area is None or area < GIVEN_AWAY:
            continue
        for name in frame.select_dtypes("float64"):
            rho = rank_correlation(frame[name].to_numpy(), order)
            if abs(rho) >= MOVES_WITH_ORDER:
                found.setdefault(str(name), rho)
    return found


def _named(frame: Any) -> dict[str, int]:
    """Features that name rows, and their different values."""
    found = {}
    for name, column in frame.items():
        there = column.dropna()
        distinct = int(there.nunique())
        if column.dtype == np.float64:
            names = distinct == len(there) >= MIN_NAMED and bool((there % 1 == 0).all())
        else:
            names = len(there) >= MIN_NAMED and distinct > NAMES_ROWS * len(there)
        if names:
            found[str(name)] = distinct
    return found


def _duplicates(frame: Any, before: Codes, holdout: Codes) -> int:
    import pandas as pd

    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return int(np.isin(hashes[holdout], hashes[before]).sum())


def _codes(column: pa.ChunkedArray, older: Codes) -> Codes:
    """The bin of each number, or the number of each other value; null is one of its own."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
        known = numbers[older][~np.isnan(numbers[older])]
        if not len(known):
            return np.isnan(numbers).astype(np.int64)
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
        below, at = (np.searchsorted(edges, numbers, side=side) for side in ("left", "right"))  # type: ignore[call-overload]
        return np.where(np.isnan(numbers), 2 * len(edges) + 1, below + at).astype(np.int64)
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
