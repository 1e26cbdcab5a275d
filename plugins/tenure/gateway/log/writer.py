"""The writer of a log: one thread that commits in groups, and rotates segments for the shipper."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.log import wal

logger = logging.getLogger(__name__)

ROTATE_SECONDS = 1.0
ROTATE_BYTES = 8 * 1024 * 1024
_GROUP = 512
HANG_SECONDS = 5.0
"""So long one write or sync may take before those who wait for it are refused."""
_LOOK_SECONDS = 0.5
_CLOSE_SECONDS = 10.0
_SEALED_BY_SECONDS = 60.0
"""Long after a segment is sealed, as far as nothing is wrong with the disk."""
_REPEAT_SECONDS = 60.0
_PROBE_SECONDS = 1.0
_PROBE_BYTES = 256 * 1024


@dataclass(frozen=True)
class _Entry:
    frame: bytes
    sync: bool
    done: "asyncio.Future[None]"


class GroupLog:
    """Appends records durably; many answers wait for one fsync.

    Args:
        folder: Folder of the segments, made when missing; what a killed process left is sealed.
        new_id: Source of unguessable ids, so that no segment name ever comes twice.
        on_sealed: Called in the writer's thread whenever a segment waits for the shipper.
    """

    def __init__(
        self, folder: Path, *, new_id: Callable[[], str], on_sealed: Callable[[], None]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        wal.recover(folder)
        self._folder = folder
        self._new_id = new_id
        self._on_sealed = on_sealed
        self._number = wal.next_number(folder)
        self._segment: wal.Segment | None = None
        self._opened_at = 0.0
        self._queue: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        self._ending = threading.Lock()
        """Held while something is put into the queue: nothing may come after its end."""
        self._is_closed = False
        self._failure: str | None = None
        self._lost = False
        self._complaints = _Complaints(folder.name)
        self._busy_since: float | None = None
        """Monotonic seconds; None while the thread waits for work."""
        self._group: list[_Entry] = []
        """What the thread writes now."""
        self._waiting = 0
        self._looked_at: float | None = None
        """What the thread was busy with at the last look, and at how many looks before."""
        self._looks = 0
        self._watched: asyncio.AbstractEventLoop | None = None
        """The loop in which somebody looks whether the thread hangs."""
        self._thread = threading.Thread(target=self._run, name=f"log-{folder.name}", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why the last write failed, or does not end; None while the log works."""
        return self._failure or self._hang()

    @property
    def is_sound(self) -> bool:
        """Whether all that was written is sealed, or will be in a moment."""
        segment = self._segment
        age = time.monotonic() - self._opened_at
        is_late = segment is not None and not segment.is_empty and age > _SEALED_BY_SECONDS
        return self.failure is None and not is_late

    async def append(self, payload: bytes, *, sync: bool) -> None:
        """Wait until the record is durable: on disk with `sync`, else with the kernel.

        Raises:
            Refusal: 503; the answer must not be given. The record is not in the log, unless the
                disk hung: then it may come to be there, and nobody was told of it.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        entry = _Entry(wal.frame(payload), sync, done)
        with self._ending:
            if self._is_closed:
                raise unlogged("this gateway is ending")
            if (hang := self._hang()) is not None:
                raise unlogged(hang)
            self._queue.put(entry)
        if self._watched is not loop:
            self._watched = loop
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        self._waiting += 1
        try:
            await done
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Write what was handed in, seal the segment, end the thread; refuse what comes later."""
        with self._ending:
            self._is_closed = True
            self._queue.put(None)
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():  # what it has written is found by the next start
            logger.error(
                "decision_log=not_closed folder=%s cause=%s", self._folder.name, self.failure
            )

    def _hang(self) -> str | None:
        """What to say when the thread has been at one piece of work for too long.

        Counted in looks: while a process is stopped the clock goes on, and the disk is sound.
        """
        if self._looks * _LOOK_SECONDS < HANG_SECONDS or self._busy_since != self._looked_at:
            return None
        return f"the disk has not answered for over {HANG_SECONDS:g} s"

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """One timer for all who wait, until all is sealed: refuse them when the thread hangs."""
        since = self._busy_since
        self._looks = self._looks + 1 if since is not None and since == self._looked_at else 0
        self._looked_at = since
        if (hang := self._hang()) is not None:
            late = [one for one in (*self._group, *self._taken_back()) if not one.done.done()]
            self._complaints.say(hang, len(late))
            _wake(late, hang)
        segment = self._segment
        if self._waiting or since is not None or not (segment is None or segment.is_empty):
            loop.call_later(_LOOK_SECONDS, self._look, loop)
        elif self._watched is loop:
            self._watched = None

    def _taken_back(self) -> list[_Entry]:
        """What is in the queue still, and will not be written."""
        taken: list[_Entry] = []
        with self._ending, suppress(queue.Empty):
            while (entry := self._queue.get_nowait()) is not None:
                taken.append(entry)
            self._queue.put(None)  # the end, which is the last
        return taken

    def _run(self) -> None:
        closing = False
        while not closing:
            group, closing = self._next_group()
            self._busy_since = time.monotonic()
            if group:
                self._commit(group)
            if closing or self._is_due():
                self._rotate()
            if self._failure and not self._lost:
                self._probe()
            self._busy_since = None
            self._group = []

    def _next_group(self) -> tuple[list[_Entry], bool]:
        """Everything that waits now; while the last group was synced, the next one gathered."""
        group: list[_Entry] = []
        try:
            entry = self._queue.get(timeout=self._patience())
            while entry is not None:
                group.append(entry)
                if len(group) >= _GROUP:
                    return group, False
                entry = self._queue.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _patience(self) -> float | None:
        if self._failure:
            return _PROBE_SECONDS
        if self._segment is None or self._segment.is_empty:
            return None
        return max(0.0, self._opened_at + ROTATE_SECONDS - time.monotonic())

    def _commit(self, group: list[_Entry]) -> None:
        self._group = group
        try:
            self._write(b"".join(e.frame for e in group), sync=any(e.sync for e in group))
            self._failure = None
        except Exception as error:  # whatever it is: a thread that dies would answer nobody again
            self._failure = _cause(error)
        self._complaints.say(self._failure, len(group))
        _deliver(group, self._failure)

    def _write(self, frames: bytes, *, sync: bool) -> None:
        if self._lost:
            raise OSError(5, "an earlier sync failed; restart the gateway when the disk is sound")
        if self._segment is None:
            name = f"{self._number:09d}-{self._new_id()}{wal.OPEN}"
            self._segment = wal.Segment(self._folder / name)
            self._number += 1
        if self._segment.is_empty:
            self._opened_at = time.monotonic()
        try:
            self._segment.append(frames, sync=sync)
        finally:
            self._lost = self._segment.is_broken

    def _probe(self) -> None:
        """Look whether the disk takes data again: a gateway that is not ready gets no requests."""
        probe = self._folder / ".probe"
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
            self._failure = None
        except OSError:
            return
        finally:
            with suppress(OSError):  # a disk that is read-only now refuses this as well
                probe.unlink(missing_ok=True)

    def _is_due(self) -> bool:
        if self._segment is None or self._segment.is_empty:
            return False
        age = time.monotonic() - self._opened_at
        return age >= ROTATE_SECONDS or self._segment.size >= ROTATE_BYTES

    def _rotate(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            segment.close()
        except Exception as error:  # as above
            self._lost = True
            self._failure = _cause(error)
            logger.exception("decision_log=not_sealed segment=%s", segment.path.name)
        self._on_sealed()


def _deliver(group: list[_Entry], failure: str | None) -> None:
    """Wake all waiters of one group with one call into their loop."""
    try:
        group[0].done.get_loop().call_soon_threadsafe(_wake, group, failure)
    except RuntimeError:  # the loop is closed: nobody waits any more
        logger.warning("decision_log=no_waiter records=%s", len(group))


def _wake(entries: list[_Entry], failure: str | None) -> None:
    for entry in entries:
        if entry.done.done():
            continue
        if failure is None:
            entry.done.set_result(None)
        else:
            entry.done.set_exception(unlogged(failure))


class _Complaints:
    """Says once that a log fails, then once a minute how much was refused, and that it is over."""

    def __init__(self, folder: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._monotonic = monotonic
        self._said: str | None = None
        self._said_at = 0.0
        self._is_over = True
        self._refused = 0

    def say(self, failure: str | None, records: int) -> None:
        """How a group of records fared."""
        if failure is not None:
            self._refused += records
            now = self._monotonic()
            if failure != self._said or now - self._said_at >= _REPEAT_SECONDS:
                self._said, self._said_at, self._is_over = failure, now, False
                text = "decision_log=failed folder=%s refused=%s cause=%s"
                logger.error(text, self._folder, self._refused, failure)
        elif not self._is_over:
            self._is_over = True
            text = "decision_log=works folder=%s refused=%s"
            logger.warning(text, self._folder, self._refused)


def _cause(error: Exception) -> str:
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"


def unlogged(failure: str) -> Refusal:
    """The answer of a gateway that cannot write: no decision without its record."""
    return Refusal(
        503, "log_unavailable", f"No decision can be logged, so none is given ({failure})."
    )
