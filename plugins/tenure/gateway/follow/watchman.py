"""A thread of the gateway that looks after those who look after the gateway."""

import logging
import threading
from typing import Protocol

logger = logging.getLogger(__name__)

_AFTER_TROUBLE_SECONDS = 60.0


class PlatformWatch(Protocol):
    """What is looked at, and reported when it is silent."""

    @property
    def look_seconds(self) -> float:
        """From one look to the next."""
        ...

    def look(self) -> object:
        """Look once, and report what changed."""
        ...


class Watchman:
    """Looks again and again, beside everything that serves.

    Args:
        watch: What it does; None for a gateway that watches nothing.
    """

    def __init__(self, watch: PlatformWatch | None) -> None:
        self._watch = watch
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchman", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._watch is not None:
            self._thread.start()

    def close(self) -> None:
        """Look no more; a look that is going on is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        assert self._watch is not None
        pause = 0.0
        while not self._stop.wait(pause):
            pause = _AFTER_TROUBLE_SECONDS
            try:
                pause = self._watch.look_seconds
                self._watch.look()
            except Exception:  # who dies would watch nothing, and nobody would know
                logger.exception("watchman=failed")
