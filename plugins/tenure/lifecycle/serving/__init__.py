"""How answers are given: the traffic plan, routing, the lease, the order of fallback."""

from tenure.lifecycle.serving.access import SCOPES, ApiKey, GatewayPolicy, JwtPolicy, Scope
from tenure.lifecycle.serving.fallback import (
    Breaker,
    Circuit,
    FallbackStep,
    Level,
    confidence,
    fallback_chain,
    restart_delay,
)
from tenure.lifecycle.serving.plan import (
    GONE,
    Arm,
    CanaryStop,
    Catalog,
    HeldPlan,
    TrafficPlan,
    assign,
    bucket,
    caller_digest,
    hold,
    pseudonym,
    supersedes,
)
from tenure.lifecycle.serving.policy import OnnxPolicy, ServingPolicy
from tenure.lifecycle.serving.signature import MAX_TEXT, Score, Signature, Value

__all__ = [
    "GONE",
    "MAX_TEXT",
    "SCOPES",
    "ApiKey",
    "Arm",
    "Breaker",
    "CanaryStop",
    "Catalog",
    "Circuit",
    "FallbackStep",
    "GatewayPolicy",
    "HeldPlan",
    "JwtPolicy",
    "Level",
    "OnnxPolicy",
    "Scope",
    "Score",
    "ServingPolicy",
    "Signature",
    "TrafficPlan",
    "Value",
    "assign",
    "bucket",
    "caller_digest",
    "confidence",
    "fallback_chain",
    "hold",
    "pseudonym",
    "restart_delay",
    "supersedes",
]
