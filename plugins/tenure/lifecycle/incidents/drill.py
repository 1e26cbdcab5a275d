"""Drills: named faults, which kind of incident each one makes, and what the last one showed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Drill:
    """A fault that is injected into a sandbox copy.

    Args:
        kind: Of the incident that it makes.
        about: What is done, and what has to happen then.
        counted_from: What its seconds are counted from.
        subject: Of the incident; empty for any.
    """

    kind: str
    about: str
    counted_from: str
    subject: str = ""


DRILLS: Mapping[str, Drill] = {
    "rejected-batch": Drill(
        "DataRejected",
        "A batch whose column lost half of its values lands. The gate refuses it and publishes "
        "nothing; then the repaired file lands.",
        "the run that takes the file",
    ),
    "gateway-killed": Drill(
        "silent",
        "A gateway is ended by SIGKILL. Who watches misses it and posts that; then it is started "
        "again.",
        "the kill",
        subject="gateway",
    ),
    "database-down": Drill(
        "silent",
        "PostgreSQL is ended by SIGKILL. Who watches posts that without a database; then it is "
        "started again, and whatever was committed is there.",
        "the kill",
        subject="database",
    ),
    "ledger-changed": Drill(
        "LedgerBroken",
        "Somebody with all rights in the database rewrites an event of the ledger. The next "
        "verification finds it; then the event is restored.",
        "the next maintenance, which comes every 5 minutes",
    ),
}
"""By the name that `tenure drill` takes."""


@dataclass(frozen=True)
class DrillResult:
    """How a drill went; seconds from the same moment, None for what did not happen in time.

    Args:
        name: Of the drill.
        began_at: When the fault was injected.
        found: An incident or a notice said that something is wrong.
        alerted: The receiver was told.
        back: All was right again, after the repair that the drill itself makes at the alert.
        problem: Why it stopped before the end; empty when it did not.
    """

    name: str
    began_at: datetime
    found: float | None
    alerted: float | None
    back: float | None
    problem: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the fault was found, somebody was told, and all was right again."""
        return None not in {self.found, self.alerted, self.back} and not self.problem


@dataclass(frozen=True)
class LastDrill:
    """The newest record of a drill."""

    name: str
    at: datetime
    actor: str
    found: float | None
    alerted: float | None
    back: float | None
    problem: str


def drills_of(kind: str, subject: str) -> list[str]:
    """Names of the drills that make such an incident.

    >>> drills_of("silent", "gateway"), drills_of("silent", "scheduler"), drills_of("Killed", "x")
    (['gateway-killed'], [], [])
    """
    return [
        name for name, one in DRILLS.items() if one.kind == kind and one.subject in {"", subject}
    ]


def drill_words(name: str, last: LastDrill | None, now: datetime) -> str:
    """What the page of an incident says of a drill.

    >>> drill_words("gateway-killed", None, datetime(2026, 5, 1))
    'never drilled'
    """
    if last is None:
        return "never drilled"
    when = f"last drilled {_age(now, last.at)} by {last.actor}"
    if last.problem:
        return f"{when}: failed, {last.problem}"
    found, alerted, back = (_seconds(one) for one in (last.found, last.alerted, last.back))
    since = DRILLS[name].counted_from
    return f"{when}: found in {found}, told in {alerted}, back in {back}, counted from {since}"


def _age(now: datetime, at: datetime) -> str:
    days = (now - at).days
    return "today" if days < 1 else "1 day ago" if days == 1 else f"{days} days ago"


def _seconds(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
