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

from tenure.gateway import wal
from tenure.gateway.refusals import Refusal

logger = logging.getLogger(__name__)

ROTATE_SECONDS = 1.0
ROTATE_BYTES = 8 * 1024 * 1024
_GROUP = 512
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
        self._failure: str | None = None
        self._lost = False
        self._thread = threading.Thread(target=self._run, name=f"log-{folder.name}", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Why the last write failed; None while the log works."""
        return self._failure

    async def append(self, payload: bytes, *, sync: bool) -> None:
        """Wait until the record is durable: on disk with `sync`, else with the kernel.

        Raises:
            Refusal: 503; the record is not in the log and the answer must not be given.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(_Entry(wal.frame(payload), sync, done))
        await done

    def close(self) -> None:
        """Write what was handed in, seal the segment, end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            group, closing = self._next_group()
            if group:
                self._commit(group)
            if closing or self._is_due():
                self._rotate()
            if self._failure and not self._lost:
                self._probe()

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
        try:
            self._write(b"".join(e.frame for e in group), sync=any(e.sync for e in group))
            self._failure = None
        except OSError as error:
            self._failure = f"{type(error).__name__}: {error.strerror or error}"
            logger.error("decision_log=failed folder=%s cause=%s", self._folder.name, self._failure)  # noqa: TRY400
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
        except OSError as error:
            self._lost = True
            self._failure = f"{type(error).__name__}: {error.strerror or error}"
            logger.exception("decision_log=not_sealed segment=%s", segment.path.name)
        self._on_sealed()


def _deliver(group: list[_Entry], failure: str | None) -> None:
    """Wake all waiters of one group with one call into their loop."""

    def wake() -> None:
        for entry in group:
            if entry.done.done():
                continue
            if failure is None:
                entry.done.set_result(None)
            else:
                entry.done.set_exception(unlogged(failure))

    try:
        group[0].done.get_loop().call_soon_threadsafe(wake)
    except RuntimeError:  # the loop is closed: nobody waits any more
        logger.warning("decision_log=no_waiter records=%s", len(group))


def unlogged(failure: str) -> Refusal:
    """The answer of a gateway that cannot write: no decision without its record."""
    return Refusal(
        503, "log_unavailable", f"No decision can be logged, so none is given ({failure})."
    )
