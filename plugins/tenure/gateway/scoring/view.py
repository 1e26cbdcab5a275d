"""What requests are answered by: an immutable view that the follower swaps as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from tenure.gateway.contract.keys import Caller
from tenure.gateway.contract.rows import RowRules
from tenure.gateway.scoring.batches import Scorer
from tenure.gateway.scoring.cache import ScoreCache
from tenure.lifecycle.class_answers import ClassCosts
from tenure.lifecycle.serving import Breaker, HeldPlan, ServingPolicy, Signature
from tenure.lifecycle.task import Task


@dataclass(frozen=True)
class LoadedVersion:
    """A version that a plan names. Without a `scorer` it could not be loaded: others answer.

    `threshold` is None for a regression, and for a version that states no facts, which is never
    loaded. `task` says what its scores are, `classes` of which classes they are where there are
    several.

    The breaker belongs to the version, not to a process of it: it outlives restarts.
    """

    id: int
    version: int
    threshold: float | None
    signature: Signature
    scorer: Scorer | None
    breaker: Breaker = field(default_factory=Breaker, compare=False)
    cache: ScoreCache = field(default_factory=ScoreCache, compare=False)
    variant: str = "native"
    """What scores it: `native` is scikit-learn, or `onnx`."""
    task: Task = "binary"
    classes: tuple[str, ...] = ()
    coverage: float | None = None
    """What the intervals of a regression promise; None where it gives none."""
    class_costs: ClassCosts | None = None
    """Of answers, where the cheapest class is answered and not the most probable one."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it answers, by name."""
        if self.task == "regression":
            return ("prediction",) if self.coverage is None else ("prediction", "lower", "upper")
        return ("score", "decision") if self.task == "binary" else ("label", "probability")

    @property
    def is_alive(self) -> bool:
        """Whether its process runs, verified and warm."""
        return self.scorer is not None and self.scorer.is_alive

    def decides(self, score: float) -> bool | None:
        """Whether the score is a positive decision; None unless the model is binary.

        No score of a rule is positive without a threshold.
        """
        if self.task != "binary":
            return None
        return self.threshold is not None and score >= self.threshold


@dataclass(frozen=True)
class ServedModel:
    """One model as it is served now.

    `accepts` is what a request may hold: the champion's signature, and what only the canary reads.
    """

    name: str
    held: HeldPlan
    champion: LoadedVersion
    canary: LoadedVersion | None
    policy: ServingPolicy
    accepts: Signature

    @cached_property
    def contract(self) -> RowRules:
        """What the rows of a request are held to."""
        return RowRules(self.accepts, self.champion.signature.features, self.policy)

    @property
    def live(self) -> tuple[LoadedVersion, ...]:
        """The versions of the plan, champion first."""
        return (self.champion,) if self.canary is None else (self.champion, self.canary)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a live version may answer, by name."""
        return tuple(dict.fromkeys(name for one in self.live for name in one.outputs))

    @property
    def is_ready(self) -> bool:
        """Whether a verified champion can answer."""
        return self.champion.is_alive

    @property
    def is_complete(self) -> bool:
        """Whether every version that the plan names can answer."""
        without_canary = self.held.plan.canary_id is None
        return self.is_ready and (
            without_canary or (self.canary is not None and self.canary.is_alive)
        )


def served(
    held: HeldPlan, arms: list[LoadedVersion | None], policy: ServingPolicy
) -> ServedModel | None:
    """The model by a plan; None when not even the description of the champion is known."""
    champion, canary = (*arms, None)[:2]
    if champion is None:
        return None
    return ServedModel(
        name=held.plan.model,
        held=held,
        champion=champion,
        canary=canary,
        policy=policy,
        accepts=champion.signature.or_also(canary.signature if canary else None),
    )


@dataclass(frozen=True)
class ServingView:
    """Everything that a request needs to know.

    Args:
        models: Models with a plan.
        known: Every registered model.
        states: `model@version` to state.
        keys: Keys in force by digest; None until they were read once.
    """

    models: Mapping[str, ServedModel] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    states: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Caller] | None = None
