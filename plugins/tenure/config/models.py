"""The three kinds of YAML: platform, dataset, model. Stages own their policies."""

from typing import Literal

from pydantic import Field, model_validator

from tenure.lifecycle.approval import ApprovalPolicy, RiskTier
from tenure.lifecycle.bias import BiasPolicy
from tenure.lifecycle.canary import CanaryPolicy
from tenure.lifecycle.decommission import DecommissionPolicy
from tenure.lifecycle.evaluation import EvaluationPolicy
from tenure.lifecycle.monitoring import MonitoringPolicy
from tenure.lifecycle.policy import Policy
from tenure.lifecycle.quality import QualityPolicy
from tenure.lifecycle.retraining import RetrainingPolicy
from tenure.lifecycle.serving import ServingPolicy
from tenure.lifecycle.sources import Contract, Source
from tenure.lifecycle.training import TrainingPolicy
from tenure.vocabulary import Id, Role


class PlatformConfig(Policy):
    """`platform.yaml`: who may do what."""

    roles: dict[Role, tuple[str, ...]]
    webhook_hosts: tuple[str, ...] = ("127.0.0.1",)
    """Hosts that notices may be posted to."""

    def allows(self, user: str, role: Role) -> bool:
        """Whether the user has the role; names compare without case."""
        return user.casefold() in {name.casefold() for name in self.roles.get(role, ())}


class DatasetConfig(Policy):
    """`datasets/<name>.yaml`."""

    name: Id
    description: str
    owner: str
    steward: str
    sensitivity: Literal["public", "internal", "restricted"] = "internal"
    source: Source = Source()
    schedule: str = "*/10 * * * *"
    """Cron expression; a sixth field means seconds."""
    contract: Contract
    time_column: str
    suite: Id
    quality: QualityPolicy = QualityPolicy()
    retention_days: int = Field(default=730, ge=1)

    @model_validator(mode="after")
    def _columns_exist(self) -> "DatasetConfig":
        known = self.contract.columns
        for column in (self.time_column, *self.contract.key):
            if column not in known:
                raise ValueError(f"{column!r} is not a column of the contract")
        return self


class Label(Policy):
    """What is predicted, and how long after the event it is known."""

    column: str
    horizon_hours: float = Field(default=24.0, ge=0.0)


class Features(Policy):
    """Columns that the model reads."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Numeric first, then categorical: the order everywhere."""
        return self.numeric + self.categorical


class Consumer(Policy):
    """Somebody who uses the answers and must hear of a retirement."""

    name: Id
    webhook: str | None = None
    """Full URL, or `env:NAME` to read it from the environment."""


class ModelConfig(Policy):
    """`models/<name>.yaml`."""

    name: Id
    purpose: str
    owner: str
    risk_tier: RiskTier = "limited"
    dataset: Id
    label: Label
    subject_column: str
    features: Features
    schedule: str = "0 6 * * *"
    """Cron expression of the monitoring DAG; a sixth field means seconds."""
    training: TrainingPolicy = TrainingPolicy()
    evaluation: EvaluationPolicy
    bias: BiasPolicy
    approval: ApprovalPolicy = ApprovalPolicy()
    serving: ServingPolicy = ServingPolicy()
    canary: CanaryPolicy
    monitoring: MonitoringPolicy = MonitoringPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    decommission: DecommissionPolicy = DecommissionPolicy()
    consumers: tuple[Consumer, ...] = ()

    @model_validator(mode="after")
    def _features_are_honest(self) -> "ModelConfig":
        if not self.features.all:
            raise ValueError("features: name at least one column")
        if self.label.column in self.features.all:
            raise ValueError(f"the label {self.label.column!r} is also a feature")
        return self
