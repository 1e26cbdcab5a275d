"""Who is in the rows that were learned from: how many of each group, and how they are labelled.

A group that is rare here is learned badly, and a gap of the labels is what a model learns to
repeat. Both are stated with every audit; neither decides its verdict by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.bias.cells import Group, band, group_name, group_order
from tenure.lifecycle.training.evaluation.gate import CONFIDENCE
from tenure.lifecycle.training.evaluation.metrics import Z, wilson

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class GroupedRows:
    """Rows by the groups of one attribute, or of several crossed.

    Args:
        by: The attributes.
        groups: Values, sorted; a missing one last.
        codes: Which of them each row belongs to, shape (n,).
    """

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    codes: Codes

    @property
    def name(self) -> str:
        """`race`, or `race & sex`."""
        return " & ".join(self.by)


def grouped(
    protected: Mapping[str, NDArray[np.object_]],
    by: Sequence[str],
    edges: Mapping[str, Sequence[float]],
) -> GroupedRows:
    """The rows by one value for each attribute; values of attributes with edges are banded.

    Raises:
        ConfigInvalid: A value of an attribute with edges is no number.
    """
    columns = [_spelled(protected[name], name, edges.get(name)) for name in by]
    rows = list(zip(*columns, strict=True))
    groups = sorted(set(rows), key=group_order)
    place = {group: n for n, group in enumerate(groups)}
    codes = np.fromiter((place[row] for row in rows), dtype=np.int64, count=len(rows))
    return GroupedRows(tuple(by), tuple(groups), codes)


def _spelled(
    values: NDArray[np.object_], name: str, edges: Sequence[float] | None
) -> list[str | None]:
    if edges is None:
        return list(values)
    bands = {value: band(name, value, edges) for value in set(values)}
    return [bands[value] for value in values]


def views_of_rows(
    protected: Mapping[str, NDArray[np.object_]],
    attributes: Sequence[str],
    edges: Mapping[str, Sequence[float]],
    *,
    intersections: bool,
) -> Iterator[GroupedRows]:
    """One an attribute, then each crossing of two or more."""
    for size in range(1, (len(attributes) if intersections else 1) + 1):
        for by in combinations(attributes, size):
            yield grouped(protected, by, edges)


def describe(
    views: Sequence[GroupedRows], labels: NDArray[Any], *, min_rows: int
) -> dict[str, object]:
    """Representation and labels of every group, as JSON values.

    Args:
        views: Of the rows that were learned from; n of them.
        labels: Booleans, numbers, or classes; shape (n,).
        min_rows: Rows below which a group is listed in `too_few`.

    Returns:
        `rows`; `groups`, each with `by`, `value`, `n`, `share` (0…1) and what its labels are:
        `label_rate` with `interval` (Wilson), `label_mean` with `interval` (normal), or
        `label_rates` by class; `label_gaps` of each view among the groups that are not too small:
        `lowest`, `highest`, `difference`, `ratio` (null where the highest is not above 0);
        `too_few`, names of groups.
    """
    found = [(view, list(_groups(view, labels))) for view in views]
    return {
        "rows": len(labels),
        "min_group_rows": min_rows,
        "groups": [fact for _, facts in found for fact in facts],
        "label_gaps": [
            gap for view, facts in found if (gap := _gap(view, facts, min_rows)) is not None
        ],
        "too_few": [
            f"{view.name}={group_name(group)}"
            for view, facts in found
            for group, fact in zip(view.groups, facts, strict=True)
            if fact["n"] < min_rows
        ],
    }


def _groups(view: GroupedRows, labels: NDArray[Any]) -> Iterator[dict[str, Any]]:
    size = len(view.groups)
    counts = np.bincount(view.codes, minlength=size)
    stated = _labels(view.codes, labels, counts)
    for n, group in enumerate(view.groups):
        yield {
            "by": list(view.by),
            "value": list(group),
            "n": int(counts[n]),
            "share": float(counts[n] / len(labels)),
            **stated[n],
        }


def _labels(codes: Codes, labels: NDArray[Any], counts: Codes) -> list[dict[str, Any]]:
    size = len(counts)
    if labels.dtype == np.bool_:
        positives = np.bincount(codes, weights=labels, minlength=size).astype(int)
        return [
            {
                "label_rate": float(part / whole),
                "interval": list(wilson(int(part), int(whole), CONFIDENCE)),
            }
            for part, whole in zip(positives, counts, strict=True)
        ]
    if np.issubdtype(labels.dtype, np.number):
        return [_mean(labels[codes == n]) for n in range(size)]
    classes, numbers = np.unique(labels.astype(str), return_inverse=True)
    table = np.bincount(codes * len(classes) + numbers, minlength=size * len(classes))
    shares = table.reshape(size, len(classes)) / counts[:, None]
    return [
        {"label_rates": dict(zip(classes.tolist(), row, strict=True))} for row in shares.tolist()
    ]


def _mean(values: NDArray[np.float64]) -> dict[str, Any]:
    mean, n = float(values.mean()), len(values)
    half = float(Z * values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return {
        "label_mean": mean,
        "interval": None if half is None else [mean - half, mean + half],
    }


def _gap(
    view: GroupedRows, facts: Sequence[Mapping[str, Any]], min_rows: int
) -> dict[str, object] | None:
    """Between the groups whose labels are lowest and highest; None where fewer than two count."""
    key = next((k for k in ("label_rate", "label_mean") if facts and k in facts[0]), None)
    counted = [one for one in facts if one["n"] >= min_rows]
    if key is None or len(counted) < 2:
        return None
    low, high = (pick(counted, key=lambda one: one[key]) for pick in (min, max))
    return {
        "by": list(view.by),
        "lowest": low["value"],
        "highest": high["value"],
        "difference": high[key] - low[key],
        "ratio": low[key] / high[key] if key == "label_rate" and high[key] > 0 else None,
    }
