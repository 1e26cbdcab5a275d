"""Brings sealed segments to the object store, oldest first, each exactly once by its name."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tenure.errors import ConfigInvalid, NotPermitted, ServiceUnreachable
from tenure.failpoints import failpoint
from tenure.gateway.log import wal
from tenure.lifecycle.decisions.decision_log import Trouble

logger = logging.getLogger(__name__)

TRIES = 5
"""So often a segment fails by itself before later ones pass it; so often all, before it is told."""
ASIDE_SECONDS = 600.0
"""How long until what was put aside is tried again."""
_IDLE_SECONDS = 60.0
_RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0)
_NOT_ITS_FAULT = (ServiceUnreachable, NotPermitted, ConfigInvalid, OSError)
"""What any other segment would meet as well, so that all of them wait."""

DAMAGED, UNSHIPPABLE, WAITING = "log_damaged", "log_unshippable", "log_waiting"
"""Kinds of incident about a log."""


class DeliveryHeldBack(Exception):
    """All is stored but what rests on older segments: it is to be delivered again after them."""


class Deliver(Protocol):
    """Stores the payloads of a segment, given its name.

    It writes to keys that depend on the name and the payloads alone, so doing it again after a
    crash changes nothing. Raises HeldBack when something must not be seen before older segments
    (`after_gap`: there are some that are not stored).
    """

    def __call__(self, segment: str, payloads: Sequence[bytes], *, after_gap: bool = False) -> None:
        """Store it; it can be deleted when this returns."""


Alarm = Callable[[str, Mapping[str, Trouble]], None]
"""Tells somebody, given the log's name, how kinds of trouble stand that changed; it may fail."""


class Shipper:
    """One thread a log. A segment is deleted after its records are stored, never before.

    Args:
        folder: Folder of the segments.
        deliver: Stores a segment.
        alarm: Told of trouble, and of its end.
        on_empty: Called when nothing waits, at least every minute.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        folder: Path,
        deliver: Deliver,
        *,
        alarm: Alarm = lambda _log, _troubles: None,
        on_empty: Callable[[], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._deliver = deliver
        self._alarm = alarm
        self._on_empty = on_empty
        self._monotonic = monotonic
        self._told: dict[str, Trouble] = {}
        self._is_heard = True
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._failures = 0
        """Rounds in a row that left something."""
        self._stuck = 0
        """Rounds in a row that what was not their fault ended."""
        self._tries: Counter[str] = Counter()
        """How often a segment failed by itself."""
        self._held: set[str] = set()
        """Put aside for the sake of older ones: nothing is gained by trying them before those."""
        self._causes: dict[str, str] = {}
        self._aside_at = monotonic()
        """From when on what was put aside is tried: at once, for the code may be another."""
        self._thread = threading.Thread(target=self._run, name=f"ship-{folder.name}", daemon=True)

    @property
    def waiting(self) -> int:
        """Sealed segments that are not in the store yet, without those that were put aside."""
        return len(wal.sealed_segments(self._folder))

    @property
    def aside(self) -> dict[str, int]:
        """Segments that somebody has to look at, by the folder in which they lie."""
        return {
            wal.DAMAGED: len(wal.damaged_files(self._folder)),
            wal.UNSHIPPABLE: len(wal.unshippable(self._folder)),
        }

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """A segment was sealed."""
        self._wake.set()

    def close(self, timeout_seconds: float = 10.0) -> None:
        """Ship what is sealed and end; what cannot be shipped in time stays for the next start."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def ship_all(self) -> bool:
        """Ship what waits, oldest first; False when something still does.

        What fails by itself is passed by later ones, and put aside when it failed often enough.
        """
        left = after_gap = False
        for path in self._due():
            is_aside = path.parent != self._folder
            if after_gap and path.name in self._held:
                continue
            try:
                self._ship(path, after_gap=after_gap or self._is_after_aside(path))
            except _NOT_ITS_FAULT as error:
                self._warn(path, error)
                self._stuck += 1
                left = True
                break
            except Exception as error:  # whatever it is, the records are safe here
                self._warn(path, error)
                after_gap = True
                if is_aside and isinstance(error, DeliveryHeldBack):
                    self._held.add(path.name)
                left = not (is_aside or self._is_put_aside(path, error)) or left
        else:
            self._stuck = 0
        self._failures = self._failures + 1 if left else 0
        return not left

    def _due(self) -> list[Path]:
        """What waits, and now and then what was put aside; then what still holds is told again."""
        waiting = wal.sealed_segments(self._folder)
        if self._monotonic() < self._aside_at:
            return waiting
        self._aside_at = self._monotonic() + ASIDE_SECONDS
        self._told = {kind: one for kind, one in self._told.items() if not one.segments}
        return sorted([*waiting, *wal.unshippable(self._folder)], key=lambda path: path.name)

    def _is_after_aside(self, path: Path) -> bool:
        return any(other.name < path.name for other in wal.unshippable(self._folder))

    def _is_put_aside(self, path: Path, error: Exception) -> bool:
        """Whether later segments need not wait for this one any more."""
        is_held = isinstance(error, DeliveryHeldBack)
        self._tries[path.name] += not is_held
        if not (self._is_after_aside(path) if is_held else self._tries[path.name] >= TRIES):
            return False
        try:
            wal.put_out_of_the_way(path)
        except OSError as full:
            self._warn(path, full)
            return False
        del self._tries[path.name]
        if is_held:
            self._held.add(path.name)
        else:
            self._causes[UNSHIPPABLE] = f"{path.name}: {_cause(error)}"
            logger.error("ship=put_aside log=%s segment=%s", self._folder.name, path.name)
        return True

    def _warn(self, path: Path, error: Exception) -> None:
        self._causes[WAITING] = _cause(error)
        logger.warning(
            "ship=failed log=%s segment=%s attempt=%s cause=%s",
            self._folder.name,
            path.name,
            max(self._failures, self._tries[path.name]) + 1,
            _cause(error),
        )

    def _run(self) -> None:
        while True:
            # What is sealed meanwhile cuts no pause short that a failure began.
            (self._stop if self._failures else self._wake).wait(self._pause())
            self._wake.clear()
            is_last = self._stop.is_set()  # before the look: it sees what was sealed until then
            done = self._ship_all_safely()
            self._look_around(done)
            if is_last and (done or self._failures > 1):
                return

    def _ship_all_safely(self) -> bool:
        """As `ship_all`, which meets what no segment is to blame for: a folder that is not read."""
        try:
            return self.ship_all()
        except Exception as error:
            self._causes[WAITING] = _cause(error)
            self._failures += 1
            self._stuck += 1
            logger.warning("ship=failed log=%s cause=%s", self._folder.name, _cause(error))
            return False

    def _look_around(self, done: bool) -> None:
        """Never fails: a shipper that dies would let the disk fill up."""
        try:
            found = {
                kind: Trouble(names, self._causes.get(kind, "")) for kind, names in self._troubles()
            }
            changed = {kind: one for kind, one in found.items() if one != self._told.get(kind)}
            if changed:
                self._alarm(self._folder.name, changed)
            self._told |= changed
            self._is_heard = True
            needs_keys = found[DAMAGED].segments or found[UNSHIPPABLE].segments
            if done and not needs_keys and self._on_empty is not None:
                self._on_empty()
        except Exception as error:  # told again in the next round
            if self._is_heard:
                logger.warning("ship=no_alarm log=%s cause=%r", self._folder.name, error)
            self._is_heard = False

    def _troubles(self) -> list[tuple[str, tuple[str, ...]]]:
        """Each kind of trouble with the segments that have it."""
        stuck = wal.sealed_segments(self._folder)[:1] if self._stuck >= TRIES else []
        aside = wal.unshippable(self._folder)
        return [
            (DAMAGED, tuple(path.name for path in wal.damaged_files(self._folder))),
            (UNSHIPPABLE, tuple(path.name for path in aside if path.name not in self._held)),
            (WAITING, tuple(path.name for path in stuck)),
        ]

    def _pause(self) -> float:
        if not self._failures:
            return _IDLE_SECONDS
        return _RETRY_SECONDS[min(self._failures, len(_RETRY_SECONDS)) - 1]

    def _ship(self, path: Path, *, after_gap: bool) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:  # a bad block of the disk: others read well
            raise _Unreadable(error.strerror or str(error)) from error
        payloads, good = wal.read_frames(data)
        if payloads:
            self._deliver(path.stem, payloads, after_gap=after_gap)
        failpoint("ship.delivered")
        if good < len(data):
            wal.set_aside(path, self._folder, good)
        else:
            path.unlink()
        self._held.discard(path.name)
        self._tries.pop(path.name, None)


class _Unreadable(Exception):
    """The segment's own file cannot be read."""


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
