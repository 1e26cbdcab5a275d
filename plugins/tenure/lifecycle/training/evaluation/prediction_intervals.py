"""Prediction intervals that hold the outcome in a stated share of the rows.

Two models of conditional quantiles, or the prediction itself where an estimator has none, are
widened by a margin that is learned from rows of their own. Sources: Romano, Patterson and Candès,
Conformalized Quantile Regression, NeurIPS 2019; Lei, G'Sell, Rinaldo, Tibshirani and Wasserman,
JASA 113 (2018) for residuals around a prediction. The prediction always lies in its interval: the
intervals of all margins are nested, so the coverage is that of any split conformal interval.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.conformal import coverage_check
from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, Appraisal
from tenure.lifecycle.training.evaluation.metrics import Bools, Floats, wilson
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy

Groups = Mapping[str, NDArray[np.object_]]


@dataclass(frozen=True)
class Interval:
    """An interval a row: both ends belong to it; each of shape (n,), in the unit of the label."""

    lower: Floats
    upper: Floats

    def holds(self, outcomes: Floats) -> Bools:
        """Whether each outcome lies in its interval."""
        held: Bools = (self.lower <= outcomes) & (outcomes <= self.upper)
        return held

    @property
    def width(self) -> Floats:
        """Upper end less lower end."""
        return self.upper - self.lower


def widened(ends: Floats, margin: float) -> Interval:
    """The interval of each row.

    Args:
        ends: Prediction, lower and upper quantile of each row, shape (n, 3).
        margin: What is added at either end; below 0 where the quantiles lie too far apart.

    >>> found = widened(np.array([[5.0, 2.0, 9.0], [5.0, 5.5, 4.0]]), 1.0)
    >>> found.lower.tolist(), found.upper.tolist()
    ([1.0, 4.5], [10.0, 5.0])
    """
    point, low, high = ends.T
    return Interval(np.minimum(low - margin, point), np.maximum(high + margin, point))


def least_margin(ends: Floats, outcomes: Floats, coverage: float) -> float:
    """The margin with which intervals of new rows, like these ones, hold `coverage` of outcomes.

    Args:
        ends: As in `widened`, of rows that no model learned from.
        outcomes: What came true, shape (n,).
        coverage: Share of new rows whose interval shall hold the outcome.

    Returns:
        The ceil((n + 1) coverage)-th smallest margin that holds an outcome; infinite where there
        are too few rows for one.

    >>> ends = np.array([[0.0, 0.0, 0.0]] * 4)
    >>> least_margin(ends, np.array([1.0, -2.0, 3.0, 4.0]), 0.5)
    3.0
    """
    point, low, high = ends.T
    needed = np.where(outcomes < point, low - outcomes, outcomes - high)
    needed = np.sort(np.where(outcomes == point, -np.inf, needed))
    place = math.ceil((len(needed) + 1) * coverage - 1e-9)
    if place > len(needed):
        return math.inf
    found = float(needed[place - 1])
    # Enough outcomes are the prediction itself: every interval may be as narrow as that.
    narrowest = -float(np.max(np.abs(ends - point[:, None]), initial=0.0))
    return found if math.isfinite(found) else narrowest


def trivial_interval(outcomes: Floats, coverage: float) -> tuple[float, float]:
    """What whoever knows nothing of a row would answer: quantiles of past outcomes.

    >>> trivial_interval(np.arange(101.0), 0.5)
    (25.0, 75.0)
    """
    low, high = np.quantile(outcomes, [(1 - coverage) / 2, (1 + coverage) / 2])
    return float(low), float(high)


def judge_intervals(
    policy: ConformalPolicy,
    outcomes: Floats,
    found: Interval,
    *,
    margin: float,
    trivial: tuple[float, float],
    protected: Groups,
    min_rows: int,
) -> Appraisal:
    """Whether the intervals hold the outcome as often as they promise, on the holdout.

    Args:
        policy: What is promised.
        outcomes: What came true, shape (n,).
        found: The version's intervals of these rows.
        margin: The version's.
        trivial: Ends of the trivial interval.
        protected: Groups by attribute, shape (n,) each; an empty text is a missing value. How
            often the intervals of a group hold the outcome stands in the report and decides
            nothing.
        min_rows: Rows below which nothing is judged.
    """
    rows, held = len(outcomes), found.holds(outcomes)
    covered = int(held.sum())
    check = coverage_check(policy, covered, rows, "intervals hold the outcome", min_rows=min_rows)
    always = (trivial[0] <= outcomes) & (outcomes <= trivial[1])
    width, trivial_width = float(found.width.mean()) if rows else None, trivial[1] - trivial[0]
    facts = {
        "coverage": policy.coverage,
        "margin": margin,
        "rows": rows,
        "covered": covered / rows if rows else None,
        "interval": list(wilson(covered, rows, CONFIDENCE)),
        "below": float((outcomes < found.lower).mean()) if rows else None,
        "above": float((outcomes > found.upper).mean()) if rows else None,
        "mean_width": width,
        "median_width": float(np.median(found.width)) if rows else None,
        "trivial": {
            "lower": trivial[0],
            "upper": trivial[1],
            "width": trivial_width,
            "covered": float(always.mean()) if rows else None,
        },
        "width_ratio": width / trivial_width if width is not None and trivial_width > 0 else None,
        "groups": [one for name in protected for one in _groups(name, protected, held, found)],
    }
    return Appraisal((check,), {"conformal": facts})


def _groups(name: str, protected: Groups, held: Bools, found: Interval) -> Iterator[dict[str, Any]]:
    """Coverage of each group; intervals hold for all groups of the attribute at once (Šidák)."""
    values = protected[name]
    groups = sorted(set(values.tolist()), key=lambda value: (value in (None, ""), str(value)))
    for group in groups:
        inside = np.array([value == group for value in values], dtype=bool)
        rows, covered = int(inside.sum()), int(held[inside].sum())
        yield {
            "by": name,
            "value": group or None,
            "rows": rows,
            "covered": covered / rows,
            "interval": list(wilson(covered, rows, CONFIDENCE ** (1 / len(groups)))),
            "mean_width": float(found.width[inside].mean()),
        }
