"""What a model's YAML may state about the equal treatment of groups."""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator, model_validator

from tenure.lifecycle.policy import GatePolicy, Policy
from tenure.lifecycle.serving.spelling import spell

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


Constraint = Literal[
    "selection_rate", "true_positive_rate", "false_positive_rate", "equalized_odds"
]
"""What a mitigation makes alike."""


class BiasDecision(Policy):
    """Who chose metric and limits for this use, and why: neither follows from the data."""

    why: str = Field(min_length=1)
    """Why this metric and these limits, and not others, fit the use and the law."""
    by: str = Field(min_length=1)
    """Who decided it."""
    until: date
    """Last day on which it holds; after it the audit is inconclusive until it is decided anew."""


class MitigationPolicy(Policy):
    """What a training does so that groups are treated more alike; the audit judges the result."""

    method: Literal["reweighing", "exponentiated_gradient", "group_thresholds"]
    """`reweighing` (rows count so that label and group are independent), `exponentiated_gradient`
    (Fairlearn's reduction; its best single model is kept) or `group_thresholds` (each group is
    decided at a threshold of its own, so every request states its group)."""
    attributes: tuple[str, ...] = Field(min_length=1)
    """Of `bias.attributes`, those whose groups are made alike; of several, crossed."""
    constraint: Constraint | None = None
    """What is made alike, for all methods but `reweighing`; `equalized_odds` takes both rates, and
    no single threshold a group can do that."""
    max_violation: float = Field(default=0.02, gt=0.0, lt=1.0)
    """Of `exponentiated_gradient`: how far a group's rate may lie from that of all, on the rows
    that are learned from."""
    decision: BiasDecision | None = None
    """Required for `group_thresholds`: who decided that groups are decided by rules of their own,
    why, until when. In lending and hiring that is disparate treatment."""

    @model_validator(mode="after")
    def _constrained(self) -> "MitigationPolicy":
        if (self.method == "reweighing") != (self.constraint is None):
            raise ValueError("state a constraint, but none for method: reweighing")
        if self.method == "group_thresholds":
            if self.constraint == "equalized_odds":
                raise ValueError("one threshold a group cannot meet equalized_odds: name one rate")
            if self.decision is None:
                raise ValueError(
                    "group_thresholds decides people by rules of their group, which in lending and "
                    "hiring is disparate treatment: state decision with why, by and until"
                )
        return self


def require_attributes(
    attributes: tuple[str, ...],
    edges: Mapping[str, tuple[float, ...]],
    reference: Mapping[str, str],
) -> None:
    """Raises ValueError unless edges and reference groups are of attributes, each named once."""
    if len({*attributes}) < len(attributes):
        raise ValueError("attributes names a column twice")
    for key, stated in (("edges", edges), ("reference", reference)):
        if unknown := sorted({*stated} - {*attributes}):
            raise ValueError(f"{key} names {', '.join(unknown)}, which is not in attributes")
    for name, bounds in edges.items():
        if not bounds or any(high <= low for low, high in pairwise(bounds)):
            raise ValueError(f"edges of {name} must be numbers that rise")


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
    positive: tuple[str, ...] = ()
    """Of a multiclass model: the classes that count as selected; without any, each class is judged
    against the rest. `accuracy` is of the class itself either way."""
    reference: dict[str, str] = Field(default_factory=dict)
    """The group of an attribute that all others are compared with; without one, with the
    best-off."""
    min_group_rows: int = Field(default=100, ge=1)
    """Rows that the metric counts (for a false positive rate: negative labels); a smaller group
    is shown as `inconclusive`, never dropped."""
    small_groups: Literal["inconclusive", "report"] = "inconclusive"
    """What groups below the minimum, or without both labels, do to the verdict; `report` shows
    them and judges the rest."""
    max_proxy_auc: float | None = Field(default=None, ge=0.5, le=1.0)
    """How well the features of the training rows may tell a group from the others (area under the
    ROC curve, alone or together; 1 where the attribute is a feature); null: from 0.8 on it stands
    in the report as a finding and decides nothing."""
    bootstrap_draws: int = Field(default=1000, ge=100)
    """Draws behind each interval."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Of each interval."""
    mitigation: MitigationPolicy | None = None
    """What the training does about gaps; null: nothing. The report shows both models."""
    decision: BiasDecision | None = None
    """Who decided metric and limits, until when, and why; null: nobody did, and the report says
    so."""

    @field_validator("positive", mode="before")
    @classmethod
    def _classes_are_written(cls, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        return [spell(one) if isinstance(one, bool | int | float) else one for one in value]

    @model_validator(mode="after")
    def _bounded(self) -> "BiasPolicy":
        if self.min_ratio is None and self.max_difference is None:
            raise ValueError("state min_ratio or max_difference (or both)")
        if self.metric == "calibration" and self.min_ratio is not None:
            raise ValueError("calibration is a difference: state max_difference, not min_ratio")
        return self

    @model_validator(mode="after")
    def _about_attributes(self) -> "BiasPolicy":
        require_attributes(self.attributes, self.edges, self.reference)
        mitigated = () if self.mitigation is None else self.mitigation.attributes
        if unknown := sorted({*mitigated} - {*self.attributes}):
            raise ValueError(f"mitigation names {', '.join(unknown)}, which is not in attributes")
        return self

    @property
    def judged(self) -> tuple[str, ...]:
        """What the metric compares, as reports name it."""
        return JUDGED_BY[self.metric]
