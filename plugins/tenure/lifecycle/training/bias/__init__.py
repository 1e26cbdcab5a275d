"""Does the model treat groups alike: confusion cells per group, metrics, intervals, verdict.

`policy` what a YAML may state · `cells` groups and their counts · `disparity` rates and intervals ·
`comparison` the gaps between groups · `audit` the judgement. Only the policy is light to import.
"""

from tenure.lifecycle.training.bias.policy import BiasPolicy, MetricName

__all__ = ["BiasPolicy", "MetricName"]
