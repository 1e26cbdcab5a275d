"""What a model's YAML may state about the equal treatment of groups."""

from typing import Literal

from pydantic import Field, model_validator

from tenure.lifecycle.policy import GatePolicy

RateName = Literal["selection_rate", "true_positive_rate", "false_positive_rate"]
RATES: tuple[RateName, ...] = ("selection_rate", "true_positive_rate", "false_positive_rate")
"""The order of rates everywhere."""


class BiasPolicy(GatePolicy):
    """Bounds on the worst gap between the groups of each protected attribute."""

    attributes: tuple[str, ...] = Field(min_length=1)
    """Protected attributes: columns of the dataset, features or not."""
    intersections: bool = True
    """Whether pairs of attributes are audited as well."""
    metric: RateName = "selection_rate"
    """The rate that is compared between groups."""
    min_ratio: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest group's rate over the highest's; 0.8 is the four-fifths rule."""
    max_difference: float | None = Field(default=None, ge=0.0, le=1.0)
    """Highest group's rate minus the lowest's."""
    min_group_rows: int = Field(default=100, ge=1)
    """Rows that the metric counts (for a false positive rate: negative labels); a smaller group
    is shown as `inconclusive`, never dropped."""
    small_groups: Literal["inconclusive", "report"] = "inconclusive"
    """What groups below the minimum do to the verdict; `report` shows them and judges the rest."""
    bootstrap_draws: int = Field(default=1000, ge=100)
    """Draws behind each interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Of each interval."""

    @model_validator(mode="after")
    def _bounded(self) -> "BiasPolicy":
        if self.min_ratio is None and self.max_difference is None:
            raise ValueError("state min_ratio or max_difference (or both)")
        return self
