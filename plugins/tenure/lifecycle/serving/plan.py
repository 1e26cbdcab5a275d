"""The traffic plan, its lease, and how subjects are routed by it."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.serving.access import ApiKey
from tenure.vocabulary import BASIS_POINTS, State

GONE = frozenset({State.RETIRING, State.ARCHIVED, State.DELETED})
"""States in which a version never answers again (HTTP 410)."""


class Arm(StrEnum):
    """Who answers, or was to answer."""

    CHAMPION = "champion"
    CANARY = "canary"
    RULE = "rule"


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
class CanaryStop:
    """Who stopped which canary at one gateway, when and why; whether the database knows."""

    model: str
    version_id: int
    version: int
    by: str
    reason: str
    at: datetime
    is_reported: bool = False


@dataclass(frozen=True)
class Catalog:
    """One reading of the lifecycle database: all that a gateway needs to know.

    Args:
        plans: Newest plan of each model.
        states: `model@version` to state, for every version.
        keys: The API keys in force.
        models: Every registered model, with or without a plan.
        versions: Row id to version, for versions that plans name.
        read_at: When it was read, by the database's clock; None for a copy on disk.
    """

    plans: list[TrafficPlan] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    keys: list[ApiKey] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    versions: dict[int, VersionRecord] = field(default_factory=dict)
    read_at: datetime | None = None


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


def hold(plan: TrafficPlan, *, read_at: datetime | None, monotonic_at: float) -> HeldPlan:
    """Take a plan into use at the moment when this reader sees its generation first.

    The lease is never longer than `lease_seconds` and never reaches past `lease_until`, so a plan
    that is read late, or once more after a restart, does not lengthen it; nor does the reader's own
    wall clock, which is not asked.

    Args:
        plan: The plan.
        read_at: When it was read, by the database's clock; None when a copy on disk says so, not
            the database: then its canary gets nothing.
        monotonic_at: The reader's own monotonic seconds, not later than `read_at`.
    """
    if plan.lease_seconds is None or plan.lease_until is None:
        return HeldPlan(plan, None, read_at is not None)
    if read_at is None:
        return HeldPlan(plan, monotonic_at, is_confirmed=False)
    usable = min(float(plan.lease_seconds), (plan.lease_until - read_at).total_seconds())
    return HeldPlan(plan, monotonic_at + max(0.0, usable))


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


def caller_digest(key: bytes, client: str) -> str:
    """What the logs keep of who asked: of all keys of one name the same, and no subject's.

    The client may be a token's subject, which need not be whole Unicode.
    """
    name = client.encode(errors="surrogatepass")
    return hashlib.blake2b(name, key=key, digest_size=16, person=b"caller").hexdigest()
