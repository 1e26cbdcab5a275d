"""What a model's YAML may state about its evaluation."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator, model_validator

from tenure.lifecycle.class_answers import ClassCosts
from tenure.lifecycle.policy import GatePolicy, Policy
from tenure.lifecycle.serving.spelling import spell

ClassMetric = Literal[
    "roc_auc", "brier", "log_loss", "accuracy", "precision", "recall", "wrong_label_rate", "ece"
]
"""Of a binary model."""
MulticlassMetric = Literal[
    "accuracy", "balanced_accuracy", "macro_f1", "log_loss", "wrong_label_rate", "brier", "ece"
]
"""Of a multiclass model: mean recall and mean F1 count each class the same; `brier` is 0 to 2, and
`ece` of the probability of the answered class."""
ErrorMetric = Literal["mae", "rmse", "median_absolute_error", "mean_error", "r2"]
"""Of a regression; an error is prediction minus outcome, in the unit of the label."""
Metric = Literal[ClassMetric, "balanced_accuracy", "macro_f1", ErrorMetric]
GateMetric = Literal[Metric, "expected_cost"]
Calibration = Literal["isotonic", "sigmoid"]


class MetricGate(Policy):
    """A KPI: a bound on one metric of the holdout; exactly one of minimum and maximum."""

    metric: GateMetric
    """What is measured; `expected_cost` is the mean cost of a decision by `costs`, of several
    classes by `class_costs`."""
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


class ClassErrorCosts(Policy):
    """What a wrong answer of a multiclass model costs, in any unit; a right one costs nothing."""

    other: float = Field(gt=0.0)
    """Of each wrong answer that `wrong` does not name."""
    wrong: dict[str, dict[str, float]] = Field(default_factory=dict)
    """By the class that came true, then by the class that was answered; from 0."""

    @field_validator("wrong", mode="before")
    @classmethod
    def _classes_are_written(cls, value: object) -> object:
        return _written(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _of_errors(self) -> "ClassErrorCosts":
        for true, answers in self.wrong.items():
            if true in answers:
                raise ValueError(f"wrong: {true!r} answered {true!r} is right, and costs nothing")
            if bad := [name for name, cost in answers.items() if cost < 0]:
                raise ValueError(f"wrong: {true!r} answered {bad[0]!r} must cost a number from 0")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Classes that are named, sorted."""
        return tuple(sorted({*self.wrong, *(one for row in self.wrong.values() for one in row)}))

    def matrix(self, true: Sequence[str], answered: Sequence[str]) -> ClassCosts:
        """The cost of each answer, by each class that came true."""
        return tuple(
            tuple(
                0.0 if one == name else self.wrong.get(name, {}).get(one, self.other)
                for one in answered
            )
            for name in true
        )


def _written(value: dict[object, object]) -> dict[object, object]:
    """The same with classes as `spell` writes them, one level of mappings down as well."""
    return {
        spell(name) if isinstance(name, bool | int | float) else name: _written(below)
        if isinstance(below, dict)
        else below
        for name, below in value.items()
    }


class ConformalPolicy(Policy):
    """Sets of labels, or intervals of a regression, that hold the truth so often.

    An interval comes with each answer, sets are only judged.
    """

    coverage: float = Field(default=0.9, gt=0.5, lt=1.0)
    """This share."""
    tolerance: float = Field(default=0.02, gt=0.0, lt=0.5)
    """How far the share of the holdout may lie from it."""


class EvaluationPolicy(GatePolicy):
    """The gate between trained and validated."""

    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """Scores at or above it decide `positive`; state `costs` instead to have it chosen. Only binary
    models have one."""
    costs: DecisionCosts | None = None
    """Each version's threshold is the one that costs least on its calibration rows; null: the
    declared `threshold`."""
    class_costs: ClassErrorCosts | None = None
    """A multiclass model answers the class that costs least by its probabilities; null: the most
    probable one."""
    calibration: Calibration | None = None
    """How scores are made probabilities: `isotonic` (from about a thousand rows on) or `sigmoid`;
    null: they stay as the estimator gives them."""
    conformal: ConformalPolicy | None = None
    """Judges sets of labels beside single ones; a regression answers with intervals. null: there
    are none."""
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
    KPI, or in the cost of a decision where there are `costs` or `class_costs`; of several classes,
    than always the most frequent one (with costs the cheapest one) and the rule; of a regression,
    than the median of its labels and the rule, in mean absolute error. null: it only stands in the
    report."""

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
        if self.error_costs is None and any(one.metric == "expected_cost" for one in self.gates):
            raise ValueError("a gate on expected_cost needs costs, of several classes class_costs")
        return self

    @property
    def error_costs(self) -> DecisionCosts | ClassErrorCosts | None:
        """What errors cost by declaration, whichever task it is."""
        return self.costs or self.class_costs

    @property
    def needs_calibration_rows(self) -> bool:
        """Whether something is learned from rows that the estimator does not see."""
        return not (self.costs is None and self.calibration is None and self.conformal is None)
