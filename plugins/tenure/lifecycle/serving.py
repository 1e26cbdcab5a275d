"""How answers are given: the traffic plan, routing, fallback, durability."""

from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy


class ServingPolicy(Policy):
    """What the gateway does for one model."""

    durability: Literal["fsync", "write"] = "fsync"
    """What an answer waits for: data on disk, or data with the kernel."""
    fallback_score: float = Field(default=0.0, ge=0.0, le=1.0)
    """Score of the declared rule that answers when no model can."""
    timeout_seconds: float = Field(default=2.0, gt=0.0)
    on_unseen_category: Literal["accept", "reject"] = "accept"
