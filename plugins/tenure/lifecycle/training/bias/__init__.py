"""Does the model treat groups alike: confusion cells per group, metrics, intervals, verdict.

`policy` what a YAML may state · `disparity` the numbers · `audit` the judgement. Only the policy is
light to import.
"""

from tenure.lifecycle.training.bias.policy import RATES, BiasPolicy, RateName

__all__ = ["RATES", "BiasPolicy", "RateName"]
