"""What a model's YAML may state about its training."""

from typing import Literal

from pydantic import Field, model_validator

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
    split: Literal["temporal", "grouped", "stratified", "random"] = "temporal"
    """How rows are held out: the newest; so that no group is on both sides (with time, the newest,
    and older rows of their groups are left out); with the label's shares kept; at random. The last
    two are refused on data with time."""
    group_column: str | None = None
    """Column whose values are the groups of `split: grouped`; no value: a group of its own."""
    holdout_fraction: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Share of the rows that is held out."""
    gap_hours: int = Field(default=24, ge=0)
    """Rows this close before the holdout are left out; so are rows whose label was not known yet
    when it begins (`label.horizon_hours`)."""
    seed: int = 7
    """Of everything that is drawn at random."""

    @model_validator(mode="after")
    def _groups_are_declared(self) -> "TrainingPolicy":
        if (self.split == "grouped") != (self.group_column is not None):
            raise ValueError("split: grouped and group_column need each other")
        return self
