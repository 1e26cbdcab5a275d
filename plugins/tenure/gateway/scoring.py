"""One thread a version scores what waits, in batches: 64 rows cost as much as one."""

import asyncio
import itertools
import logging
import math
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tenure.lifecycle.serving import Score, Value

logger = logging.getLogger(__name__)

Row = Sequence[Value]

BATCH_ROWS = 64
WINDOW_SECONDS = 0.001


class ScoringFailed(Exception):
    """A version gave no usable score; the message is a short reason for the answer and the log."""


@dataclass(frozen=True)
class _Job:
    rows: Sequence[Row]
    scores: "asyncio.Future[Sequence[float]]"


class Scorer:
    """The thread of one version. A hung model blocks only itself.

    Args:
        score: From rows to one score each; called in this thread only.
        name: For logs, as `flight_late@3`.
    """

    def __init__(self, score: Score, *, name: str) -> None:
        self._score = score
        self._name = name
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._busy_since: float | None = None
        threading.Thread(target=self._run, name=f"score-{name}", daemon=True).start()

    async def score(self, rows: Sequence[Row], *, timeout_seconds: float) -> Sequence[float]:
        """One finite score a row.

        Raises:
            ScoringFailed: The model raised, gave something else than probabilities, took too long,
                or has been hanging on an earlier batch for that long.
        """
        busy_since = self._busy_since
        if timeout_seconds <= 0 or (
            busy_since is not None and time.monotonic() - busy_since > timeout_seconds
        ):
            raise ScoringFailed("timeout")
        loop = asyncio.get_running_loop()
        scores: asyncio.Future[Sequence[float]] = loop.create_future()
        timer = loop.call_later(timeout_seconds, _give_up, scores)
        self._queue.put(_Job(rows, scores))
        try:
            return await scores
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the thread once it has scored what waits."""
        self._queue.put(None)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            batch, closing = self._gather(job)
            self._busy_since = time.monotonic()
            results = self._score_batch(batch)
            self._busy_since = None
            _deliver(batch, results)
            if closing:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        batch, rows = [first], len(first.rows)
        ends = time.monotonic() + WINDOW_SECONDS
        while rows < BATCH_ROWS:
            try:
                job = self._queue.get(timeout=max(0.0, ends - time.monotonic()))
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
            rows += len(job.rows)
        return batch, False

    def _score_batch(self, batch: list[_Job]) -> list[Sequence[float] | ScoringFailed]:
        """Together; when that fails each alone, so that one bad row does not spoil the others."""
        whole = self._score_rows([row for job in batch for row in job.rows])
        if isinstance(whole, ScoringFailed):
            if len(batch) == 1:
                return [whole]
            return [self._score_rows(job.rows) for job in batch]
        scores = iter(whole)
        return [list(itertools.islice(scores, len(job.rows))) for job in batch]

    def _score_rows(self, rows: Sequence[Row]) -> Sequence[float] | ScoringFailed:
        try:
            scores = self._score(rows)
        except Exception as error:  # the model's code is not ours; whatever it raises, we fall back
            logger.warning("score=failed version=%s cause=%r", self._name, error)
            return ScoringFailed(f"error: {type(error).__name__}")
        if len(scores) != len(rows):
            return ScoringFailed("wrong number of scores")
        if not all(math.isfinite(s) and 0.0 <= s <= 1.0 for s in scores):
            return ScoringFailed("score is not a probability")
        return scores


def _deliver(batch: list[_Job], results: Sequence[Sequence[float] | ScoringFailed]) -> None:
    """Hand all results over with one call into the loop."""

    def settle() -> None:
        for job, result in zip(batch, results, strict=True):
            if job.scores.done():
                continue
            if isinstance(result, ScoringFailed):
                job.scores.set_exception(result)
            else:
                job.scores.set_result(result)

    try:
        batch[0].scores.get_loop().call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed: nobody waits any more
        logger.warning("score=no_waiter requests=%s", len(batch))


def _give_up(scores: "asyncio.Future[Sequence[float]]") -> None:
    if not scores.done():
        scores.set_exception(ScoringFailed("timeout"))
