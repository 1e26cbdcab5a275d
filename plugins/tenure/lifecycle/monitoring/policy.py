"""What counts as a change, stated by the model's YAML."""

from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy
from tenure.lifecycle.training.evaluation import Metric

Kind = Literal["drift", "quality", "performance", "fairness", "late_outcomes", "feedback"]

UNLABELLED: tuple[Kind, ...] = ("drift", "quality")
"""Judged as soon as decisions are there."""
LABELLED: tuple[Kind, ...] = ("performance", "fairness")
"""Judged when the labels of the decisions are mature."""
LATE_OUTCOMES: Kind = "late_outcomes"
"""Performance of what was judged before, with the outcomes that came since."""
FEEDBACK: Kind = "feedback"
"""Where people object to decisions; judged whenever there is feedback."""


class BudgetPolicy(Policy):
    """How often monitoring may page for nothing; one budget for the whole installation."""

    pages_per_quarter: float = Field(default=3.0, gt=0.0, le=1_000.0)
    """Pages that promised streams of all models together may send in expectation while nothing
    changes. More pages find changes sooner."""


class FeedbackPolicy(Policy):
    """When people object too much; an objection is a decision that was overridden or wrong."""

    days: int = Field(default=30, ge=1, le=3_660)
    """Decisions of so many days before the newest one are looked at."""
    max_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of all decisions that people may object to."""
    max_ratio: float = Field(default=2.0, ge=1.0)
    """How many times as often as elsewhere they may object in one segment."""
    min_objections: int = Field(default=10, ge=1)
    """Objections in a segment below which it is not raised, however much it stands out."""


class MonitoringPolicy(Policy):
    """When a window of decisions counts as changed, compared with the training reference."""

    min_decisions: int = Field(default=500, ge=1)
    """Decisions since the last judged window after which the next one is judged; fewer wait."""
    bins: int = Field(default=20, ge=4, le=200)
    """Bins of a numeric feature, by quantiles of the reference."""
    max_psi: float = Field(default=0.25, gt=0.0)
    """Population stability index of one feature above which it has drifted."""
    max_drifted_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of drifted features above which the window has drifted."""
    metric: Metric = "brier"
    """What performance is measured by."""
    max_decay: float = Field(default=0.1, ge=0.0)
    """Relative worsening of the metric against the holdout that is still accepted."""
    min_label_coverage: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of mature decisions with an outcome below which performance is inconclusive."""
    max_null_increase: float = Field(default=0.05, ge=0.0, le=1.0)
    """Rise of a feature's share of nulls against the reference, in points, that is accepted."""
    max_outside: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of values outside the range, or of a category, never seen in training."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    """Of every interval here; a limit counts as broken when the whole interval lies beyond it."""
    feedback: FeedbackPolicy = FeedbackPolicy()
    """When people object to decisions too much."""
    report_rows: int = Field(default=2000, ge=100)
    """Rows of each side that the drawn report samples; verdicts never sample."""
