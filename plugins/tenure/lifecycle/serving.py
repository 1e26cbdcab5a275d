"""How answers are given: the traffic plan, routing, the lease, the order of fallback."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy
from tenure.vocabulary import BASIS_POINTS, State

GONE = frozenset({State.RETIRING, State.ARCHIVED, State.DELETED})
"""States in which a version never answers again (HTTP 410)."""


Value = float | str | None
Score = Callable[[Sequence[Sequence[Value]]], Sequence[float]]
"""A loaded version: from rows (features in the signature's order) to one score each."""


class ServingPolicy(Policy):
    """What the gateway does for one model."""

    durability: Literal["fsync", "write"] = "fsync"
    """What an answer waits for: data on disk, or data with the kernel."""
    fallback_score: float = Field(default=0.0, ge=0.0, le=1.0)
    """Score of the declared rule that answers when no model can."""
    timeout_seconds: float = Field(default=2.0, gt=0.0)
    """Time that all models together have before the declared rule answers."""
    on_unseen_category: Literal["accept", "reject"] = "accept"
    on_out_of_range: Literal["accept", "reject"] = "accept"
    """A number outside what training saw: scored all the same, or a 422 that names the field."""


class Arm(StrEnum):
    """Who answers, or was to answer."""

    CHAMPION = "champion"
    CANARY = "canary"
    RULE = "rule"


class Level(StrEnum):
    """How far an answer fell: `model` is the assigned arm itself."""

    MODEL = "model"
    CHAMPION = "champion"
    RULE = "rule"
    REVIEW = "review"


@dataclass(frozen=True)
class TrafficPlan:
    """One generation of a model's plan as it stands in the lifecycle database."""

    model: str
    generation: int
    fence: int
    champion_id: int
    canary_id: int | None
    share_bp: int
    salt: str
    lease_seconds: int | None
    lease_until: datetime | None

    @property
    def version_ids(self) -> tuple[int, ...]:
        """Row ids of the versions that the plan names, champion first."""
        return (self.champion_id,) if self.canary_id is None else (self.champion_id, self.canary_id)


@dataclass(frozen=True)
class Catalog:
    """One reading of the lifecycle database: all that a gateway needs to know.

    Args:
        plans: Newest plan of each model.
        states: `model@version` to state, for every version.
        keys: (SHA-256 of the key, name, scopes) of the keys in force.
        models: Every registered model, with or without a plan.
        versions: Row id to version row, for versions that plans name.
    """

    plans: list[TrafficPlan] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    keys: list[tuple[str, str, list[str]]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    versions: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldPlan:
    """A plan in the hands of one reader, with the lease on the reader's own monotonic clock.

    Args:
        plan: The plan.
        lease_ends: Monotonic seconds at which the canary's share ends; None without a canary.
        is_confirmed: Whether the lifecycle database said so; else it comes from a copy on disk.
    """

    plan: TrafficPlan
    lease_ends: float | None
    is_confirmed: bool = True

    def seconds_left(self, monotonic_now: float) -> float | None:
        """Seconds until the canary loses its share, 0 afterwards; None without a canary."""
        return None if self.lease_ends is None else max(0.0, self.lease_ends - monotonic_now)

    def share_bp(self, monotonic_now: float) -> int:
        """The share in force: 0 without a canary, and from the moment when its lease has ended."""
        return self.plan.share_bp if self.seconds_left(monotonic_now) else 0


def hold(
    plan: TrafficPlan, *, wall_now: datetime, monotonic_now: float, confirmed: bool = True
) -> HeldPlan:
    """Take a plan into use at the moment when this reader sees its generation first.

    The lease is never longer than `lease_seconds` and never reaches past `lease_until`, so neither
    a plan that is read late nor a wall clock that is wrong can lengthen it. A plan that comes from
    a copy on disk (not `confirmed` by the lifecycle database) gives its canary nothing.
    """
    if plan.lease_seconds is None or plan.lease_until is None:
        return HeldPlan(plan, None, confirmed)
    remaining = (plan.lease_until - wall_now).total_seconds()
    usable = min(float(plan.lease_seconds), remaining) if confirmed else 0.0
    return HeldPlan(plan, monotonic_now + max(0.0, usable), confirmed)


def supersedes(plan: TrafficPlan, held: HeldPlan, *, confirmed: bool = True) -> bool:
    """Whether a plan replaces the held one: a newer generation, or the database's word for it.

    The same generation read again never does, or each look would renew the lease.
    """
    if plan.generation == held.plan.generation:
        return confirmed and not held.is_confirmed
    return plan.generation > held.plan.generation


def bucket(salt: str, subject: str) -> int:
    """Where a subject falls, 0…9999, the same for every gateway: blake2b(salt | subject)."""
    digest = hashlib.blake2b(f"{salt}|{subject}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % BASIS_POINTS


def assign(subject: str, *, salt: str, share_bp: int) -> Arm:
    """The arm of a subject; whoever is in the canary at 5% is in it at 50% as well."""
    return Arm.CANARY if bucket(salt, subject) < share_bp else Arm.CHAMPION


def pseudonym(key: bytes, subject: str) -> str:
    """What the decision log keeps instead of the subject: 32 hexadecimal characters.

    Without the key (16 to 64 bytes) nobody can try names until one fits.
    """
    return hashlib.blake2b(subject.encode(), key=key, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Step:
    """One attempt of the fallback chain.

    `ends_after` is when it is given up: seconds since the request began to be scored.
    """

    arm: Arm
    level: Level
    ends_after: float


def fallback_chain(assigned: Arm, budget_seconds: float) -> tuple[Step, ...]:
    """The models that are asked, in order; when all have failed, the declared rule answers.

    A canary gets half of the budget, so that the champion can still answer in time.
    """
    if assigned is Arm.CANARY:
        return (
            Step(Arm.CANARY, Level.MODEL, budget_seconds / 2),
            Step(Arm.CHAMPION, Level.CHAMPION, budget_seconds),
        )
    return (Step(Arm.CHAMPION, Level.MODEL, budget_seconds),)


def confidence(score: float, *, decision: bool) -> float:
    """Probability that the model itself gives to its decision."""
    return score if decision else 1.0 - score


@dataclass(frozen=True)
class Signature:
    """What a model reads: names, and what training saw of them.

    Args:
        numeric: Features that are numbers, in order.
        categorical: Features that are texts, in order.
        categories: Values that training saw, by categorical feature.
        ranges: (smallest, largest) that training saw, by numeric feature.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Signature":
        """Read the `facts` of a version row. Raises KeyError when features are not stated."""
        features = facts["features"]
        return cls(
            numeric=tuple(features.get("numeric", ())),
            categorical=tuple(features.get("categorical", ())),
            categories={k: frozenset(map(str, v)) for k, v in facts.get("categories", {}).items()},
            ranges={k: (float(v[0]), float(v[1])) for k, v in facts.get("ranges", {}).items()},
        )

    @property
    def features(self) -> tuple[str, ...]:
        """Numeric first, then categorical: the order of the serving frame."""
        return self.numeric + self.categorical

    def examples(self, count: int = 32) -> list[tuple[Value, ...]]:
        """Rows to warm a model up with: spread over what training saw, with nulls and a stranger.

        They are the same rows every time.
        """
        return [
            (
                *(self._number(name, row + place) for place, name in enumerate(self.numeric)),
                *(self._text(name, row + place) for place, name in enumerate(self.categorical)),
            )
            for row in range(count)
        ]

    def _number(self, name: str, turn: int) -> float | None:
        low, high = self.ranges.get(name, (0.0, 1.0))
        return None if turn % 9 == 8 else low + (high - low) * (turn % 7) / 6

    def _text(self, name: str, turn: int) -> str | None:
        values = [*sorted(self.categories.get(name, ())), None, "never seen"]
        return values[turn % len(values)]

    def or_also(self, other: "Signature | None") -> "Signature":
        """What a request may hold while two versions are live; self says what it must hold."""
        if other is None:
            return self
        known = set(self.features)
        return Signature(
            self.numeric + tuple(f for f in other.numeric if f not in known),
            self.categorical + tuple(f for f in other.categorical if f not in known),
            {**other.categories, **self.categories},
            {**other.ranges, **self.ranges},
        )
