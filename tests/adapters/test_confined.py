"""What a child process may do to the one that waits for it: nothing."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hostile_child
import psutil
import pytest

from tenure.adapters import confined
from tenure.adapters.confined import LimitReached, Limits, run_confined
from tenure.adapters.model_process import system_calls
from tenure.errors import ServiceUnreachable

LIMITS = Limits(memory_bytes=64 * 1024**2, cpu_seconds=1)


def walled() -> bytes:
    """What a reader meets that a hostile file took over, as `judge_file` confines it."""
    assert system_calls.only_files() == ""
    tried = {k: v for k, v in hostile_child.ATTEMPTS.items() if k not in hostile_child.OF_FILES}
    return json.dumps(
        {name: hostile_child.met(act) for name, act in (tried | hostile_child.HARMLESS).items()}
    ).encode()


def test_a_hostile_file_reaches_neither_network_nor_processes() -> None:
    found = json.loads(run_confined(walled, LIMITS))
    harmless = {name: found.pop(name) for name in hostile_child.HARMLESS}
    assert {name: met for name, met in found.items() if met not in {"EPERM", "ENOSYS"}} == {}
    assert len(found) == len(hostile_child.ATTEMPTS) - len(hostile_child.OF_FILES)
    assert harmless == dict.fromkeys(hostile_child.HARMLESS, "done")


def test_it_keeps_no_open_connection() -> None:
    """Neither one to a database, nor the supervisor's, which is standard input of a task."""
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def work() -> bytes:
            os.write(theirs.fileno(), b"hostile")
            return os.read(theirs.fileno(), 10) + os.read(0, 10) + b"nothing"

        ours.send(b"secret")
        assert run_confined(work, LIMITS) == b"nothing"
        assert theirs.recv(10) == b"secret"
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(10)


def spin() -> bytes:
    while True:
        pass


def test_it_answers_with_as_many_bytes_as_it_likes() -> None:
    assert run_confined(lambda: b"x" * 10_000_000, LIMITS) == b"x" * 10_000_000
    assert run_confined(lambda: b"", LIMITS) == b""


@pytest.mark.parametrize(("mebibytes", "fits"), [(40, True), (200, False)])
def test_its_memory_is_bounded(mebibytes: int, fits: bool) -> None:
    def work() -> bytes:
        return bytes([bytearray(mebibytes * 1024**2)[-1]])

    if fits:
        assert run_confined(work, LIMITS) == b"\0"
    else:
        with pytest.raises(LimitReached, match="memory"):
            run_confined(work, LIMITS)


@pytest.mark.parametrize(
    "work",
    [spin, lambda: bytes(bool(re.match(r"(a+)+$", "a" * 60 + "b")))],
    ids=["a loop", "a regular expression"],
)
def test_its_processor_time_is_bounded(work: Callable[[], bytes]) -> None:
    with pytest.raises(LimitReached, match="time"):
        run_confined(work, LIMITS)


@pytest.mark.parametrize(
    ("work", "cause"),
    [(lambda: ctypes.string_at(0), "SIGSEGV"), (os.abort, "SIGABRT")],
    ids=["SIGSEGV", "SIGABRT"],
)
def test_a_crash_is_named(work: Callable[[], bytes], cause: str) -> None:
    with pytest.raises(LimitReached, match=cause):
        run_confined(work, LIMITS)


def test_a_kill_from_outside_may_be_tried_again() -> None:
    def work() -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    with pytest.raises(ServiceUnreachable, match="killed from outside, or hung"):
        run_confined(work, LIMITS)


def test_a_child_that_does_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "_STALLED", 0.1)

    with pytest.raises(ServiceUnreachable, match="or hung"):
        run_confined(lambda: bytes(time.sleep(3600) or 0), LIMITS)


def test_what_it_raises_is_reported() -> None:
    def broken() -> bytes:
        raise KeyError("what")

    def unserved() -> bytes:
        raise ServiceUnreachable("a", still_safe="b", next_step="c")

    with pytest.raises(RuntimeError, match=r"(?s)in broken.*KeyError: 'what'"):
        run_confined(broken, LIMITS)
    with pytest.raises(ServiceUnreachable) as error:
        run_confined(unserved, LIMITS)
    assert error.value.lines() == ["a", "Still safe: b", "Next step: c"]


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def test_nothing_is_left_behind() -> None:
    before, children = open_files(), psutil.Process().children()
    for work in (lambda: b"", os.abort):
        with suppress(LimitReached):
            run_confined(work, LIMITS)

    assert open_files() == before
    assert psutil.Process().children() == children


@pytest.mark.skipif(sys.platform != "linux", reason="other systems rely on the limits")
def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys, time\n"
        "from tenure.adapters.confined import Limits, run_confined\n"
        "def work():\n"
        "    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
        "    os.kill(os.getppid(), 9)\n"
        "    time.sleep(3600)\n"
        "run_confined(work, Limits(1 << 30, 60))\n"
    )
    note = tmp_path / "pid"
    done = subprocess.run(
        [sys.executable, "-c", code, str(note)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "plugins")},
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    for _ in range(500):
        if not is_running(int(note.read_text())):
            return
        time.sleep(0.01)
    pytest.fail("the child lives on")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
