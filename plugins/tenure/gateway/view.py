"""What requests are answered by: an immutable view that the follower swaps as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenure.gateway.keys import Key
from tenure.gateway.scoring import Scorer
from tenure.lifecycle.serving import HeldPlan, ServingPolicy, Signature


@dataclass(frozen=True)
class LoadedVersion:
    """A version that a plan names. Without a `scorer` it could not be loaded: others answer."""

    id: int
    version: int
    threshold: float
    signature: Signature
    scorer: Scorer | None


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

    @property
    def is_ready(self) -> bool:
        """Whether a verified champion is in memory."""
        return self.champion.scorer is not None

    @property
    def is_complete(self) -> bool:
        """Whether every version that the plan names is in memory."""
        without_canary = self.held.plan.canary_id is None
        return self.is_ready and (
            without_canary or (self.canary is not None and self.canary.scorer is not None)
        )


@dataclass(frozen=True)
class View:
    """Everything that a request needs to know.

    Args:
        models: Models with a plan.
        known: Every registered model.
        states: `model@version` to state.
        keys: Keys in force by digest.
    """

    models: Mapping[str, ServedModel] = field(default_factory=dict)
    known: frozenset[str] = frozenset()
    states: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Key] = field(default_factory=dict)
