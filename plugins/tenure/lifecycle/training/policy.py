"""What a model's YAML may state about its training."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import Field, field_validator, model_validator

from tenure.lifecycle.policy import Policy, end_of
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.training.search import SearchPolicy

INTERPRETABLE = ("logistic_regression", "linear_regression", "additive_boosting")
"""Estimators whose score is a sum of one part a feature, so that a person can read it."""
Split = Literal["temporal", "grouped", "stratified", "random"]


class Waiver(Policy):
    """Who allows a model of risk tier high that nobody can read, why, and until when."""

    by: str = Field(min_length=1)
    """Who decided it."""
    reason: str = Field(min_length=10)
    """Why no interpretable estimator will do."""
    expires: date
    """Last day: afterwards it is not trained, and no version of it may serve."""

    @property
    def excused_until(self) -> datetime:
        """The first moment after it, in UTC."""
        return end_of(self.expires)


class TrainingPolicy(Policy):
    """A training run is decided by this policy, the snapshots and the seed alone."""

    estimator: str = "hist_gradient_boosting"
    """`hist_gradient_boosting`, `random_forest`, `logistic_regression`, `additive_boosting` (one
    part a feature, no interactions), or an entry point `package.module:function` that returns an
    unfitted scikit-learn estimator."""
    parameters: dict[str, float | int | str | bool] = Field(default_factory=dict)
    """Arguments of the estimator, by name."""
    class_weight: Literal["balanced"] | dict[str, float] | None = None
    """What a row of each label counts while it is learned from: `balanced` (as much together for
    each label), or by value of the label, `{fraud: 10}`; a value that is left out counts 1."""
    sample_weight: str | None = None
    """Column of numbers from 0: what each row counts while it is learned from; metrics count every
    row once."""
    search: SearchPolicy | None = None
    """Parameters to try; None: `parameters` as they stand."""
    waiver: Waiver | None = None
    """For risk tier high with an estimator other than `logistic_regression` or
    `additive_boosting`: who allows it, why, until when."""
    window_batches: int = Field(default=3, ge=1)
    """Newest published batches that are trained on."""
    time_column: str | None = None
    """Column that says when a row happened; null: the dataset's `time_column`."""
    split: Split = "temporal"
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

    @field_validator("class_weight", mode="before")
    @classmethod
    def _labels_are_written(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {spell(label): weight for label, weight in value.items()}
        return value

    @model_validator(mode="after")
    def _weights_are_positive_and_stated_once(self) -> "TrainingPolicy":
        if isinstance(self.class_weight, dict):
            for label, weight in self.class_weight.items():
                if weight <= 0:
                    raise ValueError(f"class_weight of {label!r} is {weight:g}, not above 0")
        if self.class_weight is not None and "class_weight" in self.parameters:
            raise ValueError("class_weight stands there and in parameters: keep one")
        return self

    @model_validator(mode="after")
    def _groups_are_declared(self) -> "TrainingPolicy":
        if (self.split == "grouped") != (self.group_column is not None):
            raise ValueError("split: grouped and group_column need each other")
        return self
