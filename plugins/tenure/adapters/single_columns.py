"""What each column tells by itself: the label, learned on older rows and tried on newer ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tenure.lifecycle.serving.date_parts import with_day_numbers
from tenure.lifecycle.training.evaluation.leaks import (
    GIVEN_AWAY,
    LAGS,
    MIN_NAMED,
    MOVES_WITH_ORDER,
    NAMES_ROWS,
    ColumnScan,
    ShiftedLabel,
    area_of_rates,
    explained_by_ranks,
    rank_correlation,
    ranked,
    told_by_codes,
)
from tenure.lifecycle.training.evaluation.metrics import mean_ranks
from tenure.lifecycle.training.task_draft import NumberScan

BINS = 32
"""Quantiles that numbers are cut at; a value that many rows share is a bin of its own."""
_SEED = 7
MOST_SCANNED = 10
"""Classes that are each told from the rest, the most frequent first."""
MAX_SHIFTED_ROWS = 20_000
"""Newest (or last) rows that are looked at for a label that was shifted."""

Codes = NDArray[np.int64]


def alone(
    table: pa.Table,
    columns: Sequence[str],
    labels: NDArray[Any],
    times: NDArray[np.int64] | None,
) -> dict[str, float]:
    """How well the label's mean by a column's value tells it, on the newest quarter.

    Args:
        table: The rows; n of them.
        columns: To try, texts, flags or numbers; null is a value.
        labels: Booleans (told by the area under the ROC curve), or numbers (by the explained share
            of the variance of their ranks); shape (n,).
        times: Shape (n,), in any unit; None without time: a quarter is drawn by lot.

    Returns:
        Column to what it reaches, 0…1; empty when either part of the rows has one class only.
    """
    order = _order(labels, times)
    older, _ = np.split(order, [len(order) * 3 // 4])
    sorted_labels = ranked(labels)[order]
    found = {}
    for name in columns:
        column = table.column(name)
        reached = told_by_codes(_codes(column, older)[order], sorted_labels)
        if reached is not None:
            numbers = None if labels.dtype == np.bool_ else _ranks(column, order)
            found[name] = max(reached, _by_ranks(numbers, sorted_labels))
    return found


def _order(labels: NDArray[Any], times: NDArray[np.int64] | None) -> Codes:
    """By time; without time, or where a part by time has one class only, by lot."""
    lots = np.random.default_rng(_SEED).permutation(len(labels))
    if times is None:
        return lots
    order = np.argsort(times, kind="stable")
    if labels.dtype != np.bool_:
        return order
    older, newer = np.split(labels[order], [len(order) * 3 // 4])
    is_told = all(part.any() and not part.all() for part in (older, newer))
    return order if is_told else lots


def errors_alone(
    table: pa.Table,
    columns: Sequence[str],
    labels: NDArray[np.float64],
    times: NDArray[np.int64] | None,
) -> NumberScan:
    """How far off each column alone is; learned and tried as in `alone`, without time by lot.

    A value is worth the median of the labels that it had.
    """
    order = _order(labels, times)
    first = len(order) * 3 // 4
    older, newer = order[:first], order[first:]
    base = float(np.median(labels[older]))
    off = np.abs(labels[newer] - base)
    errors = {}
    for name in columns:
        codes = _codes(table.column(name), older)
        worth = _worth(codes[older], labels[older], base, int(codes.max(initial=0)))
        errors[name] = float(np.abs(labels[newer] - worth[codes[newer]]).mean())
    return NumberScan(float(off.mean()), errors, float(off.std()), len(newer))


def _worth(
    codes: Codes, values: NDArray[np.float64], unknown: float, highest: int
) -> NDArray[np.float64]:
    """The median of the values of each code; `unknown` for codes that have none."""
    found = np.full(highest + 1, unknown)
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    for code, part in zip(present, np.split(values[order], starts[1:]), strict=True):
        found[code] = np.median(part)
    return found


def _ranks(column: pa.ChunkedArray, order: Codes) -> NDArray[np.float64] | None:
    """Ranks of a column of numbers, null as NaN; None of another column."""
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    numbers = column.cast(pa.float64(), safe=False).to_numpy().astype(np.float64)[order]
    there = ~np.isnan(numbers)
    numbers[there] = mean_ranks(numbers[there])
    return numbers


def _by_ranks(values: NDArray[np.float64] | None, labels: NDArray[Any]) -> float:
    return 0.0 if values is None else explained_by_ranks(values, labels)


def shifted(
    table: pa.Table,
    columns: Sequence[str],
    labels: NDArray[Any],
    times: NDArray[np.int64] | None,
) -> dict[str, ShiftedLabel]:
    """Columns that give away the label of another row, some rows before or after their own.

    Args:
        table: The rows in the order of their files; n of them.
        columns: To try.
        labels: As in `alone`, shape (n,).
        times: Shape (n,), in any unit; None without time.

    Returns:
        Only columns that reach `GIVEN_AWAY`, each with the lag that it reaches most by.
    """
    places = np.arange(len(labels))
    newest = places if times is None else np.argsort(times, kind="stable")
    orders = {"file" if times is None else "time": newest[-MAX_SHIFTED_ROWS:]}
    if not (newest == places).all():
        orders["file"] = places[-MAX_SHIFTED_ROWS:]
    found: dict[str, ShiftedLabel] = {}
    compared = ranked(labels)
    for name in columns:
        tried = list(_tried(table.column(name), orders, compared))
        best = max(tried, key=lambda one: one.reached, default=None)
        if best is not None and best.reached >= GIVEN_AWAY:
            found[name] = best
    return found


def _tried(
    column: pa.ChunkedArray, orders: Mapping[str, Codes], labels: NDArray[Any]
) -> Iterator[ShiftedLabel]:
    for kind, order in orders.items():
        taken, every = column.take(pa.array(order)), np.arange(len(order))
        codes, sorted_labels = _codes(taken, every), labels[order]
        numbers = None if labels.dtype == np.bool_ else _ranks(taken, every)
        for lag in LAGS:
            mine, others = codes[max(lag, 0) :], sorted_labels[max(-lag, 0) :]
            rows = min(len(mine), len(others))
            reached = told_by_codes(mine[:rows], others[:rows])
            if reached is not None:
                values = None if numbers is None else numbers[max(lag, 0) :][:rows]
                yield ShiftedLabel(max(reached, _by_ranks(values, others[:rows])), lag, kind)


def scan(
    frame: Any,
    labels: NDArray[Any],
    times: NDArray[np.int64] | None,
    *,
    before: Codes,
    holdout: Codes,
    dates: Sequence[str] = (),
) -> ColumnScan:
    """One pass over the features of a model's rows.

    Args:
        frame: Numeric (float64) and categorical (text or None) columns, in the order of the files.
        labels: As in `alone`, shape (n,); or classes (texts), of which the most frequent are each
            told from the rest.
        times: Shape (n,), in any unit; None without time.
        before: Numbers of the rows that were trained or calibrated on.
        holdout: Numbers of the rows that judge.
        dates: Columns with moments as texts: they are looked at as numbers of days.
    """
    frame = with_day_numbers(frame, dates)
    columns = list(frame.columns)
    if not columns:
        return ColumnScan(rows=len(labels), alone={}, holdout=len(holdout))
    table = pa.Table.from_pandas(frame, preserve_index=False)
    order = np.arange(len(labels)) if times is None else times
    several = of_classes(table, columns, labels, times) if labels.dtype.kind == "U" else None
    follows: dict[str, float] = {}
    for each in _each_label(labels):
        follows |= _with_order(frame, each, order) if each.dtype == np.bool_ else {}
    return ColumnScan(
        rows=len(labels),
        alone=several.told if several else alone(table, columns, labels, times),
        shifted=several.shifted if several else shifted(table, columns, labels, times),
        of_one=several.of_one if several else {},
        with_order=follows,
        named=_named(frame.drop(columns=list(dates))),
        duplicates=_duplicates(frame, before, holdout),
        holdout=len(holdout),
        measure="mean_roc_auc" if several else "r2" if labels.dtype.kind == "f" else "roc_auc",
    )


@dataclass(frozen=True)
class ClassesTold:
    """How well columns tell several classes, each of the most frequent ones from the rest.

    Args:
        told: The mean area under the ROC curve over the classes, by column.
        of_one: Columns that reach `GIVEN_AWAY` for one class: that which they tell best, its area.
        shifted: Columns that tell a class of another row, and not that of their own.
    """

    told: dict[str, float]
    of_one: dict[str, tuple[str, float]]
    shifted: dict[str, ShiftedLabel]


def of_classes(
    table: pa.Table,
    columns: Sequence[str],
    labels: NDArray[Any],
    times: NDArray[np.int64] | None,
) -> ClassesTold:
    """As `alone` and `shifted` find for each class; labels are texts, shape (n,)."""
    found: dict[str, dict[str, float]] = {}
    slipped: dict[str, ShiftedLabel] = {}
    for each, name in zip(_each_label(labels), _most_frequent(labels), strict=True):
        areas = alone(table, columns, each, times)
        for column, area in areas.items():
            found.setdefault(column, {})[name] = area
        for column, one in shifted(table, columns, each, times).items():
            told = areas.get(column, 0.0) >= GIVEN_AWAY
            if not told and (column not in slipped or one.reached > slipped[column].reached):
                slipped[column] = one
    best = {column: max(by.items(), key=lambda item: item[1]) for column, by in found.items()}
    return ClassesTold(
        told={column: float(np.mean([*by.values()])) for column, by in found.items()},
        of_one={column: one for column, one in best.items() if one[1] >= GIVEN_AWAY},
        shifted=slipped,
    )


def _each_label(labels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The labels; of several classes each of the most frequent ones against the rest."""
    if labels.dtype.kind != "U":
        yield labels
        return
    for name in _most_frequent(labels):
        yield labels == name


def _most_frequent(labels: NDArray[Any]) -> list[str]:
    names, rows = np.unique(labels, return_counts=True)
    return [str(name) for name in names[np.argsort(-rows, kind="stable")][:MOST_SCANNED]]


def coded(frame: Any) -> dict[str, Codes]:
    """Each feature as numbers from 0 on: of its bin, or of its value; null is one of its own.

    Args:
        frame: Numeric (float64) and categorical (text or None) columns.
    """
    if not len(frame.columns):
        return {}
    table = pa.Table.from_pandas(frame, preserve_index=False)
    every = np.arange(len(frame))
    return {str(name): _codes(table.column(str(name)), every) for name in frame.columns}


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
