"""The three kinds of YAML: platform, dataset, model. Stages own their policies."""

from typing import Annotated, get_args

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from tenure.config.task_rules import task_faults
from tenure.lifecycle.audit.witness import LedgerPolicy
from tenure.lifecycle.data.quality import QualityPolicy
from tenure.lifecycle.data.sensitivity import Sensitivity
from tenure.lifecycle.data.sources import Contract, Source
from tenure.lifecycle.monitoring import BudgetPolicy, MonitoringPolicy
from tenure.lifecycle.monitoring.retraining import RetrainingPolicy
from tenure.lifecycle.policy import Policy
from tenure.lifecycle.promotion.approval import ApprovalPolicy, RiskTier
from tenure.lifecycle.promotion.canary import CanaryPolicy
from tenure.lifecycle.retirement.decommission import DecommissionPolicy
from tenure.lifecycle.serving import GatewayPolicy, ServingPolicy
from tenure.lifecycle.serving.silence import WatchPolicy
from tenure.lifecycle.serving.spelling import spell
from tenure.lifecycle.task import Task
from tenure.lifecycle.training import TrainingPolicy
from tenure.lifecycle.training.bias import (
    BiasPolicy,
    ErrorBiasPolicy,
    ErrorName,
    MitigationPolicy,
)
from tenure.lifecycle.training.classes import ClassRule
from tenure.lifecycle.training.evaluation import EvaluationPolicy
from tenure.lifecycle.training.labels import LabelRule
from tenure.lifecycle.training.numbers import NumberRule, OutcomeRule
from tenure.lifecycle.training.policy import INTERPRETABLE
from tenure.vocabulary import Id, Role, TextRule


def _fires(expression: str) -> str:
    """A cron expression that has a next time. Raises ValueError."""
    from croniter import CroniterError, croniter  # noqa: PLC0415  # 60 ms; Airflow's own reader

    try:
        croniter(expression, start_time=0).get_next()
    except (CroniterError, ValueError, KeyError) as error:
        raise ValueError(f"is no cron expression that ever fires ({error})") from None
    return expression


Cron = Annotated[str, AfterValidator(_fires)]
"""Five fields, or six with seconds at the end."""


def _procedure(text: str) -> str:
    """Prose that people read on the decision map. Raises ValueError."""
    if problem := TextRule(20_000, is_prose=True).problem(text):
        raise ValueError(f"it {problem}")
    return text


AlertAddress = Annotated[str, Field(pattern="^env:[A-Z][A-Z0-9_]{0,99}$")]
"""Such URLs hold secrets, which stand in no YAML."""


class PlatformConfig(Policy):
    """`platform.yaml`: who may do what."""

    roles: dict[Role, tuple[str, ...]]
    """Users by role: viewer, trainer, approver, operator, decommissioner, steward, auditor."""
    webhook_hosts: tuple[str, ...] = ("127.0.0.1",)
    """Hosts that notices may be posted to."""
    alert_channels: dict[Id, AlertAddress] = Field(default_factory=dict)
    """Where alerts go besides `tenure_alerts`: `env:NAME` of a variable with an Apprise URL."""
    gateway: GatewayPolicy = GatewayPolicy()
    watch: WatchPolicy = WatchPolicy()
    monitoring: BudgetPolicy = BudgetPolicy()
    ledger: LedgerPolicy = LedgerPolicy()

    def allows(self, user: str, role: Role) -> bool:
        """Whether the user has the role; names compare without case."""
        return user.casefold() in {name.casefold() for name in self.roles.get(role, ())}


class DatasetConfig(Policy):
    """`datasets/<name>.yaml`."""

    name: Id
    """As the file is called."""
    description: str
    """What a row is, in a sentence."""
    owner: str
    """Who answers for the source."""
    steward: str
    """Who keeps the suite, and hears of a batch that is refused."""
    sensitivity: Sensitivity = "internal"
    """`restricted`: the store must encrypt, and pages show no value of it."""
    source: Source = Source()
    schedule: Cron = "*/10 * * * *"
    """Cron expression; a sixth field means seconds."""
    contract: Contract
    time_column: str | None = None
    """When what a row tells happened. Without one, models state another split than `temporal`."""
    entity_column: str | None = None
    """Whom or what a row is about; a new model takes it as its subject."""
    suite: Id
    """File in `include/expectations/`, without its suffix."""
    quality: QualityPolicy = QualityPolicy()
    retention_days: int = Field(default=730, ge=1)
    """Days that refused files are kept; nothing removes snapshots yet."""

    @model_validator(mode="after")
    def _columns_exist(self) -> "DatasetConfig":
        known = self.contract.columns
        named = (*self.structure, *([self.entity_column] if self.entity_column else []))
        for column in named:
            if column not in known:
                raise ValueError(f"{column!r} is not a column of the contract")
        time = self.time_column
        if time is not None and known[time].type != "timestamp":
            raise ValueError(f"the time column {time!r} is {known[time].type}, not timestamp")
        if time is not None and known[time].sensitivity == "personal":
            raise ValueError(f"the time column {self.time_column!r} cannot be personal")
        return self

    @property
    def structure(self) -> tuple[str, ...]:
        """Columns without which a batch has no sense: its time and its key."""
        time = () if self.time_column is None else (self.time_column,)
        return (*time, *self.contract.key)


class WorkerPlacement(Policy):
    """Which of Airflow's workers run the tasks of a stage, and how many of them at once."""

    pool: str | None = Field(default=None, min_length=1, max_length=256)
    """Pool of Airflow whose slots say how many tasks run at once; null: `default_pool`. One that
    Airflow does not have is an incident: its tasks would wait for ever."""
    slots: int = Field(default=1, ge=1)
    """How many slots of the pool each task takes."""
    queue: str | None = Field(default=None, min_length=1, max_length=256)
    """Queue that the workers must listen to (Celery); null: the default queue of the executor."""


class StagePlacements(Policy):
    """Where the heavy stages of a model run; all others run anywhere."""

    training: WorkerPlacement = WorkerPlacement()
    batch_scoring: WorkerPlacement = WorkerPlacement()

    @property
    def stages(self) -> tuple[WorkerPlacement, ...]:
        """All of them."""
        return self.training, self.batch_scoring


class Label(Policy):
    """What is predicted, and how long after the event it is known."""

    column: str
    """Column of the dataset."""
    positive: bool | int | float | str | None = None
    """The value that is true; null: the column is boolean, or exactly 0 or 1."""
    negative: bool | int | float | str | None = None
    """The value that is false; null: the only other value of the rows that are trained on. Posted
    and landed outcomes may be this value only where it is declared."""
    horizon_hours: float = Field(default=24.0, ge=0.0)
    """Hours after the event until the label is known for sure."""

    @field_validator("positive", "negative", mode="before")
    @classmethod
    def _is_one_value(cls, value: object) -> object:
        if not isinstance(value, bool | int | float | str | None) or value == "":
            raise ValueError("write a word (in quotes), a number, true or false")
        return value

    @model_validator(mode="after")
    def _values_differ(self) -> "Label":
        if self.positive is None and self.negative is not None:
            raise ValueError("`negative` needs `positive` beside it")
        if self.positive is not None and self.rule.positive == self.rule.negative:
            raise ValueError(f"`positive` and `negative` are both {self.rule.positive!r}")
        return self

    @property
    def rule(self) -> LabelRule:
        """Which values are true, and which are false."""
        written = (None if v is None else spell(v) for v in (self.positive, self.negative))
        return LabelRule(*written)


class LandedOutcomes(Policy):
    """Outcomes that come as a dataset: `decision_id` or `request_id`, `label`, `observed_at`.

    A snapshot is complete up to its latest `observed_at`: the watermark moves there.
    """

    dataset: Id
    """Dataset that the outcomes land in."""


class Features(Policy):
    """Columns that the model reads."""

    numeric: tuple[str, ...] = ()
    """Columns that are read as numbers."""
    categorical: tuple[str, ...] = ()
    """Columns that are read as the text of a category."""
    dates: tuple[str, ...] = ()
    """Columns of times that are read by parts: year, month, day, weekday, hour, days since 1970."""

    @property
    def texts(self) -> tuple[str, ...]:
        """What comes as a text: categories, then dates."""
        return self.categorical + self.dates

    @property
    def all(self) -> tuple[str, ...]:
        """Numeric first, then texts: the order everywhere."""
        return self.numeric + self.texts


class Consumer(Policy):
    """Somebody who uses the answers and must hear of a retirement."""

    name: Id
    """Who it is."""
    webhook: str | None = None
    """Full URL, or `env:NAME` to read it from the environment."""


def _bias_kind(value: object) -> str:
    """Which of the two bias gates is meant: its metric says it."""
    metric = value.get("metric") if isinstance(value, dict) else getattr(value, "metric", None)
    return ERROR_BIAS if metric in get_args(ErrorName) else RATE_BIAS


RATE_BIAS, ERROR_BIAS = "(rates)", "(errors)"
"""How pydantic names the two bias gates where it says what is wrong."""
BiasGate = Annotated[
    Annotated[BiasPolicy, Tag(RATE_BIAS)] | Annotated[ErrorBiasPolicy, Tag(ERROR_BIAS)],
    Discriminator(_bias_kind),
]


class ModelConfig(Policy):
    """`models/<name>.yaml`."""

    name: Id
    """As the file is called."""
    purpose: str
    """What the model is for, in a sentence."""
    owner: str
    """Who answers for the model; counts as its trainer where nobody started the run."""
    risk_tier: RiskTier = "limited"
    """How many people approve a version: one for `minimal` and `limited`, two for `high`."""
    dataset: Id
    """What it is trained on."""
    task: Task = "binary"
    """What is predicted: `binary`, whether the label is positive; `multiclass`, which of three to a
    hundred classes it is; `regression`, a number."""
    label: Label
    outcomes: LandedOutcomes | None = None
    """None: outcomes are posted to the gateways."""
    subject_column: str | None = None
    """Whom a decision is about: the same subject always gets the same arm of a canary; null: each
    request, and each row of a batch, is one of its own."""
    features: Features
    personal: dict[str, str] = Field(default_factory=dict)
    """Personal columns that the model reads in clear, each with the reason why it must."""
    schedule: Cron = "0 6 * * *"
    """Cron expression of the monitoring DAG; a sixth field means seconds."""
    training: TrainingPolicy = TrainingPolicy()
    evaluation: EvaluationPolicy
    bias: BiasGate
    approval: ApprovalPolicy = ApprovalPolicy()
    serving: ServingPolicy = ServingPolicy()
    canary: CanaryPolicy
    monitoring: MonitoringPolicy = MonitoringPolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    decommission: DecommissionPolicy = DecommissionPolicy()
    workers: StagePlacements = StagePlacements()
    consumers: tuple[Consumer, ...] = ()
    procedure: Annotated[str, AfterValidator(_procedure)] | None = None
    """What people do with the answers, step by step (SOP), up to 20,000 characters; each version
    keeps that of its YAML."""

    @model_validator(mode="after")
    def _features_are_honest(self) -> "ModelConfig":
        if not self.features.all:
            raise ValueError("features: name at least one column")
        if self.label.column in self.features.all:
            raise ValueError(f"the label {self.label.column!r} is also a feature")
        if self.label.column in self.bias.attributes:
            raise ValueError(f"the label {self.label.column!r} is also an attribute of bias")
        if self.label.column == self.training.sample_weight:
            raise ValueError(f"the label {self.label.column!r} is also training.sample_weight")
        for column in self.features.all:
            if self.features.all.count(column) > 1:
                raise ValueError(f"features: {column!r} stands there twice")
        return self

    @model_validator(mode="after")
    def _fits_its_task(self) -> "ModelConfig":
        if faults := list(task_faults(self)):
            raise ValueError("; ".join(faults))
        return self

    @property
    def outcome_rule(self) -> OutcomeRule:
        """What counts as an outcome, in training, landed and posted."""
        if self.task == "binary":
            return self.label.rule
        return NumberRule() if self.task == "regression" else ClassRule()

    @property
    def declared_classes(self) -> dict[tuple[str, ...], tuple[str, ...]]:
        """Classes that are named beside the rows, by key; empty unless it is multiclass."""
        rule, bias = self.serving.fallback_class, self.bias
        if self.task != "multiclass" or rule is None or isinstance(bias, ErrorBiasPolicy):
            return {}
        costs = self.evaluation.class_costs
        return {
            ("serving", "fallback_class"): (rule,),
            ("bias", "positive"): bias.positive,
            ("evaluation", "class_costs"): () if costs is None else costs.names,
        }

    @property
    def threshold(self) -> float | None:
        """From which score on a version decides `positive`; None unless it is binary."""
        return self.evaluation.threshold if self.task == "binary" else None

    @property
    def mitigation(self) -> MitigationPolicy | None:
        """What the training does about gaps between groups; None: nothing."""
        return self.bias.mitigation if isinstance(self.bias, BiasPolicy) else None

    @property
    def needs_calibration_rows(self) -> bool:
        """Whether something is learned from rows that the estimator does not see."""
        mitigation = self.mitigation
        by_group = mitigation is not None and mitigation.method == "group_thresholds"
        return by_group or self.evaluation.needs_calibration_rows

    @property
    def needs_waiver(self) -> bool:
        """Whether its risk tier asks for an estimator that people can read, and it has another."""
        return self.risk_tier == "high" and self.training.estimator not in INTERPRETABLE

    @property
    def columns(self) -> frozenset[str]:
        """Every column of the dataset that the model names, but its time."""
        subject = () if self.subject_column is None else (self.subject_column,)
        return self.number_columns | self.text_columns | {*subject}

    @property
    def number_columns(self) -> frozenset[str]:
        """Columns read as numbers or as yes and no: numeric features, weights, most labels."""
        weight = self.training.sample_weight
        weights = () if weight is None else (weight,)
        label = () if self.task == "multiclass" else (self.label.column,)
        return frozenset({*self.features.numeric, *label, *weights})

    @property
    def text_columns(self) -> frozenset[str]:
        """Columns read as they are written: texts, groups, labels of several classes."""
        group = self.training.group_column
        groups = () if group is None else (group,)
        label = (self.label.column,) if self.task == "multiclass" else ()
        return frozenset({*self.features.texts, *self.bias.attributes, *groups, *label})

    def time_in(self, dataset: DatasetConfig) -> str | None:
        """The column of the dataset that says when a row happened; None: nothing says it."""
        return self.training.time_column or dataset.time_column

    @model_validator(mode="after")
    def _personal_columns_are_read_for_a_reason(self) -> "ModelConfig":
        for column, reason in self.personal.items():
            if column not in self.columns:
                raise ValueError(f"personal: the model does not read {column!r}")
            if len(reason.split()) < _REASON_WORDS:
                raise ValueError(f"personal: say in a few words why {column!r} is read in clear")
        return self


_REASON_WORDS = 3
