"""Watching live decisions: drift, performance with late labels, fairness, data quality."""

from pydantic import Field

from tenure.lifecycle.evaluation import Metric
from tenure.lifecycle.policy import Policy


class MonitoringPolicy(Policy):
    """When a window of decisions counts as changed, compared with the training reference."""

    min_decisions: int = Field(default=500, ge=1)
    """Decisions since the last window that make a new one; fewer are inconclusive."""
    bins: int = Field(default=20, ge=4, le=200)
    max_psi: float = Field(default=0.25, gt=0.0)
    """Population stability index of one feature above which it has drifted."""
    max_drifted_share: float = Field(default=0.3, ge=0.0, le=1.0)
    """Share of drifted features above which the window has drifted."""
    metric: Metric = "brier"
    max_decay: float = Field(default=0.1, ge=0.0)
    """Relative worsening of the metric against the holdout that is still accepted."""
    min_label_coverage: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of mature decisions with an outcome below which performance is inconclusive."""
    report_rows: int = Field(default=2000, ge=100)
    """Rows that the drawn report samples; verdicts never sample."""
