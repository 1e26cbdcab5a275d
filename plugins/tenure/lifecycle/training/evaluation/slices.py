"""For whom a version is worse: the loss by slice, and the worst slices, found and then confirmed.

A slice is a value of a category, a part of a number between quantiles, a group of a protected
attribute, or a pair of two of these. Whoever searches thousands of slices finds a bad one by luck:
the search sees one half of the rows, and only what the other half says of it is stated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, Appraisal
from tenure.lifecycle.training.evaluation.metrics import Bools, Floats

SHOWN_VALUES = 12
"""Largest values of a feature that have a slice of their own; the others share one."""
PARTS = 4
"""Parts of a number, by quartiles."""
CANDIDATES = 10
"""Slices that the search hands on to be confirmed."""
OTHERS = "other values"
MISSING = "missing"
_SEED = 2013

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class SlicedColumn:
    """A column cut into slices: the slice of each row, shape (n,), and what slices are called."""

    codes: Codes
    names: tuple[str, ...]


def cut_numbers(values: Floats) -> SlicedColumn:
    """Parts between the quartiles; NaN is a part of its own."""
    missing = np.isnan(values)
    known = values[~missing]
    if not len(known):
        return SlicedColumn(np.zeros(len(values), dtype=np.int64), (MISSING,))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, PARTS + 1)[1:-1]))
    codes = np.where(missing, len(edges) + 1, np.searchsorted(edges, values, side="right"))
    shown = [f"{edge:g}" for edge in edges]
    inner = [f"{low} to below {high}" for low, high in pairwise(shown)]
    return SlicedColumn(codes, (f"below {shown[0]}", *inner, f"from {shown[-1]} on", MISSING))


def cut_texts(values: NDArray[np.object_]) -> SlicedColumn:
    """The most frequent values, then all others; None and the empty text are missing."""
    texts = np.array([MISSING if not v else str(v) for v in values], dtype=object)
    found, place, rows = np.unique(texts.astype(str), return_inverse=True, return_counts=True)
    largest = np.lexsort((found, -rows))[:SHOWN_VALUES]
    codes = np.full(len(found), len(largest))
    codes[largest] = np.arange(len(largest))
    return SlicedColumn(codes[place], (*(str(found[i]) for i in largest), OTHERS))


def appraise_slices(
    columns: Mapping[str, SlicedColumn],
    means: Mapping[str, NDArray[Any]],
    loss: Floats,
    *,
    loss_name: str,
    min_rows: int,
) -> Appraisal:
    """Every slice of every column, and the slices whose loss is surely higher than elsewhere.

    Args:
        columns: Features and protected attributes of the holdout.
        means: What is stated of each slice besides its loss, by name: the means of these values
            of each row, shape (n,): `base_rate` of labels, `selection_rate` of decisions.
        loss: Of each row, shape (n,); higher is worse.
        loss_name: What it is: `wrong_label_rate`, `expected_cost`, `absolute_error`.
        min_rows: Rows, in each half, below which a slice is not searched.

    Returns:
        Facts alone. The search orders slices by how surely they are worse than the other rows on
        one half (Welch's z); the best `CANDIDATES` get an interval of their excess loss on the
        other half, at 95% for all of them together (Bonferroni).
    """
    by_column = {
        name: [
            _stated(one.names[code], one.codes == code, {**means, "loss": loss})
            for code in np.unique(one.codes)
        ]
        for name, one in columns.items()
    }
    searched, worst = _worst(columns, loss, min_rows)
    stated = {
        "loss": loss_name,
        "overall": float(loss.mean()) if len(loss) else None,
        "by_column": by_column,
        "searched": searched,
        "min_rows": min_rows,
        "worst": worst,
    }
    return Appraisal(facts={"slices": stated})


def _stated(name: str, inside: Bools, means: Mapping[str, NDArray[Any]]) -> dict[str, object]:
    found = {what: float(values[inside].mean()) for what, values in means.items()}
    return {"value": name, "rows": int(inside.sum()), **found}


def _worst(
    columns: Mapping[str, SlicedColumn], loss: Floats, min_rows: int
) -> tuple[int, list[dict[str, object]]]:
    """(slices that were searched, those that are confirmed to be worse, worst first)."""
    half = np.random.default_rng(_SEED).permutation(len(loss)) < len(loss) // 2
    found = [
        (z, names, codes, code)
        for names, codes in _searched(columns)
        for code, z in _scores(codes[half], loss[half], min_rows)
    ]
    found.sort(key=lambda one: (-round(one[0], 9), len(one[1]), one[1], one[3]))
    # Slices of the very same rows, such as a pair of which one part holds everybody, count once.
    best = list({round(one[0], 9): one for one in reversed(found) if one[0] > 0}.values())[::-1]
    confirmed: list[tuple[float, dict[str, object]]] = []
    for _, names, codes, code in best[:CANDIDATES]:
        inside = (codes == code)[~half]
        if inside.sum() >= min_rows and (~inside).sum() >= min_rows:
            low, excess, high = _excess(inside, loss[~half])
            if low > 0:
                rows = int((codes == code).sum())
                stated: dict[str, object] = {
                    "slice": _slice_name(columns, names, code),
                    "rows": rows,
                    "excess_loss": excess,
                    "interval": [low, high],
                }
                confirmed.append((excess, stated))
    confirmed.sort(key=lambda one: -one[0])
    return len(found), [stated for _, stated in confirmed]


def _searched(columns: Mapping[str, SlicedColumn]) -> Iterator[tuple[tuple[str, ...], Codes]]:
    """Each column, then each pair of columns, as codes of their own."""
    for name, one in columns.items():
        yield (name,), one.codes
    for (first, one), (second, other) in combinations(columns.items(), 2):
        yield (first, second), one.codes * len(other.names) + other.codes


def _scores(codes: Codes, loss: Floats, min_rows: int) -> list[tuple[int, float]]:
    """Welch's z of each slice against all other rows, of slices that are large enough."""
    rows = np.bincount(codes)
    sums, squares = np.bincount(codes, loss), np.bincount(codes, loss**2)
    others = len(codes) - rows
    usable = np.flatnonzero((rows >= max(min_rows, 2)) & (others >= max(min_rows, 2)))
    scores = []
    for code in usable:
        n, m = rows[code], others[code]
        mean, rest = sums[code] / n, (sums.sum() - sums[code]) / m
        spread = _variance(squares[code], mean, n) / n
        spread += _variance(squares.sum() - squares[code], rest, m) / m
        scores.append((int(code), float((mean - rest) / np.sqrt(spread)) if spread > 0 else 0.0))
    return scores


def _variance(squares: float, mean: float, rows: int) -> float:
    return max(0.0, float(squares / rows - mean**2)) * rows / (rows - 1)


def _excess(inside: Bools, loss: Floats) -> tuple[float, float, float]:
    """(low, value, high) of the mean loss inside less that outside."""
    one, other = loss[inside], loss[~inside]
    value = float(one.mean() - other.mean())
    error = np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other))
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * CANDIDATES))
    return value - float(z * error), value, value + float(z * error)


def _slice_name(
    columns: Mapping[str, SlicedColumn], names: tuple[str, ...], code: int
) -> dict[str, str]:
    if len(names) == 1:
        return {names[0]: columns[names[0]].names[code]}
    first, second = names
    one, other = divmod(code, len(columns[second].names))
    return {first: columns[first].names[one], second: columns[second].names[other]}
