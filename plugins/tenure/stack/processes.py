"""Finding and ending every process of a stack, whoever its parent is now.

Airflow's tasks lead process groups of their own and outlive their scheduler, and `setproctitle`
overwrites the environment that /proc shows. So three marks are joined: the variable TENURE_STACK
(the home folder), the session of a service, and being a descendant of either.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "TENURE_STACK"
_PR_SET_CHILD_SUBREAPER = 36
_RACE_SECONDS = 1.0


def become_subreaper() -> None:
    """Adopt orphans of our children, so that they stay our descendants; Linux only, else no-op."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def of_stack(home: Path, sessions: Mapping[int, float]) -> list[psutil.Process]:
    """Living processes of the stack with this home.

    Args:
        home: State folder of the stack.
        sessions: Session id → creation time of its leader (seconds), as the stack recorded them.
    """
    everyone = {p.pid: p for p in psutil.process_iter()}
    ours = {
        pid
        for pid, process in everyone.items()
        if _is_marked(process, home) or _is_in(process, sessions, everyone)
    }
    ours |= _descendants(ours, everyone)
    ours -= {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    return [everyone[pid] for pid in sorted(ours) if _is_alive(everyone[pid])]


def end(home: Path, sessions: Mapping[int, float], *, grace_seconds: float = 3.0) -> int:
    """End every process of the stack: ask first, then kill, until none is left.

    Returns how many there were.
    """
    ended: set[int] = set()
    while found := of_stack(home, sessions):
        ended |= {process.pid for process in found}
        left = found
        for _ in range(2):  # asked twice, a gateway does not wait for balancers to notice
            _signal(left, signal.SIGTERM)
            left = _wait(left, grace_seconds / 2)
        _signal(left, signal.SIGKILL)
        _wait(left, _RACE_SECONDS)
        _reap(found)
        grace_seconds = 0.0
    return len(ended)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)


def _reap(processes: Iterable[psutil.Process]) -> None:
    """Read the exit codes of orphans that we adopted, which would stay as zombies until we end."""
    for process in processes:
        with suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)


def _wait(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    deadline = time.monotonic() + seconds
    while (alive := [p for p in processes if _is_alive(p)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    """A zombie is dead: it only waits for its parent to read the exit code."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_marked(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(home)
    except (psutil.Error, OSError):
        return False


def _is_in(
    process: psutil.Process, sessions: Mapping[int, float], everyone: Mapping[int, psutil.Process]
) -> bool:
    """A session id stays reserved while it has members; a leader born later is a stranger's."""
    try:
        session = os.getsid(process.pid)
        if session not in sessions:
            return False
        leader = everyone.get(session)
        return leader is None or abs(leader.create_time() - sessions[session]) < _RACE_SECONDS
    except (OSError, psutil.Error):
        return False


def _descendants(roots: set[int], everyone: Mapping[int, psutil.Process]) -> set[int]:
    parents: dict[int, int] = {}
    for pid, process in everyone.items():
        with suppress(psutil.Error):
            parents[pid] = process.ppid()
    found: set[int] = set()
    fresh = set(roots)
    while fresh:
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - found - roots
        found |= fresh
    return found
