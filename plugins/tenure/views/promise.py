"""The page Promise: how many pages are promised, how many were sent, and what of which stream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tenure.installation import Installation

if TYPE_CHECKING:
    from tenure.adapters.sql.streams import StoredStream, StoredWindow, StreamOwner

QUARTER = timedelta(days=365.25 / 4)
BY_LIMITS = ("performance_failed", "fairness_failed", "late_outcomes_failed")
"""Incidents that page when a limit of a YAML is broken, whatever the budget."""
SHOWN = 90
"""Windows in a picture."""
_HELD = frozenset({"alarm", "held"})


@dataclass(frozen=True)
class StreamLine:
    """A stream with its last windows, oldest first."""

    promise: "StoredStream"
    windows: "tuple[StoredWindow, ...]"

    @property
    def last(self) -> "StoredWindow | None":
        """The newest window."""
        return self.windows[-1] if self.windows else None

    @property
    def changed_on(self) -> "StoredWindow | None":
        """The alarm after which it is held; None where it is watched."""
        judged = [one for one in self.windows if one.state != "inconclusive"]
        if not judged or judged[-1].state not in _HELD:
            return None
        return next((one for one in reversed(judged) if one.state == "alarm"), None)

    @property
    def inconclusive(self) -> int:
        """How many of the windows had too few rows."""
        return sum(one.state == "inconclusive" for one in self.windows)


@dataclass(frozen=True)
class PromisedModel:
    """A champion with what is promised of each of its streams."""

    owner: "StreamOwner"
    streams: "Sequence[StoredStream]"

    @property
    def promised(self) -> int:
        """How many streams are promised."""
        return sum(one.since is not None for one in self.streams)

    @property
    def tested(self) -> int:
        """How many had enough windows for the test of their own history."""
        return sum(one.is_tested for one in self.streams)


@dataclass(frozen=True)
class PromisePage:
    """What the page shows.

    Args:
        pages_per_quarter: The budget.
        sent: Pages from the budget within the last quarter.
        by_limits: Incidents of the same time that a stated limit opened, by kind.
        models: Champions that the reader may see.
        hidden: How many others there are.
        shown: The one whose streams are drawn.
        lines: Its streams.
    """

    pages_per_quarter: float
    sent: int
    by_limits: dict[str, int]
    models: Sequence[PromisedModel]
    hidden: int
    shown: PromisedModel | None
    lines: Sequence[StreamLine]

    @property
    def streams(self) -> int:
        """How many streams the shown champions have."""
        return sum(len(one.streams) for one in self.models)

    @property
    def promised(self) -> int:
        """How many of them are promised."""
        return sum(one.promised for one in self.models)

    @property
    def tested(self) -> int:
        """How many of them were tested on their own history."""
        return sum(one.tested for one in self.models)


def promise_page(platform: Installation, model: str, may_see: Callable[[str], bool]) -> PromisePage:
    """The budget, what was sent, and the streams of one model: of this one, else of the first.

    Args:
        platform: The installation.
        model: Whose streams are drawn; empty for the first that has any.
        may_see: Whether the reader may see a model.
    """
    from tenure.adapters.sql import streams

    since = platform.clock.now() - QUARTER
    with platform.database.begin() as connection:
        sent = streams.pages_sent(connection, [streams.STREAM_ALARM, *BY_LIMITS], since)
        owners = streams.owners(connection)
        mine = [one for one in owners if may_see(one.model)]
        models = [PromisedModel(one, streams.promises(connection, one.id)) for one in mine]
        asked = [one for one in models if one.owner.model == model]
        shown = next(iter(asked or [one for one in models if one.streams]), None)
        drawn = streams.windows(connection, shown.owner.id, most=SHOWN) if shown is not None else []
    lines = [
        StreamLine(one, tuple(w for w in drawn if w.stream == one.stream))
        for one in (shown.streams if shown else ())
    ]
    return PromisePage(
        platform.config.monitoring.pages_per_quarter,
        sent.pop(streams.STREAM_ALARM, 0),
        sent,
        models,
        len(owners) - len(mine),
        shown,
        sorted(lines, key=lambda one: (one.changed_on is None, one.promise.since is None)),
    )
