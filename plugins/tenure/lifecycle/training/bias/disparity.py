"""How differently groups are treated: counts of confusion cells into rates, gaps and intervals.

*Selection rate* is the share of rows that are decided positive, *true positive rate* that share
among positive labels, *false positive rate* that share among negative labels. The *difference* of
an attribute is its highest group's rate minus its lowest's, the *ratio* lowest over highest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS = ("tp", "fp", "fn", "tn")

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]

_NUMERATOR = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])
_BASE = np.array([[1, 1, 1, 1], [1, 0, 1, 0], [0, 1, 0, 1]])


@dataclass(frozen=True)
class Cells:
    """Sufficient statistics of an audit.

    Args:
        attributes: Names of the protected attributes.
        groups: One tuple of values (one an attribute) for each combination that occurs.
        counts: Rows of each combination as (tp, fp, fn, tn), shape (groups, 4).
    """

    attributes: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    counts: Counts

    @classmethod
    def of(
        cls,
        attributes: Sequence[str],
        counted: Mapping[tuple[str, ...], tuple[int, int, int, int]],
    ) -> "Cells":
        """Cells from what an engine counted, in the order of the groups' names."""
        groups = tuple(sorted(counted))
        counts = np.array([counted[g] for g in groups], dtype=np.int64).reshape(len(groups), 4)
        return cls(tuple(attributes), groups, counts)


@dataclass(frozen=True)
class GroupView:
    """The groups of one attribute, or of all attributes crossed.

    Args:
        name: `carrier`, or `carrier & origin`.
        groups: Names, sorted.
        counts: Shape (groups, 4).
        members: Which combinations make up each group, shape (groups, combinations), 0 or 1.
    """

    name: str
    groups: tuple[str, ...]
    counts: Counts
    members: Counts


@dataclass(frozen=True)
class Gap:
    """Distance between groups of a view in one rate; None when fewer than two are judged."""

    difference: float | None
    difference_interval: tuple[float, float] | None
    ratio: float | None
    ratio_interval: tuple[float, float] | None


def bases(counts: Counts) -> Counts:
    """Rows that each rate counts: shape (…, 4) gives (…, 3), in the order of RATES."""
    return np.asarray(counts @ _BASE.T)


def rates(counts: Counts) -> Floats:
    """Selection, true positive and false positive rate: shape (…, 4) gives (…, 3).

    NaN where a group has no row that the rate counts.
    """
    base = bases(counts)
    empty = np.full(base.shape, np.nan)
    return np.divide(counts @ _NUMERATOR.T, base, out=empty, where=base > 0)


def views(cells: Cells, *, intersections: bool) -> Iterator[GroupView]:
    """One view an attribute, then the crossing of all of them."""
    columns: list[tuple[str, list[tuple[str, ...]]]] = [
        (name, [(group[i],) for group in cells.groups]) for i, name in enumerate(cells.attributes)
    ]
    if intersections and len(cells.attributes) > 1:
        columns.append((" & ".join(cells.attributes), list(cells.groups)))
    for name, keys in columns:
        groups = sorted(set(keys))
        members = np.array([[int(key == group) for key in keys] for group in groups])
        names = tuple(" & ".join(group) for group in groups)
        yield GroupView(name, names, members @ cells.counts, members)


def gap(point: Floats, low: Floats, high: Floats) -> Gap:
    """Difference and ratio of the judged groups' rates, with intervals that hold for all groups.

    When every group's true rate lies in its own interval, the true difference and ratio lie in
    theirs. Rates that are all zero have ratio 1.
    """
    if len(point) < 2:
        return Gap(None, None, None, None)
    return Gap(
        difference=float(point.max() - point.min()),
        difference_interval=(
            float(max(0.0, low.max() - high.min())),
            float(high.max() - low.min()),
        ),
        ratio=_over(point.min(), point.max()),
        ratio_interval=(_over(low.min(), high.max()), min(1.0, _over(high.min(), low.max()))),
    )


def simultaneous(
    counts: Counts, draws: Counts, judged: Bools, confidence: float
) -> tuple[Floats, Floats]:
    """Intervals of the rates that hold for all judged groups at once, (groups, 3) each.

    The studentized maximum over the groups in each draw gives one critical value a rate. Half a
    row is added to each cell, so that a group without events is still uncertain.

    Args:
        counts: Shape (groups, 4).
        draws: Resampled counts, shape (draws, groups, 4).
        judged: Groups with enough rows, shape (groups, 3).
        confidence: Coverage for all groups together.

    Source: Romano and Wolf (2005), bootstrap of the maximum of studentized deviations.
    """
    smooth = counts + 0.5
    center = (smooth @ _NUMERATOR.T) / (smooth @ _BASE.T)
    error = np.sqrt(center * (1 - center) / (smooth @ _BASE.T))
    deviation = np.nan_to_num(np.abs(rates(draws) - center) / error)
    largest = np.where(judged, deviation, 0.0).max(axis=1)  # (draws, 3)
    critical = np.quantile(largest, confidence, axis=0)
    low, high = center - critical * error, center + critical * error
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def resample(counts: Counts, draws: int, seed: int) -> Counts:
    """Multinomial draws of all cells together, shape (draws, groups, 4), from smoothed counts."""
    weights = (counts + 0.5).ravel()
    total = int(counts.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(total, weights / weights.sum(), size=draws)
    return np.asarray(drawn.reshape(draws, *counts.shape))


def _over(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 1.0
