"""Makes groups more alike: weights of rows before a fit, thresholds by group after it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.bias.cells import Bools, Floats, Group, group_name
from tenure.lifecycle.training.bias.policy import Constraint
from tenure.lifecycle.training.bias.training_data import GroupedRows

MIN_ROWS = 30
"""Rows that the constraint counts, below which a group keeps the common threshold."""


def reweighing(view: GroupedRows, labels: Bools) -> Floats:
    """What each row counts so that label and group are independent, shape (n,).

    A row of group g with label y gets n_g n_y / (n n_gy): together the weights are n.

    Args:
        view: Groups of n rows.
        labels: Shape (n,).

    Source: Kamiran and Calders, Data preprocessing techniques for classification without
        discrimination, Knowledge and Information Systems 33 (2012).
    """
    cell = 2 * view.codes + labels
    in_cell = np.bincount(cell, minlength=2 * len(view.groups))
    in_group = np.bincount(view.codes, minlength=len(view.groups))
    with_label = np.bincount(labels.astype(np.int64), minlength=2)
    expected = in_group[view.codes] * with_label[labels.astype(np.int64)] / len(labels)
    return np.asarray(expected / in_cell[cell], dtype=np.float64)


def weights_by_cell(view: GroupedRows, labels: Bools, weights: Floats) -> dict[str, float]:
    """The weight of each group and label, for people.

    >>> rows = GroupedRows(("sex",), (("f",), ("m",)), np.array([0, 0, 1, 1]))
    >>> labels = np.array([True, False, True, True])
    >>> weights_by_cell(rows, labels, reweighing(rows, labels))
    {'f, negative': 0.5, 'f, positive': 1.5, 'm, positive': 0.75}
    """
    found = {}
    for n, group in enumerate(view.groups):
        for label, word in ((False, "negative"), (True, "positive")):
            here = (view.codes == n) & (labels == label)
            if here.any():
                found[f"{group_name(group)}, {word}"] = float(weights[here][0])
    return found


@dataclass(frozen=True)
class GroupThresholds:
    """From which score on the rows of a group are positive.

    Args:
        by_group: Of the groups that got one of their own, 0…1.
        notes: Which groups keep the common threshold, and why.
    """

    by_group: Mapping[Group, float]
    notes: tuple[str, ...]


def group_thresholds(
    view: GroupedRows,
    scores: Floats,
    labels: Bools,
    *,
    threshold: float,
    constraint: Constraint,
) -> GroupThresholds:
    """For each group the threshold that gives it the rate of all rows, as nearly as it can.

    Nothing is drawn: of two cuts that are equally near, the one nearer to the common threshold is
    taken, so that the same score of the same group is always decided alike.

    Args:
        view: Groups of n rows that the estimator did not learn from.
        scores: Shape (n,).
        labels: Shape (n,).
        threshold: Of all, 0…1; it sets the rate that the groups are brought to.
        constraint: `selection_rate` counts all rows, `true_positive_rate` those with a positive
            label, `false_positive_rate` those with a negative one.

    Source: Hardt, Price and Srebro, Equality of Opportunity in Supervised Learning (2016), without
        its randomization.
    """
    counted = {
        "selection_rate": np.ones(len(labels), dtype=np.bool_),
        "true_positive_rate": labels,
        "false_positive_rate": ~labels,
    }[constraint]
    rate = float((scores[counted] >= threshold).mean()) if counted.any() else 0.0
    found: dict[Group, float] = {}
    notes: list[str] = []
    for n, group in enumerate(view.groups):
        mine = scores[counted & (view.codes == n)]
        if len(mine) < MIN_ROWS:
            notes.append(
                f"{view.name}={group_name(group)} keeps the common threshold: {len(mine):,} rows "
                f"that {constraint} counts, fewer than {MIN_ROWS}"
            )
        else:
            found[group] = _cut(mine, rate, threshold)
    return GroupThresholds(found, tuple(notes))


def _cut(scores: Floats, rate: float, threshold: float) -> float:
    """The threshold, midway between two scores, whose share of scores at or above is nearest."""
    ranked = np.unique(scores)
    cuts = np.concatenate([[0.0], (ranked[:-1] + ranked[1:]) / 2, [1.0]])
    above = 1 - np.searchsorted(np.sort(scores), cuts) / len(scores)
    above[-1] = 0.0
    order = np.lexsort((np.abs(cuts - threshold), np.round(np.abs(above - rate), 12)))
    return float(np.clip(cuts[order[0]], _LEAST, 1 - _LEAST))


_LEAST = 1e-6
"""Thresholds stay inside 0 and 1, so that scores can be moved by their log-odds."""


def shifts(found: GroupThresholds, threshold: float) -> dict[Group, float]:
    """By how much the log-odds of a group's scores move, so that all are decided at `threshold`."""
    common = _log_odds(np.clip(threshold, _LEAST, 1 - _LEAST))
    return {group: float(common - _log_odds(own)) for group, own in found.by_group.items()}


def _log_odds(score: NDArray[np.float64] | float) -> float:
    return float(np.log(score) - np.log1p(-np.asarray(score)))


@dataclass(frozen=True)
class ReducedModel:
    """One model that a reduction made, on the rows that it learned from.

    Args:
        place: Its number.
        violation: How far the rate of a group lies from that of all, the farthest.
        loss: Share of wrong decisions, or their mean cost where costs are declared.
    """

    place: int
    violation: float
    loss: float


def best_single(models: list[ReducedModel], bound: float) -> ReducedModel:
    """The cheapest that keeps the bound; where none does, the one that comes nearest.

    A reduction answers with a model drawn by lot for each row. What is served has to answer the
    same question alike, so one of them is kept.
    """
    keep = [one for one in models if one.violation <= bound]
    if keep:
        return min(keep, key=lambda one: (one.loss, one.violation, one.place))
    return min(models, key=lambda one: (one.violation, one.loss, one.place))


def violation(view: GroupedRows, decided: Bools, labels: Bools, constraint: Constraint) -> float:
    """How far the rate of a group lies from that of all rows, the farthest; 0 without any rows."""
    counted = {
        "selection_rate": [np.ones(len(labels), dtype=np.bool_)],
        "true_positive_rate": [labels],
        "false_positive_rate": [~labels],
        "equalized_odds": [labels, ~labels],
    }[constraint]
    farthest = 0.0
    for rows in counted:
        if not rows.any():
            continue
        whole = float(decided[rows].mean())
        for n in np.unique(view.codes[rows]):
            farthest = max(farthest, abs(float(decided[rows & (view.codes == n)].mean()) - whole))
    return farthest
