"""When a part of the platform is silent: not heard of for more than two of its periods."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import Field

from tenure.lifecycle.policy import Policy

MISSED = 2
"""Periods without a sign of life after which a part is silent: one may get lost."""
MAINTENANCE_SECONDS = 300.0
"""So often `maintain_platform` runs."""


@dataclass(frozen=True)
class LifeSign:
    """The last that was heard of a part of the platform.

    Args:
        name: Of the part.
        seen_at: Its last sign of life; None when it never gave one.
        period_seconds: How often it gives one; None of a part whose age says nothing.
        trouble: What is wrong with it however alive it is; empty when nothing is known.
        note: What else is to be said, in a few words.
        is_needed: Whether one that never gave a sign of life is missed.
    """

    name: str
    seen_at: datetime | None
    period_seconds: float | None = None
    trouble: str = ""
    note: str = ""
    is_needed: bool = False

    def is_silent(self, now: datetime) -> bool:
        """Whether it was heard of once, and not for more than two periods.

        >>> from datetime import UTC
        >>> sign = LifeSign("scheduler", datetime(2026, 1, 1, tzinfo=UTC), period_seconds=15)
        >>> [sign.is_silent(datetime(2026, 1, 1, 0, 0, s, tzinfo=UTC)) for s in (30, 31)]
        [False, True]
        """
        return self.seen_at is not None and is_overdue(now - self.seen_at, self.period_seconds)

    def state(self, now: datetime) -> str:
        """`failed` when it is silent, missed or in trouble; `unknown` before its first sign."""
        if self.trouble or self.is_silent(now) or (self.seen_at is None and self.is_needed):
            return "failed"
        return "unknown" if self.seen_at is None else "passed"


def is_overdue(age: timedelta, period_seconds: float | None) -> bool:
    """Whether more than two periods went by."""
    return period_seconds is not None and age > timedelta(seconds=MISSED * period_seconds)


class WatchPolicy(Policy):
    """Who hears when what watches is silent itself."""

    webhook: str | None = None
    """Address, or `env:NAME` of a variable that holds it; its host stands in `webhook_hosts`."""
    period_seconds: float = Field(default=60.0, gt=0)
    """A part that gave no sign of life for so long is silent; gateways and `tenure watch` look
    twice in that time."""

    @property
    def look_seconds(self) -> float:
        """From one look to the next; two that find nothing are silence."""
        return self.period_seconds / MISSED


_CAUSES = {
    "maintenance": ("database", "api-server", "scheduler", "dag-processor"),
    "verification": ("database", "maintenance"),
    "scheduler": ("database", "api-server"),
    "triggerer": ("database", "api-server"),
    "dag-processor": ("database", "api-server"),
    "api-server": ("database",),
}
"""A part of which nothing can be known, or nothing else be expected, while another is silent."""


def outages(signs: Iterable[LifeSign], now: datetime) -> dict[str, bool]:
    """Whether each part is silent; without those that are silent because another one is.

    >>> from datetime import UTC
    >>> then, now = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    >>> parts = [LifeSign("scheduler", then, 30), LifeSign("maintenance", then, 300)]
    >>> outages([*parts, LifeSign("gateway", now, 30)], now)
    {'scheduler': True, 'gateway': False}
    """
    silent = {sign.name: sign.is_silent(now) for sign in signs if sign.seen_at is not None}
    return {
        name: is_silent
        for name, is_silent in silent.items()
        if not any(silent.get(cause) for cause in _CAUSES.get(name, ()))
    }
