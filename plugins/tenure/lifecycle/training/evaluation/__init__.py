"""Is the candidate good enough: metrics with intervals against a stated gate.

`policy` what a YAML may state · `gate` the judgement · `metrics` the numbers · `costs` the
threshold that costs least · `calibration` the reliability of scores. Policy and gate are light to
import.
"""

from tenure.lifecycle.training.evaluation.gate import (
    CONFIDENCE,
    Appraisal,
    MetricEstimate,
    intervals,
    judge,
    values,
)
from tenure.lifecycle.training.evaluation.policy import (
    DecisionCosts,
    EvaluationPolicy,
    GateMetric,
    Metric,
    MetricGate,
)

__all__ = [
    "CONFIDENCE",
    "Appraisal",
    "DecisionCosts",
    "EvaluationPolicy",
    "GateMetric",
    "Metric",
    "MetricEstimate",
    "MetricGate",
    "intervals",
    "judge",
    "values",
]
