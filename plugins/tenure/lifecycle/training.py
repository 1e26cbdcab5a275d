"""Which data a training run takes, how it is split, and what estimator is fitted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tenure.errors import GateInconclusive
from tenure.lifecycle.policy import Policy
from tenure.vocabulary import digest_json

_HOUR = 3_600_000_000  # microseconds
_NOTHING_CHANGED = "No version was made; whatever serves now keeps serving."


class TrainingPolicy(Policy):
    """A training run is decided by this policy, the snapshots and the seed alone."""

    estimator: str = "hist_gradient_boosting"
    """`hist_gradient_boosting`, `logistic_regression`, or an entry point `package.module:function`
    that returns an unfitted scikit-learn estimator."""
    parameters: dict[str, float | int | str | bool] = Field(default_factory=dict)
    window_batches: int = Field(default=3, ge=1)
    """Newest published batches that are trained on."""
    split: Literal["temporal"] = "temporal"
    holdout_fraction: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Newest share of the rows, by time, that is held out."""
    gap_hours: int = Field(default=24, ge=0)
    """Rows this close before the holdout are dropped from training."""
    seed: int = 7


@dataclass(frozen=True)
class Published:
    """A snapshot that the data gate published."""

    id: int
    batch: str
    digest: str
    suite_digest: str
    rows: int
    time_max: datetime | None


def choose_snapshots(
    published: Iterable[Published], *, dataset: str, window_batches: int
) -> tuple[Published, ...]:
    """The newest batches by the time of their last row, oldest first.

    A batch that was published again counts once, with its latest snapshot.

    Raises:
        GateInconclusive: Fewer batches are published than the window needs.
    """
    latest: dict[str, Published] = {}
    for snapshot in sorted(published, key=lambda s: s.id):
        latest[snapshot.batch] = snapshot
    if len(latest) < window_batches:
        names = ", ".join(sorted(latest)) or "none"
        raise GateInconclusive(
            f"{dataset}: {len(latest)} of the {window_batches} batches that training needs are "
            f"published ({names}).",
            still_safe=_NOTHING_CHANGED,
            next_step=f"Drop more batches into landing/{dataset}/ and clear this task when they "
            "are published, or lower training.window_batches.",
        )
    beginning = datetime.min.replace(tzinfo=UTC)
    newest = sorted(latest.values(), key=lambda s: (s.time_max or beginning, s.batch))
    return tuple(newest[-window_batches:])


def data_digest(snapshots: Sequence[Published]) -> str:
    """One digest for the data of a run: of the snapshots' digests in their order."""
    return digest_json([s.digest for s in snapshots])


def suite_digest(snapshots: Sequence[Published]) -> str:
    """The suite that passed the data; a digest of the list where suites differ."""
    digests = sorted({s.suite_digest for s in snapshots})
    return digests[0] if len(digests) == 1 else digest_json(digests)


@dataclass(frozen=True)
class Split:
    """Row numbers of the two parts, each in the order of the rows."""

    train: NDArray[np.intp]
    holdout: NDArray[np.intp]


def split_by_time(times: NDArray[np.int64], *, holdout_fraction: float, gap_hours: int) -> Split:
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
    split = Split(
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
        still_safe=_NOTHING_CHANGED,
        next_step="Publish more batches, or lower training.gap_hours or holdout_fraction, and "
        "trigger the training again.",
    )
