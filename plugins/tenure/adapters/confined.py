"""Runs a piece of work in a child process that may take so much memory and processor time."""

import ctypes
import faulthandler
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from tenure.errors import ServiceUnreachable

_SPENT_MEMORY, _UNSERVED, _BROKEN = 41, 42, 43
"""Exit codes of the child; 42: a ServiceUnreachable, whose three texts are the answer."""
_PR_SET_PDEATHSIG = 1
_STALLED = 10
"""A child that has not ended after so many times its processor time hangs."""


@dataclass(frozen=True)
class Limits:
    """What the child may use; `memory_bytes` is beyond what this process holds already."""

    memory_bytes: int
    cpu_seconds: int


class LimitReached(Exception):
    """The work ended for a reason that lies in the work: trying again gives the same.

    Args:
        cause: `memory`, `time`, or the name of the signal of a crash.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def run_confined(work: Callable[[], bytes], limits: Limits) -> bytes:
    """Fork, limit, work, and give back the bytes; this process survives whatever happens there.

    The child keeps no open file but its output and errors: a connection to a database or to
    Airflow is not there any more. When this process dies, so does the child: at once on Linux, by
    its limits elsewhere. What it may ask of the kernel, `work` gives up itself.

    Raises:
        LimitReached: It wanted more than the limits, or crashed.
        ServiceUnreachable: It was killed from outside, or hangs, or raised one.
        RuntimeError: The work raised; the message is the traceback.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(work, limits, writer)
    os.close(writer)
    try:
        answer = _listen(reader, limits.cpu_seconds * _STALLED)
    finally:
        os.close(reader)
        status = _reap(child)
    return _understood(answer, status)


def _work_and_exit(work: Callable[[], bytes], limits: Limits, writer: int) -> NoReturn:
    code = _BROKEN
    try:
        faulthandler.disable()  # a crash is told by its signal
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        _die_with_parent()
        _forget_open_files(writer)
        _limit(limits)
        code, answer = _outcome(work)
        with os.fdopen(writer, "wb") as stream:
            stream.write(answer)
    finally:
        os._exit(code)


def _die_with_parent() -> None:
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _forget_open_files(kept: int) -> None:
    """Put nothing in their places: who holds a number may go on to use it, and gets nowhere."""
    with suppress(FileNotFoundError):
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
            if descriptor not in {1, 2, kept}:
                with suppress(OSError):  # the folder itself, closed by now
                    os.dup2(nothing, descriptor)


def _outcome(work: Callable[[], bytes]) -> tuple[int, bytes]:
    try:
        return 0, work()
    except MemoryError:
        return _SPENT_MEMORY, b""
    except ServiceUnreachable as error:
        return _UNSERVED, json.dumps([error.what, error.still_safe, error.next_step]).encode()
    except Exception:
        return _BROKEN, traceback.format_exc().encode("utf-8", "replace")


def _limit(limits: Limits) -> None:
    """RLIMIT_DATA and not RLIMIT_AS: address space that is only reserved does not count."""
    held = _data_bytes()
    resource.setrlimit(resource.RLIMIT_DATA, (held + limits.memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _data_bytes() -> int:
    """Private writable memory of this process, as RLIMIT_DATA counts it; 0 where nobody says."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    except (OSError, StopIteration):
        return 0


def _listen(reader: int, seconds: float) -> bytes | None:
    """All that the child says until it ends; None when it hangs."""
    parts: list[bytes] = []
    until = time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return None
        part = os.read(reader, 1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _reap(child: int) -> int:
    """End the child, if it has not ended, and say how it ended."""
    if os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        _grace(child)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _grace(child: int) -> None:
    """The pipe closes a moment before the process is gone; who does not end then is killed."""
    for _ in range(100):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)


def _understood(answer: bytes | None, status: int) -> bytes:
    if answer is not None and status == 0:
        return answer
    if answer is None or status in {-signal.SIGKILL, -signal.SIGTERM}:
        raise ServiceUnreachable(
            "The judging process was killed from outside, or hung.",
            still_safe="Nothing of this batch was published and no verdict was recorded.",
            next_step="The task tries again by itself. If it lasts, look for the out-of-memory "
            "killer in the worker's kernel log: its memory must cover `source.memory_mb` of every "
            "dataset that it may judge at the same time.",
        )
    if status == _UNSERVED:
        what, still_safe, next_step = json.loads(answer)
        raise ServiceUnreachable(what, still_safe=still_safe, next_step=next_step)
    if status == _SPENT_MEMORY:
        raise LimitReached("memory")
    if status == -signal.SIGXCPU:
        raise LimitReached("time")
    if status < 0:
        raise LimitReached(signal.Signals(-status).name)
    raise RuntimeError(answer.decode("utf-8", "replace"))
