"""What a model's YAML may state about its evaluation."""

from typing import Literal

from pydantic import Field, model_validator

from tenure.lifecycle.policy import GatePolicy, Policy

Metric = Literal[
    "roc_auc", "brier", "log_loss", "accuracy", "precision", "recall", "wrong_label_rate", "ece"
]


class MetricGate(Policy):
    """A bound on one metric of the holdout; exactly one of minimum and maximum."""

    metric: Metric
    """What is measured."""
    minimum: float | None = None
    """Lowest value that passes."""
    maximum: float | None = None
    """Highest value that passes."""

    @model_validator(mode="after")
    def _one_bound(self) -> "MetricGate":
        if (self.minimum is None) == (self.maximum is None):
            raise ValueError("state exactly one of minimum and maximum")
        return self


class EvaluationPolicy(GatePolicy):
    """The gate between trained and validated."""

    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """Scores at or above it decide `positive`."""
    min_rows: int = Field(default=500, ge=1)
    """Rows of the holdout below which the gate is inconclusive."""
    gates: tuple[MetricGate, ...] = Field(min_length=1)
    """What must hold on the holdout; all of it."""
