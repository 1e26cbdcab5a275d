"""What a model's YAML may state about its training."""

from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy


class TrainingPolicy(Policy):
    """A training run is decided by this policy, the snapshots and the seed alone."""

    estimator: str = "hist_gradient_boosting"
    """`hist_gradient_boosting`, `logistic_regression`, or an entry point `package.module:function`
    that returns an unfitted scikit-learn estimator."""
    parameters: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Arguments of the estimator, by name."""
    window_batches: int = Field(default=3, ge=1)
    """Newest published batches that are trained on."""
    split: Literal["temporal"] = "temporal"
    """Training comes before the holdout in time."""
    holdout_fraction: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Newest share of the rows, by time, that is held out."""
    gap_hours: int = Field(default=24, ge=0)
    """Rows this close before the holdout are dropped from training."""
    seed: int = 7
    """Of everything that is drawn at random."""
