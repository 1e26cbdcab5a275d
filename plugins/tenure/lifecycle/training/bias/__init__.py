"""Does the model treat groups alike: confusion cells per group, metrics, intervals, verdict.

`policy` what a YAML may state · `cells` groups and their counts · `disparity` rates and intervals ·
`comparison` the gaps between groups · `audit` the judgement; of a regression: `error_policy` and
`errors`. Only the policies are light to import.
"""

from tenure.lifecycle.training.bias.error_policy import ErrorBiasPolicy, ErrorName
from tenure.lifecycle.training.bias.policy import BiasPolicy, MetricName

__all__ = ["BiasPolicy", "ErrorBiasPolicy", "ErrorName", "MetricName"]
