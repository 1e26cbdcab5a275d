"""Counts of confusion cells by group, and the groups that are looked at.

A group is one value an attribute; None is a missing value, which is a group of its own and neither
the empty text nor the text `null`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from tenure.errors import ConfigInvalid

CELLS = ("tp", "fp", "fn", "tn")
MISSING = "(missing)"
"""How people see a missing value."""

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]
Group = tuple[str | None, ...]


@dataclass(frozen=True)
class Cells:
    """Sufficient statistics of an audit.

    Args:
        attributes: Names of the protected attributes.
        groups: One tuple of values (one an attribute) for each combination that occurs.
        counts: Rows of each combination as (tp, fp, fn, tn), shape (groups, 4).
        errors: Sums of score minus label and of its square, shape (groups, 2); None where there
            are no scores.
    """

    attributes: tuple[str, ...]
    groups: tuple[Group, ...]
    counts: Counts
    errors: Floats | None = None

    @classmethod
    def of(
        cls,
        attributes: Sequence[str],
        counted: Mapping[Group, Sequence[int]],
        errors: Mapping[Group, Sequence[float]] | None = None,
    ) -> "Cells":
        """Cells from what an engine counted, in the order of the groups' names."""
        groups = tuple(sorted(counted, key=group_order))
        counts = np.array([counted[g] for g in groups], dtype=np.int64).reshape(len(groups), 4)
        sums = None
        if errors is not None:
            sums = np.array([errors[g] for g in groups], dtype=float).reshape(len(groups), 2)
        return cls(tuple(attributes), groups, counts, sums)

    def banded(self, edges: Mapping[str, Sequence[float]]) -> "Cells":
        """The same rows, with the values of numeric attributes put into bands.

        Args:
            edges: Where the bands begin, by attribute, rising.

        Raises:
            ConfigInvalid: A value is no number.
        """
        if not edges:
            return self
        named: dict[Group, list[int]] = {}
        for n, group in enumerate(self.groups):
            pairs = zip(self.attributes, group, strict=True)
            key = tuple(band(a, v, edges[a]) if a in edges else v for a, v in pairs)
            named.setdefault(key, []).append(n)
        counted = {key: self.counts[places].sum(axis=0).tolist() for key, places in named.items()}
        sums = None
        if self.errors is not None:
            sums = {key: self.errors[places].sum(axis=0).tolist() for key, places in named.items()}
        return Cells.of(self.attributes, counted, sums)


@dataclass(frozen=True)
class GroupView:
    """The groups of one attribute, or of several crossed; of none: all rows.

    Args:
        by: The attributes.
        groups: Values, sorted; a missing one last.
        counts: Shape (groups, 4).
        members: Which combinations make up each group, shape (groups, combinations), 0 or 1.
        errors: As in `Cells`, shape (groups, 2).
    """

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    counts: Counts
    members: Counts
    errors: Floats | None

    @property
    def name(self) -> str:
        """`carrier`, or `carrier & origin`."""
        return " & ".join(self.by)


def views(cells: Cells, *, intersections: bool) -> Iterator[GroupView]:
    """One view an attribute, then each crossing of two or more attributes."""
    several = len(cells.attributes) if intersections else 1
    for size in range(1, several + 1):
        for places in combinations(range(len(cells.attributes)), size):
            yield _view(cells, places)


def everything(cells: Cells) -> GroupView:
    """All rows as one group."""
    return _view(cells, ())


def _view(cells: Cells, places: Sequence[int]) -> GroupView:
    keys = [tuple(group[i] for i in places) for group in cells.groups]
    groups = sorted(set(keys), key=group_order)
    place = {group: n for n, group in enumerate(groups)}
    members = np.zeros((len(groups), len(keys)), dtype=np.int64)
    members[[place[key] for key in keys], range(len(keys))] = 1
    return GroupView(
        by=tuple(cells.attributes[i] for i in places),
        groups=tuple(groups),
        counts=members @ cells.counts,
        members=members,
        errors=None if cells.errors is None else members @ cells.errors,
    )


def band(attribute: str, value: str | None, edges: Sequence[float]) -> str | None:
    """The band of a number: its lower edge belongs to it.

    >>> [band("age", value, (25, 40)) for value in ("24.9", "25", "40", None)]
    ['under 25', '25 to under 40', '40 and over', None]

    Raises:
        ConfigInvalid: The value is no number.
    """
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        raise ConfigInvalid(
            f"{attribute} has the value {value[:40]!r}, which is no number, and its edges are "
            "numbers.",
            still_safe="Nothing was judged.",
            next_step=f"Take {attribute} from the edges, or have its source repaired.",
        ) from None
    at = sum(number >= edge for edge in edges)
    if at == 0:
        return f"under {edges[0]:g}"
    if at == len(edges):
        return f"{edges[-1]:g} and over"
    return f"{edges[at - 1]:g} to under {edges[at]:g}"


def group_order(group: Group) -> tuple[tuple[bool, float, str], ...]:
    """Sorts groups by their values: bands and numbers by size, then texts, a missing one last."""
    return tuple((value is None, _leading_number(value), value or "") for value in group)


def group_name(group: Group) -> str:
    """For people: `B6 & JFK`; what could be taken for a missing value stands in quotes.

    >>> group_name(("JFK", None)), group_name(("", "(missing)"))
    ('JFK & (missing)', "'' & '(missing)'")
    """
    return " & ".join(MISSING if v is None else repr(v) if v in ("", MISSING) else v for v in group)


def _leading_number(value: str | None) -> float:
    """Of `25 to under 40` it is 25; of what is below all bands lower than any; of texts highest."""
    word, _, rest = (value or "").partition(" ")
    try:
        return float("-inf") if word == "under" and rest else float(word)
    except ValueError:
        return float("inf")
