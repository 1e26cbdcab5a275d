"""What a regression's YAML may state about the equal treatment of groups."""

from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import GatePolicy

ErrorName = Literal["mean_error", "mean_absolute_error"]
ERRORS: tuple[ErrorName, ...] = ("mean_error", "mean_absolute_error")
"""The order of the means everywhere."""


class ErrorBiasPolicy(GatePolicy):
    """Bound on the worst gap between the groups of each protected attribute, of a regression."""

    attributes: tuple[str, ...] = Field(min_length=1)
    """Protected attributes: columns of the dataset, features or not."""
    intersections: bool = True
    """Whether pairs of attributes are audited as well."""
    metric: ErrorName = "mean_error"
    """Of a regression, what is compared between groups: `mean_error` (prediction minus outcome: who
    is estimated too high or too low) or `mean_absolute_error` (who is estimated worse)."""
    max_difference: float = Field(ge=0.0)
    """Of a regression: highest group's mean minus the lowest's, in the unit of the label."""
    min_group_rows: int = Field(default=100, ge=2)
    """Rows below which a group is shown as `inconclusive`, never dropped."""
    small_groups: Literal["inconclusive", "report"] = "inconclusive"
    """What groups below the minimum do to the verdict; `report` shows them and judges the rest."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Of the intervals, for all groups of an attribute together."""
