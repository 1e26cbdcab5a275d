"""The traffic plan, its lease, and how subjects are routed by it."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
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
    """One generation of a model's plan as it stands in the lifecycle database.

    `champion_until` and `canary_until` are the ends of the authorizations of the two arms; a moment
    in the past says that an arm had none when the plan was made.
    """

    model: str
    generation: int
    fence: int
    champion_id: int
    canary_id: int | None
    share_bp: int
    salt: str
    lease_seconds: int | None
    lease_until: datetime | None
    champion_until: datetime
    canary_until: datetime | None

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
        known_at: Of a copy on disk: the latest minute of the database's clock that its writer knew
            of. A reader whose own clock is earlier takes it for a clock that was set back.
    """

    plans: list[TrafficPlan] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    keys: list[ApiKey] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    versions: dict[int, VersionRecord] = field(default_factory=dict)
    read_at: datetime | None = None
    known_at: datetime | None = None


@dataclass(frozen=True)
class ClockReading:
    """What time it was at a moment of the reader's own monotonic clock.

    Args:
        at: The time, by the database's clock if it was asked.
        monotonic: Seconds of the reader's monotonic clock at that moment.
    """

    at: datetime
    monotonic: float

    def time_at(self, monotonic: float) -> datetime:
        """What time it is at another moment of the monotonic clock."""
        return self.at + timedelta(seconds=monotonic - self.monotonic)

    def monotonic_at(self, moment: datetime) -> float:
        """Monotonic seconds at which that moment comes, or came."""
        return self.monotonic + (moment - self.at).total_seconds()


@dataclass(frozen=True)
class HeldPlan:
    """A plan in the hands of one reader, with every end on the reader's own monotonic clock.

    Args:
        plan: The plan.
        lease_ends: Monotonic seconds at which the canary's share ends; None without a canary.
        champion_ends: Those at which the champion's authorization ends.
        canary_ends: Those at which the canary's does; None without a canary.
        is_confirmed: Whether the lifecycle database said so; else it comes from a copy on disk.
    """

    plan: TrafficPlan
    lease_ends: float | None
    champion_ends: float
    canary_ends: float | None
    is_confirmed: bool = True

    def seconds_left(self, monotonic_now: float) -> float | None:
        """Seconds until the canary loses its share, 0 afterwards; None without a canary."""
        return None if self.lease_ends is None else max(0.0, self.lease_ends - monotonic_now)

    def share_bp(self, monotonic_now: float) -> int:
        """The share in force: 0 without a canary, and from the moment when its lease has ended."""
        return self.plan.share_bp if self.seconds_left(monotonic_now) else 0

    def ended(self, arm: Arm, monotonic_now: float) -> datetime | None:
        """When the authorization of an arm ended; None while it has one, and of the rule."""
        ends, until = {
            Arm.CHAMPION: (self.champion_ends, self.plan.champion_until),
            Arm.CANARY: (self.canary_ends, self.plan.canary_until),
        }.get(arm, (None, None))
        return None if ends is None or monotonic_now < ends else until

    def corrected(self, clock: ClockReading) -> "HeldPlan":
        """The same plan after another look at the clock: ends may come sooner, and never later.

        A machine that slept is put right by it; a clock that was set back changes nothing.
        """
        champion, canary = _ends(self.plan, clock)
        if canary is not None and self.canary_ends is not None:
            canary = min(canary, self.canary_ends)
        champion = min(champion, self.champion_ends)
        return replace(self, champion_ends=champion, canary_ends=canary)


def _ends(plan: TrafficPlan, clock: ClockReading) -> tuple[float, float | None]:
    """Monotonic seconds at which the authorizations of champion and canary end."""
    canary = None if plan.canary_until is None else clock.monotonic_at(plan.canary_until)
    return clock.monotonic_at(plan.champion_until), canary


def hold(
    plan: TrafficPlan, *, read_at: datetime | None, monotonic_at: float, clock: ClockReading
) -> HeldPlan:
    """Take a plan into use at the moment when this reader sees its generation first.

    The lease is never longer than `lease_seconds` and never reaches past `lease_until`, so a plan
    that is read late, or once more after a restart, does not lengthen it; nor does the reader's own
    wall clock, which is not asked.

    Args:
        plan: The plan.
        read_at: When it was read, by the database's clock; None when a copy on disk says so, not
            the database: then its canary gets nothing.
        monotonic_at: The reader's own monotonic seconds, not later than `read_at`.
        clock: What time it is, as far as this reader can know; authorizations end by it.
    """
    ends = _ends(plan, clock)
    if plan.lease_seconds is None or plan.lease_until is None:
        return HeldPlan(plan, None, *ends, is_confirmed=read_at is not None)
    if read_at is None:
        return HeldPlan(plan, monotonic_at, *ends, is_confirmed=False)
    usable = min(float(plan.lease_seconds), (plan.lease_until - read_at).total_seconds())
    return HeldPlan(plan, monotonic_at + max(0.0, usable), *ends)


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
