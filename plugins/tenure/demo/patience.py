"""How long people wait: for as long as something moves."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STILL_SECONDS = 240.0
_LOOK_SECONDS = 5.0


@dataclass
class Patience:
    """Is over when nothing has moved for a while; on a busy machine all takes longer, but moves.

    Args:
        look: What is there now; a value other than the last one is a movement.
        still_seconds: How long nothing may move.
        clock: Seconds that only grow.
    """

    look: Callable[[], object]
    still_seconds: float = STILL_SECONDS
    clock: Callable[[], float] = time.monotonic
    _last: object = None
    _moved_at: float = field(init=False)
    _looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._moved_at = self._looked_at = self.clock()

    def is_over(self) -> bool:
        """Whether to give up; looks every few seconds at most."""
        now = self.clock()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            there = self.look()
            if there != self._last:
                self._last, self._moved_at = there, now
        return now - self._moved_at > self.still_seconds
