"""Is the candidate good enough: metrics with intervals against a stated gate.

`policy` what a YAML may state · `gate` the judgement · `metrics` the numbers. All but the metrics
are light to import.
"""

from tenure.lifecycle.training.evaluation.gate import (
    CONFIDENCE,
    MetricEstimate,
    intervals,
    judge,
    values,
)
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy, Metric, MetricGate

__all__ = [
    "CONFIDENCE",
    "EvaluationPolicy",
    "Metric",
    "MetricEstimate",
    "MetricGate",
    "intervals",
    "judge",
    "values",
]
