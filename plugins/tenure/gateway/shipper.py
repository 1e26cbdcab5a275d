"""Brings sealed segments to the object store, in order, each exactly once by its name."""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tenure.gateway import wal

logger = logging.getLogger(__name__)

Deliver = Callable[[str, Sequence[bytes]], None]

_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)


class Shipper:
    """One thread a log. A segment is deleted after its records are stored, never before.

    Args:
        folder: Folder of the segments.
        deliver: Stores the payloads of a segment, given its name. It writes to keys that depend on
            the name and the payloads alone, so doing it again after a crash changes nothing.
    """

    def __init__(self, folder: Path, deliver: Deliver) -> None:
        self._folder = folder
        self._deliver = deliver
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
            done = self.ship_all()
            if self._stopping and (done or self._failures > 1):
                return

    def _pause(self) -> float | None:
        if not self._failures:
            return None
        return _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS)) - 1]

    def _ship(self, path: Path) -> None:
        data = path.read_bytes()
        payloads, good = wal.read_frames(data)
        if payloads:
            self._deliver(path.stem, payloads)
        if good == len(data):
            path.unlink()
            return
        damaged = self._folder / "damaged"
        damaged.mkdir(exist_ok=True)
        path.rename(damaged / path.name)
        logger.error(
            "segment=damaged name=%s good_bytes=%s bytes=%s kept_in=%s",
            path.name,
            good,
            len(data),
            damaged.name,
        )
