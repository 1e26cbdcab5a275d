"""Brings sealed segments to the object store, in order, each exactly once by its name."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tenure.failpoints import failpoint
from tenure.gateway import wal

logger = logging.getLogger(__name__)

Deliver = Callable[[str, Sequence[bytes]], None]

_IDLE_SECONDS = 60.0
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)


class Shipper:
    """One thread a log. A segment is deleted after its records are stored, never before.

    Args:
        folder: Folder of the segments.
        deliver: Stores the payloads of a segment, given its name. It writes to keys that depend on
            the name and the payloads alone, so doing it again after a crash changes nothing.
        alarm: Tells somebody (given the log's name) which files were set aside; it may fail.
        on_empty: Called when nothing waits, at least every minute.
    """

    def __init__(
        self,
        folder: Path,
        deliver: Deliver,
        *,
        alarm: Callable[[str, Sequence[str]], None] = lambda _log, _files: None,
        on_empty: Callable[[], None] | None = None,
    ) -> None:
        self._folder = folder
        self._deliver = deliver
        self._alarm = alarm
        self._on_empty = on_empty
        self._told: list[str] = []
        self._wake = threading.Event()
        self._stopping = False
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"ship-{folder.name}", daemon=True)

    @property
    def waiting(self) -> int:
        """Sealed segments that are not in the store yet."""
        return len(wal.sealed_segments(self._folder))

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """A segment was sealed."""
        self._wake.set()

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Ship what is sealed and end; what cannot be shipped in time stays for the next start."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def ship_all(self) -> bool:
        """Ship what waits, oldest first; False when one could not be shipped (the rest waits)."""
        for path in wal.sealed_segments(self._folder):
            try:
                self._ship(path)
            except (
                Exception
            ) as error:  # whatever it is, the records are safe here and it is tried again
                self._failures += 1
                cause = f"{type(error).__name__}: {error}".splitlines()[0]
                logger.warning(
                    "ship=failed log=%s segment=%s attempt=%s cause=%s",
                    self._folder.name,
                    path.name,
                    self._failures,
                    cause,
                )
                return False
        self._failures = 0
        return True

    def _run(self) -> None:
        while True:
            self._wake.wait(self._pause())
            self._wake.clear()
            is_last = self._stopping  # known before the look: what was sealed before is seen by it
            done = self.ship_all()
            self._look_around(done)
            if is_last and (done or self._failures > 1):
                return

    def _look_around(self, done: bool) -> None:
        """Never fails: a shipper that dies would let the disk fill up."""
        aside = [path.name for path in wal.damaged_files(self._folder)]
        try:
            if aside != self._told and aside:
                self._alarm(self._folder.name, aside)
            self._told = aside
            if done and not aside and self._on_empty is not None:
                self._on_empty()
        except Exception as error:  # told again in the next round
            logger.warning("ship=no_alarm log=%s cause=%r", self._folder.name, error)

    def _pause(self) -> float:
        if not self._failures:
            return _IDLE_SECONDS
        return _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS)) - 1]

    def _ship(self, path: Path) -> None:
        data = path.read_bytes()
        payloads, good = wal.read_frames(data)
        if payloads:
            self._deliver(path.stem, payloads)
        failpoint("ship.delivered")
        if good == len(data):
            path.unlink()
            return
        wal.set_aside(path, good)
        path.unlink()
