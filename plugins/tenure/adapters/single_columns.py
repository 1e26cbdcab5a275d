"""How well each column tells the label alone: learned on the older rows, tried on the newest."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

BINS = 32
"""Quantiles that numbers are cut at."""
_PRIOR = 10.0
"""Rows of the base rate that each bin is given, so that rare values do not tell much."""

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
    from sklearn.metrics import roc_auc_score

    order = np.argsort(times, kind="stable")
    older, newest = np.split(order, [len(order) * 3 // 4])
    if any(len(np.unique(labels[part])) < 2 for part in (older, newest)):
        return {}
    return {
        name: float(roc_auc_score(labels[newest], scores))
        for name, scores in _scores(table, columns, labels, older, newest)
    }


def _scores(
    table: pa.Table,
    columns: Sequence[str],
    labels: NDArray[np.bool_],
    older: Codes,
    newest: Codes,
) -> Iterator[tuple[str, NDArray[np.float64]]]:
    base = labels[older].mean()
    for name in columns:
        codes = _codes(table.column(name), older)
        size = int(codes.max()) + 1
        rows = np.bincount(codes[older], minlength=size)
        trues = np.bincount(codes[older], labels[older], minlength=size)
        rates = (trues + _PRIOR * base) / (rows + _PRIOR)
        yield name, rates[codes[newest]]


def _codes(column: pa.ChunkedArray, older: Codes) -> Codes:
    """The bin of each number, or the number of each other value; null is one of its own."""
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)
        known = numbers[older][~np.isnan(numbers[older])]
        if not len(known):
            return np.isnan(numbers).astype(np.int64)
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1]))
        found = np.searchsorted(edges, numbers, side="right")
        return np.where(np.isnan(numbers), len(edges) + 1, found).astype(np.int64)
    encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
