"""The temporal split: train on the past, hold out the newest rows, leave a gap between them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tenure.errors import GateInconclusive
from tenure.lifecycle.training.snapshots import NOTHING_CHANGED

_HOUR = 3_600_000_000  # microseconds


@dataclass(frozen=True)
class TemporalSplit:
    """Row numbers of the two parts, each in the order of the rows."""

    train: NDArray[np.intp]
    holdout: NDArray[np.intp]


def split_by_time(
    times: NDArray[np.int64], *, holdout_fraction: float, gap_hours: int
) -> TemporalSplit:
    """Hold out the newest rows; train only on rows more than the gap older than all of them.

    Args:
        times: Event times in microseconds since 1970, in any order. Rows of one moment are never
            parted, so the holdout may be a little larger than its fraction.
        holdout_fraction: Newest share of the rows, 0…1.
        gap_hours: Rows this close before the holdout belong to neither part.

    Raises:
        GateInconclusive: Either part would be empty.
    """
    kept = round(len(times) * (1.0 - holdout_fraction))
    if not 0 < kept < len(times):
        raise _too_few(len(times), 0, holdout_fraction, gap_hours)
    first = np.partition(times, kept)[kept]
    split = TemporalSplit(
        train=np.flatnonzero(times + gap_hours * _HOUR < first),
        holdout=np.flatnonzero(times >= first),
    )
    if not len(split.train):
        raise _too_few(len(times), len(split.holdout), holdout_fraction, gap_hours)
    assert times[split.train].max() + gap_hours * _HOUR < times[split.holdout].min()
    return split


def _too_few(rows: int, holdout: int, fraction: float, gap_hours: int) -> GateInconclusive:
    return GateInconclusive(
        f"{rows:,} rows cannot be split: with {fraction:.0%} held out ({holdout:,} rows) and a gap "
        f"of {gap_hours} h no row is left to train on.",
        still_safe=NOTHING_CHANGED,
        next_step="Publish more batches, or lower training.gap_hours or holdout_fraction, and "
        "trigger the training again.",
    )
