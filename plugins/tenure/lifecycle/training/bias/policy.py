"""What a model's YAML may state about the equal treatment of groups."""

from datetime import date
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from tenure.lifecycle.policy import GatePolicy, Policy

MetricName = Literal[
    "selection_rate",
    "accuracy",
    "true_positive_rate",
    "false_positive_rate",
    "false_negative_rate",
    "positive_predictive_value",
    "equalized_odds",
    "calibration",
]
JUDGED_BY: dict[MetricName, tuple[str, ...]] = {
    "selection_rate": ("selection_rate",),
    "accuracy": ("accuracy",),
    "true_positive_rate": ("tpr",),
    "false_positive_rate": ("fpr",),
    "false_negative_rate": ("fnr",),
    "positive_predictive_value": ("ppv",),
    "equalized_odds": ("tpr", "fpr"),
    "calibration": ("calibration",),
}
"""What each metric of a policy compares, as reports name it."""


class BiasDecision(Policy):
    """Who chose metric and limits for this use, and why: neither follows from the data."""

    why: str = Field(min_length=1)
    """Why this metric and these limits, and not others, fit the use and the law."""
    by: str = Field(min_length=1)
    """Who decided it."""
    until: date
    """Last day on which it holds; after it the audit is inconclusive until it is decided anew."""


class BiasPolicy(GatePolicy):
    """Bounds on the worst gap between the groups of each protected attribute."""

    attributes: tuple[str, ...] = Field(min_length=1)
    """Protected attributes: columns of the dataset, features or not."""
    intersections: bool = True
    """Whether groups of several attributes crossed are audited as well."""
    edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """Of an attribute that is a number: where its bands begin; `age: [25, 40]` makes three."""
    metric: MetricName = "selection_rate"
    """What is compared between groups; `selection_rate` is demographic parity,
    `true_positive_rate` equal opportunity, `positive_predictive_value` predictive parity."""
    min_ratio: float | None = Field(default=None, ge=0.0, le=1.0)
    """Lowest group's rate over the highest's; 0.8 is the four-fifths rule."""
    max_difference: float | None = Field(default=None, ge=0.0, le=1.0)
    """Highest group's rate minus the lowest's."""
    reference: dict[str, str] = Field(default_factory=dict)
    """The group of an attribute that all others are compared with; without one, with the
    best-off."""
    min_group_rows: int = Field(default=100, ge=1)
    """Rows that the metric counts (for a false positive rate: negative labels); a smaller group
    is shown as `inconclusive`, never dropped."""
    small_groups: Literal["inconclusive", "report"] = "inconclusive"
    """What groups below the minimum, or without both labels, do to the verdict; `report` shows
    them and judges the rest."""
    bootstrap_draws: int = Field(default=1000, ge=100)
    """Draws behind each interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Of each interval."""
    decision: BiasDecision | None = None
    """Who decided metric and limits, until when, and why; null: nobody did, and the report says
    so."""

    @model_validator(mode="after")
    def _bounded(self) -> "BiasPolicy":
        if self.min_ratio is None and self.max_difference is None:
            raise ValueError("state min_ratio or max_difference (or both)")
        if self.metric == "calibration" and self.min_ratio is not None:
            raise ValueError("calibration is a difference: state max_difference, not min_ratio")
        return self

    @model_validator(mode="after")
    def _about_attributes(self) -> "BiasPolicy":
        if len({*self.attributes}) < len(self.attributes):
            raise ValueError("attributes names a column twice")
        for key in ("edges", "reference"):
            if unknown := sorted({*getattr(self, key)} - {*self.attributes}):
                raise ValueError(f"{key} names {', '.join(unknown)}, which is not in attributes")
        for name, edges in self.edges.items():
            if not edges or any(high <= low for low, high in pairwise(edges)):
                raise ValueError(f"edges of {name} must be numbers that rise")
        return self

    @property
    def judged(self) -> tuple[str, ...]:
        """What the metric compares, as reports name it."""
        return JUDGED_BY[self.metric]
