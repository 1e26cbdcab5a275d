"""Which rows are learned from and which judge: by time, by group, by label, or at random.

Data with time is split by time: what is known only later must not teach. Every row is on one side
or is counted as left out, with its reason.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.errors import GateInconclusive
from tenure.lifecycle.training.policy import TrainingPolicy
from tenure.lifecycle.training.snapshots import NOTHING_CHANGED

_HOUR = 3_600_000_000  # microseconds
_LARGEST_SHARED = 0.5
"""Share of the older rows that may be left out because their group is held out."""


@dataclass(frozen=True)
class RowSplit:
    """Row numbers of the two parts, each in the order of the rows; and how many are in neither.

    Args:
        train: Rows that are learned from.
        holdout: Rows that judge.
        gap: Rows so close before the holdout that they are left out.
        label_unknown: Rows whose label was not known yet when the holdout begins.
        group_held_out: Older rows of groups that are held out.
    """

    train: NDArray[np.intp]
    holdout: NDArray[np.intp]
    gap: int = 0
    label_unknown: int = 0
    group_held_out: int = 0


def split_rows(
    policy: TrainingPolicy,
    *,
    horizon_hours: float,
    labels: NDArray[Any],
    times: NDArray[np.int64] | None,
    groups: NDArray[np.object_] | None,
) -> RowSplit:
    """Split as the policy says; the same rows and seed, the same split.

    Args:
        policy: `split: grouped` needs `groups`; data with `times` is split by them.
        horizon_hours: From an event until its label is known.
        labels: Shape (n,).
        times: Event times in microseconds since 1970, shape (n,); None of data without time.
        groups: Shape (n,); the empty text is a row that belongs to no group.

    Raises:
        GateInconclusive: Either part would be empty.
    """
    fraction, seed = policy.holdout_fraction, policy.seed
    if times is not None:
        return split_by_time(
            times,
            holdout_fraction=fraction,
            gap_hours=policy.gap_hours,
            horizon_hours=horizon_hours,
            groups=groups,
        )
    if groups is not None:
        return split_by_group(groups, holdout_fraction=fraction, seed=seed)
    strata = labels if policy.split == "stratified" else np.zeros(len(labels))
    return split_by_stratum(strata, holdout_fraction=fraction, seed=seed)


def folds(
    policy: TrainingPolicy,
    count: int,
    *,
    horizon_hours: float,
    labels: NDArray[Any],
    times: NDArray[np.int64] | None,
    groups: NDArray[np.object_] | None,
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Parts of the rows that are learned from: each fold's own rows, and those that judge it.

    With time, each later fold ends later, and judges by the rows that follow its own; without, each
    is another draw. A fold is split as the policy splits. Its rows to learn from are the newest
    last, or in an order drawn by the seed.

    Raises:
        GateInconclusive: The rows are too few for even one fold.
    """
    found: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
    for number in range(1, count + 1):
        seeded = policy.model_copy(update={"seed": policy.seed + number})
        index = np.arange(len(labels))
        if times is not None:  # the newest rows judge the last fold
            end = np.quantile(times, 0.5 + 0.5 * number / count, method="lower")
            index = np.flatnonzero(times <= end)
        try:
            part = split_rows(
                seeded,
                horizon_hours=horizon_hours,
                labels=labels[index],
                times=None if times is None else times[index],
                groups=None if groups is None else groups[index],
            )
        except GateInconclusive:
            if number == count and not found:
                raise
            continue
        train = index[part.train]
        if times is None:
            train = np.random.default_rng(seeded.seed).permutation(train)
        else:
            train = train[np.argsort(times[train], kind="stable")]
        found.append((train, index[part.holdout]))
    return found


def split_by_time(
    times: NDArray[np.int64],
    *,
    holdout_fraction: float,
    gap_hours: int,
    horizon_hours: float = 0.0,
    groups: NDArray[np.object_] | None = None,
) -> RowSplit:
    """Hold out the newest rows; train on older ones whose label was known when these begin.

    Args:
        times: Event times in microseconds since 1970, in any order. Rows of one moment are never
            parted, so the holdout may be a little larger than its fraction.
        holdout_fraction: Newest share of the rows, 0…1.
        gap_hours: Rows this close before the holdout belong to neither part.
        horizon_hours: Nor do rows whose event plus this is not before it.
        groups: Where given, no group is on both sides: its older rows are left out.

    Raises:
        GateInconclusive: Either part would be empty, or over half of the older rows are left out
            for their group.
    """
    kept = round(len(times) * (1.0 - holdout_fraction))
    if not 0 < kept < len(times):
        raise _too_few(len(times), 0, holdout_fraction, f"a gap of {gap_hours} h")
    first = np.partition(times, kept)[kept]
    is_new = times >= first
    is_near = ~is_new & (times + gap_hours * _HOUR >= first)
    is_unknown = ~is_new & ~is_near & (times + round(horizon_hours * _HOUR) >= first)
    is_old = ~is_new & ~is_near & ~is_unknown
    is_shared = is_old & _shared(groups, is_new) if groups is not None else np.zeros_like(is_old)
    if is_shared.sum() > _LARGEST_SHARED * is_old.sum():
        raise _too_shared(int(is_shared.sum()), int(is_old.sum()))
    train = np.flatnonzero(is_old & ~is_shared)
    if not len(train):
        why = f"a gap of {gap_hours} h and labels known after {horizon_hours:g} h"
        raise _too_few(len(times), int(is_new.sum()), holdout_fraction, why)
    return RowSplit(
        train=train,
        holdout=np.flatnonzero(is_new),
        gap=int(is_near.sum()),
        label_unknown=int(is_unknown.sum()),
        group_held_out=int(is_shared.sum()),
    )


def split_by_group(groups: NDArray[np.object_], *, holdout_fraction: float, seed: int) -> RowSplit:
    """Hold out whole groups, drawn by the seed until their rows reach the fraction.

    Args:
        groups: Shape (n,); the empty text is a row that is a group of its own.
        holdout_fraction: Share of the rows, 0…1; the last group may exceed it.
        seed: Of the draw, over the groups in the order of their names.

    Raises:
        GateInconclusive: Either part would be empty: one group has all the rows.
    """
    numbers, sizes = _numbered(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    before = np.concatenate([[0], np.cumsum(sizes[order])[:-1]]) if len(sizes) else sizes
    held = order[before < round(len(groups) * holdout_fraction)]
    is_held = np.isin(numbers, held)
    return _both(is_held, holdout_fraction, f"{len(sizes):,} groups, none on both sides")


def split_by_stratum(strata: NDArray[Any], *, holdout_fraction: float, seed: int) -> RowSplit:
    """Hold out rows drawn by the seed: of each stratum the same share, to the nearest row.

    Args:
        strata: Shape (n,): the labels; or one value for a split at random.
        holdout_fraction: Share of the rows, 0…1.
        seed: Of the draw.

    Raises:
        GateInconclusive: Either part would be empty.
    """
    rng, is_held = np.random.default_rng(seed), np.zeros(len(strata), dtype=bool)
    for stratum in np.unique(strata):
        rows = np.flatnonzero(strata == stratum)
        is_held[rng.permutation(rows)[: round(len(rows) * holdout_fraction)]] = True
    return _both(is_held, holdout_fraction, "rows drawn at random")


def _shared(groups: NDArray[np.object_], is_new: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of a group that is held out."""
    return np.isin(groups.astype(str), np.unique(groups[is_new].astype(str))) & (groups != "")


def _numbered(groups: NDArray[np.object_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The number of each row's group, and how many rows each has."""
    names, numbers = np.unique(groups.astype(str), return_inverse=True)
    alone = np.flatnonzero(groups == "")
    numbers[alone] = len(names) + np.arange(len(alone))
    _, numbers = np.unique(numbers, return_inverse=True)
    return numbers, np.bincount(numbers)


def _both(is_held: NDArray[np.bool_], fraction: float, how: str) -> RowSplit:
    split = RowSplit(np.flatnonzero(~is_held), np.flatnonzero(is_held))
    if not len(split.train) or not len(split.holdout):
        raise _too_few(len(is_held), len(split.holdout), fraction, how)
    return split


def _too_shared(shared: int, old: int) -> GateInconclusive:
    return GateInconclusive(
        f"{shared:,} of the {old:,} older rows belong to a group that is held out as well: with no "
        "group on both sides, too little is left to train on.",
        still_safe=NOTHING_CHANGED,
        next_step="Take training.split temporal, or a group_column whose groups do not come back "
        "all the time, or a smaller holdout_fraction; then trigger the training again.",
    )


def _too_few(rows: int, holdout: int, fraction: float, how: str) -> GateInconclusive:
    left = "no row is left to judge by" if rows and not holdout else "no row is left to train on"
    return GateInconclusive(
        f"{rows:,} rows cannot be split: with {fraction:.0%} held out ({holdout:,} rows) and {how} "
        f"{left}.",
        still_safe=NOTHING_CHANGED,
        next_step="Publish more batches, or change training.split, gap_hours or holdout_fraction, "
        "and trigger the training again.",
    )
