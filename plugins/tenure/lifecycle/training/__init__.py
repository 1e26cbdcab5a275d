"""Which data a training run takes, how it is split, and what estimator is fitted.

`policy` what a YAML may state · `snapshots` choice of data · `split` past and holdout. All but the
split are light to import.
"""

from tenure.lifecycle.training.policy import TrainingPolicy
from tenure.lifecycle.training.snapshots import (
    PublishedSnapshot,
    choose_snapshots,
    data_digest,
    in_force,
    suite_digest,
)

__all__ = [
    "PublishedSnapshot",
    "TrainingPolicy",
    "choose_snapshots",
    "data_digest",
    "in_force",
    "suite_digest",
]
