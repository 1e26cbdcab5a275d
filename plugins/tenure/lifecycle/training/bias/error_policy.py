"""What a regression's YAML may state about the equal treatment of groups."""

from typing import Literal

from pydantic import Field, model_validator

from tenure.lifecycle.policy import GatePolicy
from tenure.lifecycle.training.bias.policy import BiasDecision, require_attributes

ErrorName = Literal["mean_error", "mean_absolute_error"]
ERRORS: tuple[ErrorName, ...] = ("mean_error", "mean_absolute_error")
"""The order of the means everywhere."""


class ErrorBiasPolicy(GatePolicy):
    """Bound on the worst gap between the groups of each protected attribute, of a regression."""

    attributes: tuple[str, ...] = Field(min_length=1)
    """Protected attributes: columns of the dataset, features or not."""
    intersections: bool = True
    """Whether groups of several attributes crossed are audited as well."""
    edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Of an attribute that is a number: where its bands begin; `age: [25, 40]` makes three."""
    metric: ErrorName = "mean_error"
    """Of a regression, what is compared between groups: `mean_error` (prediction minus outcome: who
    is estimated too high or too low) or `mean_absolute_error` (who is estimated worse)."""
    max_difference: float = Field(ge=0.0)
    """Of a regression: highest group's mean minus the lowest's, in the unit of the label."""
    reference: dict[str, str] = Field(default_factory=dict)
    """The group of an attribute that all others are compared with; without one, with the
    best-off."""
    min_group_rows: int = Field(default=100, ge=2)
    """Rows below which a group is shown as `inconclusive`, never dropped."""
    small_groups: Literal["inconclusive", "report"] = "inconclusive"
    """What groups below the minimum do to the verdict; `report` shows them and judges the rest."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Of the intervals, for all groups of an attribute together."""
    decision: BiasDecision | None = None
    """Who decided metric and limits, until when, and why; null: nobody did, and the report says
    so."""
    max_proxy_auc: float | None = Field(default=None, ge=0.5, le=1.0)
    """How well the features of the training rows may tell a group from the others (area under the
    ROC curve, alone or together; 1 where the attribute is a feature); null: from 0.8 on it stands
    in the report as a finding and decides nothing."""

    @model_validator(mode="after")
    def _about_attributes(self) -> "ErrorBiasPolicy":
        require_attributes(self.attributes, self.edges, self.reference)
        return self
