"""Who must say yes, bound to exact bytes, until when."""

from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy

RiskTier = Literal["minimal", "limited", "high"]

QUORUM: dict[str, int] = {"minimal": 1, "limited": 1, "high": 2}
"""Distinct approvers that each risk tier needs."""


class ApprovalPolicy(Policy):
    """How long an approval holds and how long the question stays open."""

    valid_days: int = Field(default=30, ge=1)
    ask_hours: int = Field(default=72, ge=1)
