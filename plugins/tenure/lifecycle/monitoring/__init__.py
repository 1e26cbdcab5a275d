"""Watching live decisions: drift, performance with late labels, fairness, data quality.

`policy` what a YAML may state · `window` which decisions are judged together · `drift`, `quality`,
`performance`, `fairness`, `feedback` one judgement each · `evidence`, `streams` which change pages.
Only the policy is light to import.
"""

from tenure.lifecycle.monitoring.policy import (
    FEEDBACK,
    LABELLED,
    LATE_OUTCOMES,
    UNLABELLED,
    BudgetPolicy,
    Kind,
    MonitoringPolicy,
)

__all__ = [
    "FEEDBACK",
    "LABELLED",
    "LATE_OUTCOMES",
    "UNLABELLED",
    "BudgetPolicy",
    "Kind",
    "MonitoringPolicy",
]
