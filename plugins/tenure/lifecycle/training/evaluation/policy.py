"""What a model's YAML may state about its evaluation."""

from typing import Literal

from pydantic import Field, model_validator

from tenure.lifecycle.policy import GatePolicy, Policy

ClassMetric = Literal[
    "roc_auc", "brier", "log_loss", "accuracy", "precision", "recall", "wrong_label_rate", "ece"
]
"""Of a binary model."""
ErrorMetric = Literal["mae", "rmse", "median_absolute_error", "mean_error", "r2"]
"""Of a regression; an error is prediction minus outcome, in the unit of the label."""
Metric = Literal[ClassMetric, ErrorMetric]
GateMetric = Literal[Metric, "expected_cost"]
Calibration = Literal["isotonic", "sigmoid"]


class MetricGate(Policy):
    """A KPI: a bound on one metric of the holdout; exactly one of minimum and maximum."""

    metric: GateMetric
    """What is measured; `expected_cost` is the mean cost of a decision by `costs`."""
    minimum: float | None = None
    """Lowest value that passes."""
    maximum: float | None = None
    """Highest value that passes."""

    @model_validator(mode="after")
    def _one_bound(self) -> "MetricGate":
        if (self.minimum is None) == (self.maximum is None):
            raise ValueError("state exactly one of minimum and maximum")
        return self


class DecisionCosts(Policy):
    """What a wrong decision costs, in any unit; a right one costs nothing."""

    false_positive: float = Field(gt=0.0)
    """Of a yes that should have been a no."""
    false_negative: float = Field(gt=0.0)
    """Of a no that should have been a yes."""


class ConformalPolicy(Policy):
    """Sets of labels (yes, no, both) that hold the true one in a stated share of the rows."""

    coverage: float = Field(default=0.9, gt=0.5, lt=1.0)
    """This share."""
    tolerance: float = Field(default=0.02, gt=0.0, lt=0.5)
    """How far the share of the holdout may lie from it."""


class EvaluationPolicy(GatePolicy):
    """The gate between trained and validated."""

    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """Scores at or above it decide `positive`; state `costs` instead to have it chosen. A
    regression has none."""
    costs: DecisionCosts | None = None
    """Each version's threshold is the one that costs least on its calibration rows; null: the
    declared `threshold`."""
    calibration: Calibration | None = None
    """How scores are made probabilities: `isotonic` (from about a thousand rows on) or `sigmoid`;
    null: they stay as the estimator gives them."""
    conformal: ConformalPolicy | None = None
    """Judges sets of labels instead of single ones; null: there are none."""
    calibration_fraction: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Newest share of the rows before the holdout that `calibration`, `costs` and `conformal`
    learn from; the estimator does not see them."""
    min_rows: int = Field(default=500, ge=1)
    """Rows of the holdout below which the gate is inconclusive."""
    gates: tuple[MetricGate, ...] = Field(min_length=1)
    """The KPIs: what must hold on the holdout, all of it. The first decides comparisons."""
    champion_margin: float | None = Field(default=0.01, ge=0.0)
    """How much worse than the champion's a version's first KPI may be on the same rows, as a
    difference (of a regression: the mean absolute error, as a share of the champion's); its 95%
    interval must exclude more. null: the comparison only stands in the report."""
    min_uplift: float | None = Field(default=0.0, ge=0.0)
    """How much better than the base rate and the declared rule it must measurably be, in the first
    KPI, or in the cost of a decision where there are `costs`; of a regression, than the median of
    its labels and the rule, in mean absolute error. null: it only stands in the report."""

    accepted_leaks: dict[str, str] = Field(default_factory=dict)
    """Features that look like a leak and are known before all the same, each with the reason."""
    max_duplicate_share: float | None = Field(default=None, ge=0.0, le=1.0)
    """Share of the holdout whose features may all stand in a row before it; null: only counted."""
    max_overfit_gap: float | None = Field(default=None, ge=0.0)
    """How far the first KPI may lie apart on learned and on held-out rows; null: only shown."""

    ablation_seconds: float | None = Field(default=None, gt=0.0)
    """Time for retraining without each feature, the least important first; null: none is."""

    @model_validator(mode="after")
    def _one_threshold(self) -> "EvaluationPolicy":
        if self.costs is not None and "threshold" in self.model_fields_set:
            raise ValueError("state one of threshold and costs: costs choose the threshold")
        if self.costs is None and any(gate.metric == "expected_cost" for gate in self.gates):
            raise ValueError("a gate on expected_cost needs costs")
        return self

    @property
    def needs_calibration_rows(self) -> bool:
        """Whether something is learned from rows that the estimator does not see."""
        return not (self.costs is None and self.calibration is None and self.conformal is None)
