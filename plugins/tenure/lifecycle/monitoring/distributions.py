"""What a window looks like beside its reference: counts by bin for pictures, quartiles, traffic.

Counts only, the same that the verdict was computed from; no value of a single decision.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tenure.lifecycle.monitoring.drift import NULL, merged
from tenure.lifecycle.monitoring.policy import MonitoringPolicy
from tenure.ports import FeatureCounts

QUARTILES = (0.25, 0.5, 0.75)
SCORE = "score"


def pictured(
    reference: FeatureCounts,
    current: FeatureCounts,
    policy: MonitoringPolicy,
    *,
    edges: Mapping[str, Sequence[float]],
    known: Mapping[str, Collection[str]],
    is_sealed: bool,
) -> dict[str, Any]:
    """The facts of a window that only pictures need.

    Args:
        reference: Counts of the training reference.
        current: Counts of the window; the score of a rule's answer is null.
        policy: Its `bins` bound how many categories are told apart.
        edges: Of each numeric column, in order; bins lie below, between and above them.
        known: The values that training saw, by categorical column.
        is_sealed: Features are personal and erasable, so a report keeps none of their counts.

    Returns:
        `traffic` (decisions, and those that no model answered), `score` (quartiles on both sides)
        and `distributions`, by column: `bins` (names), `reference` and `current` (counts).
    """
    kept = [name for name in current.bins if name == SCORE or not is_sealed]
    found = {
        name: {
            "bins": [NULL, *bin_names(edges[name])],
            "reference": [reference.nulls[name], *reference.bins[name]],
            "current": [current.nulls[name], *current.bins[name]],
        }
        for name in kept
    }
    for name in () if is_sealed else current.categories:
        sides = reference.categories[name], current.categories[name]
        names, before, now = merged(*sides, policy.bins, known.get(name, ()))
        found[name] = {
            "bins": [*names, NULL],
            "reference": [*map(int, before), reference.nulls[name]],
            "current": [*map(int, now), current.nulls[name]],
        }
    return {
        "traffic": {"decisions": current.rows, "by_no_model": current.nulls[SCORE]},
        SCORE: {
            "current": quartiles(edges[SCORE], current.bins[SCORE]),
            "reference": quartiles(edges[SCORE], reference.bins[SCORE]),
        },
        "distributions": found,
    }


def bin_names(edges: Sequence[float]) -> list[str]:
    """Names of the bins below, between and above the edges.

    >>> bin_names([0.0, 0.5, 1.0])
    ['below 0', '0 to 0.5', '0.5 to 1', 'above 1']
    """
    ends = [f"{edge:.4g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(ends)]
    return [f"below {ends[0]}", *between, f"above {ends[-1]}"]


def quartiles(edges: Sequence[float], counts: Sequence[int]) -> list[float] | None:
    """The quartiles of binned values, evenly spread in each bin; None of no values.

    What lies outside the edges counts as lying on the edge. The error is at most one bin.

    >>> quartiles([0.0, 1.0, 2.0], [0, 2, 2, 0])
    [0.5, 1.0, 1.5]
    """
    total = sum(counts)
    if not total:
        return None
    ends = [edges[0], *edges, edges[-1]]
    return [_quantile(ends, counts, share * total) for share in QUARTILES]


def _quantile(ends: Sequence[float], counts: Sequence[int], wanted: float) -> float:
    seen = 0.0
    for place, rows in enumerate(counts):
        if rows and seen + rows >= wanted:
            low, high = ends[place], ends[place + 1]
            return float(low + (high - low) * (wanted - seen) / rows)
        seen += rows
    return float(ends[-1])
