"""Kills that belong to one restart: tasks that one host lost at once are one cause."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tenure.lifecycle.incidents.cause import IncidentCause
from tenure.lifecycle.incidents.failure_card import KILLED, FailureCard

TOGETHER = timedelta(seconds=60)
"""How far apart two kills of one restart may be noticed.

A task of Airflow 3 gives a sign of life every 5 s and one that is missed is found every 10 s; its
callback then waits for a turn of the dag-processor.
"""


@dataclass(frozen=True)
class Kill:
    """A task that something outside ended.

    Args:
        host: Where it ran, as Airflow names it.
        at: When Airflow noticed.
    """

    host: str
    at: datetime


@dataclass(frozen=True)
class KillSpan:
    """Kills on one host that followed each other, and the open incident that has them."""

    incident: int
    dedupe_key: str
    host: str
    first: datetime
    last: datetime

    def holds(self, kill: Kill) -> bool:
        """Whether the kill belongs to them."""
        near = self.first - TOGETHER <= kill.at <= self.last + TOGETHER
        return near and self.host == kill.host

    def including(self, kill: Kill) -> "KillSpan":
        """With one more."""
        return replace(self, first=min(self.first, kill.at), last=max(self.last, kill.at))

    @property
    def cause(self) -> IncidentCause:
        """Of a restart that ended several tasks: the host, and when the first one was noticed."""
        return IncidentCause(KILLED, f"tasks on {self.host}", f"{_utc(self.first)} UTC")


def kill_of(card: FailureCard) -> Kill | None:
    """The kill that a card tells of; None for any other card, and where nobody knows the host."""
    if not card.was_killed or not card.host or card.noticed_at is None:
        return None
    return Kill(card.host, datetime.fromisoformat(card.noticed_at))


def restart_of(kill: Kill, spans: Sequence[KillSpan]) -> KillSpan | None:
    """The restart that the kill belongs to, of those whose incident is open; None for its own."""
    near = [span for span in spans if span.holds(kill)]
    return min(near, key=lambda span: span.incident) if near else None


def restart_card(span: KillSpan, members: int) -> FailureCard:
    """What is said of a restart in place of each of its cards.

    Args:
        span: Its kills.
        members: Task instances that it ended.
    """
    seconds = (span.last - span.first).total_seconds()
    return FailureCard(
        kind=KILLED,
        what=f"{members} tasks on {span.host} ended without a word within {seconds:.0f} s (noticed "
        f"{_utc(span.first)} to {_utc(span.last)} UTC): the machine, the scheduler or the executor "
        "there was restarted or killed, or its memory ran out.",
        still_safe="A change of state is one transaction: it happened whole or not at all. "
        "Gateways keep serving, and a canary falls back by itself when its lease ends.",
        next_step="Run `tenure status`: scheduler and executor must run. Then clear the failed "
        "tasks: work that was done is found and not done twice. If it happens again, look at the "
        "memory of that machine.",
    )


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
