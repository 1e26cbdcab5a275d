"""The order in which answers are sought when a model gives none."""

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from tenure.lifecycle.serving.plan import Arm


class Level(StrEnum):
    """How far an answer fell: `model` is the assigned arm itself."""

    MODEL = "model"
    CHAMPION = "champion"
    RULE = "rule"
    REVIEW = "review"


@dataclass(frozen=True)
class FallbackStep:
    """One attempt of the fallback chain.

    `ends_after` is when it is given up: seconds since the request began to be scored.
    """

    arm: Arm
    level: Level
    ends_after: float


def fallback_chain(assigned: Arm, budget_seconds: float) -> tuple[FallbackStep, ...]:
    """The models that are asked, in order; when all have failed, the declared rule answers.

    A canary gets half of the budget, so that the champion can still answer in time.
    """
    if assigned is Arm.CANARY:
        return (
            FallbackStep(Arm.CANARY, Level.MODEL, budget_seconds / 2),
            FallbackStep(Arm.CHAMPION, Level.CHAMPION, budget_seconds),
        )
    return (FallbackStep(Arm.CHAMPION, Level.MODEL, budget_seconds),)


def authorization_ended(at: datetime) -> str:
    """Why a version is not asked whose authorization ended, online and in a batch.

    >>> authorization_ended(datetime(2026, 12, 1, 10, 30, tzinfo=UTC))
    'authorization ended: 2026-12-01 10:30:00 UTC'
    """
    return f"authorization ended: {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def confidence(score: float, *, decision: bool) -> float:
    """Probability that the model itself gives to its decision."""
    return score if decision else 1.0 - score


_WINDOW, _FEWEST, _LIMIT = 20, 5, 0.5
_FIRST_SECONDS, _LONGEST_SECONDS = 1.0, 30.0


class Circuit(StrEnum):
    """Whether a version is asked: always, never, or once to see whether it works again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """Cuts off a version that keeps failing, so that nobody waits for it any more.

    It opens when half or more of the last 20 calls failed, at least 5 of them, and at once when a
    call killed the version's process or had it killed. Open, it lets nobody through for 1 s, then
    one call: success closes it, failure opens it for twice as long, at most 30 s. A probe of which
    nothing is heard for that long counts as lost, and another one goes.

    Times are seconds of one monotonic clock, handed in by the caller.
    """

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=_WINDOW)
        self._open_seconds = _FIRST_SECONDS
        self._opened_at: float | None = None
        self._probed_at: float | None = None

    def circuit(self, now: float) -> Circuit:
        """The state at this moment."""
        if self._opened_at is None:
            return Circuit.CLOSED
        ended = now - self._opened_at >= self._open_seconds
        return Circuit.HALF_OPEN if ended else Circuit.OPEN

    def allows(self, now: float) -> bool:
        """Whether a call may go through; in half-open state that takes the one place there is."""
        if self._opened_at is None:
            return True
        if self.circuit(now) is Circuit.OPEN:
            return False
        if self._probed_at is not None and now - self._probed_at < self._open_seconds:
            return False
        self._probed_at = now
        return True

    def succeeded(self, now: float) -> None:
        """A call gave a usable score. While open, that of an earlier call changes nothing."""
        if self.circuit(now) is Circuit.OPEN:
            return
        if self._opened_at is not None:
            self._recent.clear()
            self._opened_at = self._probed_at = None
            self._open_seconds = _FIRST_SECONDS
        self._recent.append(True)

    def failed(self, now: float, *, fatal: bool = False) -> None:
        """A call gave none, or was `fatal`. While open, an earlier call's changes nothing."""
        state = self.circuit(now)
        if state is Circuit.HALF_OPEN:
            self._open(now, min(_LONGEST_SECONDS, self._open_seconds * 2))
        elif state is Circuit.CLOSED:
            self._recent.append(False)
            failures = self._recent.count(False)
            if fatal or (failures >= _FEWEST and failures >= _LIMIT * len(self._recent)):
                self._open(now, _FIRST_SECONDS)

    def _open(self, now: float, seconds: float) -> None:
        self._opened_at, self._open_seconds, self._probed_at = now, seconds, None


def restart_delay(failures: int) -> float:
    """Seconds before a version is loaded again that failed so many times in a row, 1 and up.

    >>> [restart_delay(n) for n in (1, 2, 3, 8, 1000)]
    [0.5, 1.0, 2.0, 60.0, 60.0]
    """
    return min(60.0, 0.5 * 2.0 ** min(failures - 1, 10))
