"""How differently groups are treated: counts of confusion cells into rates and their intervals.

`base_rate` is the share of rows whose label is positive, `selection_rate` the share that is decided
positive, `accuracy` the share that is decided as the label says; `tpr` and `fnr` are the shares of
the positive labels that are decided positive and negative, `fpr` the share of the negative labels
that is decided positive, `ppv` the share of the positive decisions whose label is positive.
`calibration` is the mean of score minus label.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tenure.lifecycle.training.bias.cells import Bools, Counts, Floats, GroupView

RATES = ("base_rate", "selection_rate", "accuracy", "tpr", "fpr", "fnr", "ppv")
"""The order of rates everywhere."""
CALIBRATION = "calibration"
_ALL = (1, 1, 1, 1)
# Over (tp, fp, fn, tn), in the order of RATES.
_NUMERATOR = np.array(
    [
        (1, 0, 1, 0),
        (1, 1, 0, 0),
        (1, 0, 0, 1),
        (1, 0, 0, 0),
        (0, 1, 0, 0),
        (0, 0, 1, 0),
        (1, 0, 0, 0),
    ]
)
_BASE = np.array([_ALL, _ALL, _ALL, (1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0)])
_BLOCK = 4_000_000
"""Numbers of the bootstrap that are held at once."""


@dataclass(frozen=True)
class Measured:
    """All metrics of the groups of one view.

    Args:
        view: The groups.
        metrics: Names, RATES and perhaps calibration: M of them.
        value: Shape (groups, M); NaN where a group has no row that the metric counts.
        rows: Rows that each metric counts, shape (groups, M).
        judged: Whether those are enough, shape (groups, M).
        low: Lower ends of the intervals, shape (groups, M).
        high: Upper ends.
    """

    view: GroupView
    metrics: tuple[str, ...]
    value: Floats
    rows: Counts
    judged: Bools
    low: Floats
    high: Floats


def numerators(counts: Counts | Floats) -> Counts:
    """Rows that each rate is the share of: shape (…, 4) gives (…, 7), in the order of RATES."""
    return np.asarray(counts @ _NUMERATOR.T)


def bases(counts: Counts | Floats) -> Counts:
    """Rows that each rate counts: shape (…, 4) gives (…, 7), in the order of RATES."""
    return np.asarray(counts @ _BASE.T)


def rates(counts: Counts | Floats) -> Floats:
    """All rates: shape (…, 4) gives (…, 7); NaN where a group has no row that the rate counts."""
    base = bases(counts)
    empty = np.full(base.shape, np.nan)
    return np.divide(numerators(counts), base, out=empty, where=base > 0)


def measure(
    groups: list[GroupView],
    counts: Counts,
    *,
    min_rows: int,
    draws: int,
    confidence: float,
    seed: int,
) -> list[Measured]:
    """Values and intervals; those of one metric hold for all judged groups of all views at once.

    Args:
        groups: Views of the same rows.
        counts: Of all combinations, shape (combinations, 4).
        min_rows: Rows below which a metric of a group is not judged.
        draws: Of the bootstrap.
        confidence: Coverage for all groups together.
        seed: Of the bootstrap.
    """
    together = np.concatenate([view.counts for view in groups])
    members = np.concatenate([view.members for view in groups])
    judged = bases(together) >= min_rows
    critical = _critical(counts, members, judged, draws=draws, confidence=confidence, seed=seed)
    low, high = _intervals(together, critical)
    parts = np.cumsum([len(view.groups) for view in groups])[:-1]
    split = [
        np.split(part, parts) for part in (rates(together), bases(together), judged, low, high)
    ]
    found = [Measured(view, RATES, *columns) for view, *columns in zip(groups, *split, strict=True)]
    if groups[0].errors is None:
        return found
    looked_at = max(1, int(judged[:, 0].sum()))
    spread = NormalDist().inv_cdf(1 - (1 - confidence) / 2 / looked_at)
    return [_with_calibration(one, spread) for one in found]


def _intervals(counts: Counts, critical: Floats) -> tuple[Floats, Floats]:
    center, error = _center(counts.astype(float) + 0.5)
    low, high = center - critical * error, center + critical * error
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def _critical(
    counts: Counts, members: Counts, judged: Bools, *, draws: int, confidence: float, seed: int
) -> Floats:
    """How many standard errors an interval is wide to each side, shape (7,).

    The studentized maximum over the judged groups in each multinomial draw gives one number a rate.
    Half a row is added to each cell, so that a group without events is still uncertain.

    Source: Romano and Wolf (2005), bootstrap of the maximum of studentized deviations.
    """
    alone = np.full(len(RATES), NormalDist().inv_cdf((1 + confidence) / 2))
    if not judged.any():
        return alone
    weights: Floats = counts.astype(float) + 0.5
    center, error = _center(members @ weights)
    largest = np.concatenate(
        [
            np.where(judged, np.nan_to_num(np.abs(rates(drawn) - center) / error), 0.0).max(axis=1)
            for drawn in _resampled(weights, members, int(counts.sum()), draws, seed)
        ]
    )
    return np.where(judged.any(axis=0), np.quantile(largest, confidence, axis=0), alone)


def _resampled(
    weights: Floats, members: Counts, rows: int, draws: int, seed: int
) -> Iterator[Floats]:
    """Multinomial draws of all cells together, added up by group: shape (block, groups, 4)."""
    rng = np.random.default_rng(seed)
    share = (weights / weights.sum()).ravel()
    block = max(1, _BLOCK // (4 * sum(members.shape)))
    summing = members.astype(float)
    for start in range(0, draws, block):
        drawn = rng.multinomial(rows, share, size=min(block, draws - start))
        yield summing @ drawn.reshape(-1, *weights.shape).astype(float)


def _center(smooth: Floats) -> tuple[Floats, Floats]:
    """Rates of counts that are all above zero, and their standard errors."""
    base = smooth @ _BASE.T
    center = (smooth @ _NUMERATOR.T) / base
    return center, np.sqrt(center * (1 - center) / base)


def _with_calibration(found: Measured, spread: float) -> Measured:
    """Mean of score minus label, with a normal interval of Bonferroni's width."""
    assert found.view.errors is not None
    rows = found.rows[:, :1]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square = (found.view.errors / rows).T
        half = spread * np.sqrt(np.maximum(square - mean**2, 0.0) / rows[:, 0])
    ends = (np.clip(mean - half, -1.0, 1.0), np.clip(mean + half, -1.0, 1.0))

    def beside(old: Floats, new: Floats) -> Floats:
        return np.column_stack([old, new])

    return Measured(
        view=found.view,
        metrics=(*found.metrics, CALIBRATION),
        value=beside(found.value, mean),
        rows=np.column_stack([found.rows, rows]),
        judged=np.column_stack([found.judged, found.judged[:, :1]]),
        low=beside(found.low, ends[0]),
        high=beside(found.high, ends[1]),
    )
