"""Micro-batches to the process of one version: 64 rows cost as much as one.

What arrives while the process is busy goes to it together as soon as it answers, so batches grow
with the load and an idle process answers at once. All of it happens in the event loop.
"""

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec

from tenure.lifecycle.serving import RowAnswer, Value
from tenure.lifecycle.task import Task, is_answer, is_distribution, is_interval

logger = logging.getLogger(__name__)

Row = Sequence[Value]
"""What a version says of a row: one score, or the probability of each of several classes."""

BATCH_ROWS = 64
_HANGS = 0.9
"""Part of a request's time in the process after which that is to blame, not the queue."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[float | tuple[float, ...]] | str]).decode

_NO_ANSWER = {
    "binary": "score is not a probability",
    "multiclass": "scores are not the probabilities of all classes",
    "regression": "score is not a finite number",
}
_NO_INTERVAL = "prediction is not a finite number within its interval"
TIMEOUT, ENDED = "timeout", "process ended"
_REASON = re.compile(r"error: [A-Za-z_]\w{0,63}|wrong number of scores", re.ASCII)
"""What a process may say instead of scores: the class of an exception, never its message."""


class ScoringFailed(Exception):
    """A version gave no usable score; the message is a short reason for the answer and the log."""

    @property
    def kind(self) -> str:
        """The reason without what the model chose itself: one of a few, for metrics."""
        return str(self).partition(":")[0]


class Model(Protocol):
    """The process that holds a version, as the event loop uses it; nothing here ever waits.

    `variant` is what scores, `onnx` or `native`; `note` why it is native when it should not be;
    `missing_walls` what of its confinement does not hold.
    """

    variant: str
    note: str
    missing_walls: str

    def fileno(self) -> int:
        """What becomes readable when an answer came or the process ended."""
        ...

    def use_from_loop(self) -> None:
        """Called once, before the rest."""
        ...

    def push(self, message: bytes) -> bool:
        """Send; false when some of it has to wait for `flush`. Raises OSError."""
        ...

    def flush(self) -> bool:
        """Send what had to wait; false when some still has to. Raises OSError."""
        ...

    def feed(self) -> list[bytes]:
        """Whole messages that came. Raises EOFError, OSError, ValueError."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        ...

    def close(self) -> None:
        """Kill the process; a second call does nothing."""
        ...


@dataclass(frozen=True, eq=False)
class _Job:
    rows: Sequence[Row]
    scores: "asyncio.Future[Sequence[RowAnswer]]"
    timeout_seconds: float


class Scorer:
    """Asks the process of one version. When that hangs or dies, nothing else does.

    Args:
        model: The process; this scorer alone uses it from now on.
        name: For logs, as `flight_late@3`.
        task: What its scores have to be.
        classes: How many classes it tells apart; 0 unless it is multiclass.
        with_interval: Whether each number has to come with an interval.
    """

    def __init__(
        self,
        model: Model,
        *,
        name: str,
        task: Task = "binary",
        classes: int = 0,
        with_interval: bool = False,
    ) -> None:
        self._model = model
        self._task = task
        self._check = _check_of(task, classes, with_interval=with_interval)
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._attaching = threading.Lock()
        self._waiting: list[_Job] = []
        self._asked: list[_Job] = []
        self._asked_at = 0.0
        self._hang: asyncio.TimerHandle | None = None
        self._descriptor = -1
        self._is_due = False
        self._has_ended = False
        self._was_killed = False

    @property
    def is_alive(self) -> bool:
        """Whether the process can still answer."""
        return not self._has_ended and self._model.is_alive

    @property
    def died_scoring(self) -> bool:
        """Whether the process ended by itself, with rows in its hands."""
        return bool(self._asked) and not (self._was_killed or self.is_alive)

    async def score(self, rows: Sequence[Row], *, timeout_seconds: float) -> Sequence[RowAnswer]:
        """One finite score a row, the probabilities of its classes, or a number and its interval.

        Raises:
            ScoringFailed: The model raised, gave something else than answers, took too long
                or has been hanging on an earlier batch for that long, or its process ended.
        """
        loop = self._attached()
        if loop is None or self._has_ended:
            raise ScoringFailed(ENDED)
        if timeout_seconds <= 0 or self._hangs_for(timeout_seconds):
            raise ScoringFailed(TIMEOUT)
        job = _Job(rows, loop.create_future(), timeout_seconds)
        timer = loop.call_later(timeout_seconds, self._give_up, job)
        self._waiting.append(job)
        if not self._asked and not self._is_due:
            self._is_due = True
            loop.call_soon(self._ask)
        try:
            return await job.scores
        finally:
            timer.cancel()

    def close(self) -> None:
        """Kill the process and fail what waits; from any thread."""
        with self._attaching:
            if self._loop is None:
                self._has_ended = True
                self._model.close()
                return
        try:
            self._loop.call_soon_threadsafe(self._end, "closed")
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._has_ended = True
            self._model.close()

    def _hangs_for(self, seconds: float) -> bool:
        return bool(self._asked) and time.monotonic() - self._asked_at > seconds

    def _give_up(self, job: _Job) -> None:
        """Nobody waits for the job any more; a process that had all of its time hangs."""
        if job in self._asked and self._hangs_for(_HANGS * job.timeout_seconds):
            self._end(TIMEOUT)
        else:
            _fail(job, TIMEOUT)

    def _attached(self) -> asyncio.AbstractEventLoop | None:
        """The loop, from the first request on; None when it was closed before that."""
        if self._loop is None:
            with self._attaching:
                if not self._has_ended:
                    loop = asyncio.get_running_loop()
                    self._model.use_from_loop()
                    self._descriptor = self._model.fileno()
                    loop.add_reader(self._descriptor, self._on_readable)
                    self._loop = loop
        return self._loop

    def _ask(self) -> None:
        """Send what waits, as far as one batch goes; whoever gave up is left out."""
        self._is_due = False
        if self._asked or self._has_ended:
            return
        self._waiting = [job for job in self._waiting if not job.scores.done()]
        count = rows = 0
        while count < len(self._waiting) and rows < BATCH_ROWS:
            rows += len(self._waiting[count].rows)
            count += 1
        self._asked, self._waiting = self._waiting[:count], self._waiting[count:]
        if self._asked:
            self._send(_encode([job.rows for job in self._asked]))

    def _send(self, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._asked_at = time.monotonic()
        patience = max(job.timeout_seconds for job in self._asked)
        self._hang = loop.call_later(patience, self._end, TIMEOUT)
        try:
            if not self._model.push(message):
                loop.add_writer(self._descriptor, self._on_writable)
        except OSError:
            self._end(ENDED)

    def _on_writable(self) -> None:
        try:
            if self._model.flush():
                asyncio.get_running_loop().remove_writer(self._descriptor)
        except OSError:
            self._end(ENDED)

    def _on_readable(self) -> None:
        try:
            for message in self._model.feed():
                self._settle(_decode(message))
        except (EOFError, OSError):
            self._end(ENDED)
        except (ValueError, msgspec.MsgspecError) as error:
            logger.error("model=talks_nonsense version=%s cause=%s", self._name, error)  # noqa: TRY400
            self._end(ENDED)

    def _settle(self, results: Sequence[Sequence[RowAnswer] | str]) -> None:
        """Hand over what the process answered; its word is checked, for it runs foreign code."""
        if len(results) != len(self._asked):
            raise ValueError(f"{len(results)} results for {len(self._asked)} requests")
        if self._hang is not None:
            self._hang.cancel()
        asked, self._asked = self._asked, []
        for job, result in zip(asked, results, strict=True):
            checked = _checked(job, result, self._check)
            if isinstance(checked, str):
                _fail(job, checked)
            elif not job.scores.done():
                job.scores.set_result(checked)
        self._ask()

    def _end(self, reason: str) -> None:
        """Kill the process; those who were asked learn why, those who waited that it is gone."""
        if self._has_ended:
            return
        self._has_ended = True
        self._was_killed = reason != ENDED
        if self._hang is not None:
            self._hang.cancel()
        logger.warning("model=ended version=%s reason=%s", self._name, reason)
        if self._loop is not None:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
        self._model.close()
        for job in self._asked:
            _fail(job, reason)
        for job in self._waiting:
            _fail(job, ENDED)


def _checked(
    job: _Job, result: Sequence[RowAnswer] | str, check: "_AnswerCheck"
) -> Sequence[RowAnswer] | str:
    """The scores, or why they cannot be used."""
    if isinstance(result, str):
        return _known_reason(result)
    if len(result) != len(job.rows):
        return "wrong number of scores"
    if not all(check.holds(one) for one in result):
        return check.else_
    return result


@dataclass(frozen=True)
class _AnswerCheck:
    """What each answer has to be, and what is said where one is not."""

    holds: Callable[[RowAnswer], bool]
    else_: str


def _check_of(task: Task, classes: int, *, with_interval: bool) -> _AnswerCheck:
    if classes:
        return _AnswerCheck(_is_of(classes), _NO_ANSWER[task])
    if with_interval:
        return _AnswerCheck(_is_interval, _NO_INTERVAL)
    return _AnswerCheck(partial(_is_number, task), _NO_ANSWER[task])


def _is_number(task: Task, one: RowAnswer) -> bool:
    return isinstance(one, float) and is_answer(task, one)


def _is_interval(one: RowAnswer) -> bool:
    return not isinstance(one, float) and is_interval(one)


def _is_of(classes: int) -> Callable[[RowAnswer], bool]:
    """Whether something is the probabilities of so many classes."""
    return lambda one: not isinstance(one, float) and len(one) == classes and is_distribution(one)


def _known_reason(said: str) -> str:
    """It stands in the log, the metrics and the review queue in clear, so it holds no value."""
    return said if _REASON.fullmatch(said) else "error"


def _fail(job: _Job, reason: str) -> None:
    if not job.scores.done():
        job.scores.set_exception(ScoringFailed(reason))
