"""Which groups are farthest apart in a metric, how far, and how surely they differ at all.

Rates are compared as the exact fractions that the counts are, so that a ratio of exactly 0.8 is
0.8 and 0.79999 is less.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.bias.cells import Floats, Group
from tenure.lifecycle.training.bias.disparity import CALIBRATION, RATES, Measured, numerators

MOST_PAIRED = 500
"""Groups of a view beyond which only the two farthest are tested, and corrected by Bonferroni."""
HIGH_IS_WORSE = frozenset({"fpr", "fnr", "mean_absolute_error"})
"""Metrics of which the best-off group has the lowest."""
AROUND_ZERO = frozenset({CALIBRATION, "mean_error"})
"""Metrics of which the best-off group has that nearest to zero; they have no ratios."""


@dataclass(frozen=True)
class Gap:
    """Two groups of a view and their distance in one metric.

    Args:
        metric: Its name in reports.
        by: The attributes.
        worst: The group that is worse off.
        best: The other one.
        difference: Higher value minus lower.
        ratio: Lower value over higher, 1 when both are zero; None of a mean that may be below 0.
        difference_interval: Holds whatever two groups these are.
        ratio_interval: As well.
        p_adjusted: Of the hypothesis that both have the same value, two-sided, by Holm over all
            pairs of groups that were looked at in this metric (beyond 500 groups by Bonferroni).
    """

    metric: str
    by: tuple[str, ...]
    worst: Group
    best: Group
    difference: Fraction
    ratio: Fraction | None
    difference_interval: tuple[float, float]
    ratio_interval: tuple[float, float] | None
    p_adjusted: float


def gaps(
    measured: Sequence[Measured], metric: str, reference: Mapping[str, str], *, by_ratio: bool
) -> list[Gap | None]:
    """The widest gap of each view; None of a view with fewer than two judged groups.

    Args:
        measured: All views of the same rows.
        metric: Its name in reports.
        reference: Value of an attribute that the others are compared with. A view all of whose
            attributes have one is measured against that group alone.
        by_ratio: Whether the widest gap is that of the lowest ratio; else of the largest
            difference. Without a reference it is the same.
    """
    return widest([Compared.of(one, metric, reference) for one in measured], by_ratio=by_ratio)


def widest(compared: Sequence["Compared"], *, by_ratio: bool) -> list[Gap | None]:
    """As `gaps`, of groups that are measured in any way."""
    p_values = [p for one in compared for p in one.p_values]
    family = sum(one.family for one in compared)
    if family == len(p_values):
        adjusted = iter(holm(p_values))
    else:
        adjusted = iter([min(1.0, family * p) for p in p_values])
    return [one.widest([next(adjusted) for _ in one.pairs], by_ratio) for one in compared]


@dataclass(frozen=True)
class Compared:
    """The judged groups of one view in one metric, and the pairs that are looked at."""

    metric: str
    by: tuple[str, ...]
    groups: list[Group]
    value: list[Fraction]
    error: Floats
    pooled: NDArray[np.float64] | None
    low: list[float]
    high: list[float]
    pairs: list[tuple[int, int]]
    family: int
    has_reference: bool

    @classmethod
    def of(cls, found: Measured, metric: str, reference: Mapping[str, str]) -> "Compared":
        """Of rates, or of mean errors of scores."""
        at = found.metrics.index(metric)
        places = np.flatnonzero(found.judged[:, at])
        groups = [found.view.groups[g] for g in places]
        rows = found.rows[places, at]
        if metric == CALIBRATION:
            values = [Fraction(v) for v in found.value[places, at].tolist()]
            errors = found.view.errors
            assert errors is not None
            variance = errors[places, 1] / rows - found.value[places, at] ** 2
            error, pooled = np.sqrt(np.maximum(variance, 0.0) / rows), None
        else:
            events = numerators(found.view.counts)[places, RATES.index(metric)]
            values = [Fraction(int(x), int(n)) for x, n in zip(events, rows, strict=True)]
            error, pooled = np.zeros(len(rows)), np.column_stack([events, rows]).astype(float)
        ends = found.low[places, at].tolist(), found.high[places, at].tolist()
        return cls.paired(
            metric,
            found.view.by,
            groups,
            values=values,
            error=error,
            pooled=pooled,
            ends=ends,
            reference=reference,
        )

    @classmethod
    def paired(
        cls,
        metric: str,
        by: tuple[str, ...],
        groups: list[Group],
        *,
        values: list[Fraction],
        error: Floats,
        pooled: NDArray[np.float64] | None,
        ends: tuple[list[float], list[float]],
        reference: Mapping[str, str],
    ) -> "Compared":
        """Judged groups with their values, and the pairs of them that are looked at.

        Args:
            metric: Its name in reports.
            by: The attributes.
            groups: Judged ones.
            values: Of each.
            error: Standard error of each; of rates it is not looked at.
            pooled: Events and rows of each rate, shape (groups, 2); None of means.
            ends: Lower and upper ends of their simultaneous intervals.
            reference: As in `gaps`.
        """
        has_reference = set(by) <= reference.keys()
        if has_reference or len(groups) <= MOST_PAIRED:
            pairs = list(_pairs(by, groups, reference))
            family = len(pairs)
        else:
            pairs = [_ends(values)]
            family = len(groups) * (len(groups) - 1) // 2
        return cls(metric, by, groups, values, error, pooled, *ends, pairs, family, has_reference)

    @property
    def p_values(self) -> list[float]:
        """Two-sided, one a pair. Source: Agresti (2002), Categorical Data Analysis, 3.2."""
        if not self.pairs:
            return []
        one, two = np.array(self.pairs).T
        value = np.array([float(v) for v in self.value])
        if self.pooled is None:
            spread = np.hypot(self.error[one], self.error[two])
        else:
            events, rows = self.pooled.T
            share = (events[one] + events[two]) / (rows[one] + rows[two])
            spread = np.sqrt(share * (1 - share) * (1 / rows[one] + 1 / rows[two]))
        apart = np.abs(value[one] - value[two])
        score = np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0)
        return [math.erfc(z / math.sqrt(2)) for z in score.tolist()]

    def widest(self, adjusted: Sequence[float], by_ratio: bool) -> Gap | None:
        """The pair that is farthest apart."""
        if not self.pairs:
            return None
        most = self._farthest(by_ratio)
        lower, upper = sorted(self.pairs[most], key=self.value.__getitem__)
        worst, best = (upper, lower) if self._is_worse(upper, lower) else (lower, upper)
        has_ratio = self.metric not in AROUND_ZERO
        return Gap(
            metric=self.metric,
            by=self.by,
            worst=self.groups[worst],
            best=self.groups[best],
            difference=self.value[upper] - self.value[lower],
            ratio=_over(self.value[lower], self.value[upper]) if has_ratio else None,
            difference_interval=self._differences(),
            ratio_interval=self._ratios() if has_ratio else None,
            p_adjusted=adjusted[most],
        )

    def _compared_ends(self) -> list[tuple[list[float], list[float]]]:
        """Lower and upper ends of the groups that are compared with each other."""
        if not self.has_reference:
            return [(self.low, self.high)]
        return [([self.low[i] for i in pair], [self.high[i] for i in pair]) for pair in self.pairs]

    def _differences(self) -> tuple[float, float]:
        """When every true value lies in its own interval, the widest difference lies in this."""
        ends = self._compared_ends()
        lower = max(max(low) - min(high) for low, high in ends)
        return max(0.0, lower), max(max(high) - min(low) for low, high in ends)

    def _ratios(self) -> tuple[float, float]:
        """When every true rate lies in its own interval, the lowest ratio lies in this one."""
        ends = self._compared_ends()
        lower = min(min(low) / max(high) if max(high) > 0 else 1.0 for low, high in ends)
        upper = min(min(high) / max(low) if max(low) > 0 else 1.0 for low, high in ends)
        return lower, min(1.0, upper)

    def _farthest(self, by_ratio: bool) -> int:
        """Its place among the pairs; the first of equals."""
        if not self.has_reference:
            return self.pairs.index(_ends(self.value))
        ends = [sorted((self.value[one], self.value[two])) for one, two in self.pairs]
        if by_ratio:
            return min(range(len(ends)), key=lambda n: _over(*ends[n]))
        return max(range(len(ends)), key=lambda n: ends[n][1] - ends[n][0])

    def _is_worse(self, upper: int, lower: int) -> bool:
        if self.metric in AROUND_ZERO:
            return abs(self.value[upper]) >= abs(self.value[lower])
        return self.metric in HIGH_IS_WORSE


def _pairs(
    by: Sequence[str], groups: Sequence[Group], reference: Mapping[str, str]
) -> Iterator[tuple[int, int]]:
    if set(by) <= reference.keys():
        named = tuple(reference[name] for name in by)
        if named in groups:
            at = groups.index(named)
            yield from ((at, g) for g in range(len(groups)) if g != at)
        return
    yield from ((one, two) for two in range(len(groups)) for one in range(two))


def _ends(values: Sequence[Fraction]) -> tuple[int, int]:
    """The places of the lowest and the highest, in order; two places even if all are equal."""
    order = sorted(range(len(values)), key=values.__getitem__)
    return min(order[0], order[-1]), max(order[0], order[-1])


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that hold for all hypotheses together, whatever their dependence.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    if not p_values:
        return []
    p = np.array(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return list(adjusted.tolist())


def _over(part: Fraction, whole: Fraction) -> Fraction:
    return part / whole if whole else Fraction(1)
