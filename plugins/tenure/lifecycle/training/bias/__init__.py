"""Does the model treat groups alike: confusion cells per group, metrics, intervals, verdict.

`policy` what a YAML may state · `cells` groups and their counts · `disparity` rates and intervals ·
`comparison` the gaps between groups · `audit` the judgement; of a regression: `error_policy` and
`errors`. `training_data` and `proxies` look at the rows that were learned from; `mitigation` makes
groups more alike, and `trade_off` says what that costs. Only the policies are light to import.
"""

from tenure.lifecycle.training.bias.error_policy import ErrorBiasPolicy, ErrorName
from tenure.lifecycle.training.bias.policy import BiasPolicy, MetricName, MitigationPolicy

__all__ = ["BiasPolicy", "ErrorBiasPolicy", "ErrorName", "MetricName", "MitigationPolicy"]
