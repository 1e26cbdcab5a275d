import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tenure.stack import processes

Spawn = Callable[..., "subprocess.Popen[str]"]
SLEEP = "import time; time.sleep(60)"
# A child that leads a process group of its own, as Airflow's tasks do; its pid is printed.
FAMILY = f"""
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "{SLEEP}"], process_group=0, env={{}})
print(child.pid, flush=True)
time.sleep(60)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
time.sleep(60)
"""


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    started = []

    def start(program: str, home: Path | None, **options: object) -> "subprocess.Popen[str]":
        env = {processes.MARK: str(home)} if home else {}
        process = subprocess.Popen(
            [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, text=True, **options
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def pids(home: Path, sessions: dict[int, float] | None = None) -> set[int]:
    return {process.pid for process in processes.of_stack(home, sessions or {})}


def test_a_marked_process_and_its_children_are_ours_and_others_are_not(
    spawn: Spawn, tmp_path: Path
) -> None:
    ours, other, stranger = (
        spawn(FAMILY, tmp_path),
        spawn(SLEEP, tmp_path / "b"),
        spawn(SLEEP, None),
    )
    child = int(ours.stdout.readline())
    assert pids(tmp_path) == {ours.pid, child}
    assert processes.end(tmp_path, {}) == 2
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert other.poll() is None
    assert stranger.poll() is None


def test_an_unmarked_orphan_is_found_by_its_session(spawn: Spawn, tmp_path: Path) -> None:
    leader = spawn(FAMILY, None, start_new_session=True)
    orphan = int(leader.stdout.readline())
    sessions = {leader.pid: psutil.Process(leader.pid).create_time()}
    leader.kill()
    leader.wait()
    assert pids(tmp_path, sessions) == {orphan}
    assert processes.end(tmp_path, sessions) == 1


def test_a_recycled_session_id_is_left_alone(spawn: Spawn, tmp_path: Path) -> None:
    stranger = spawn(SLEEP, None, start_new_session=True)
    assert pids(tmp_path, {stranger.pid: psutil.Process(stranger.pid).create_time() - 100}) == set()


def test_who_ignores_sigterm_is_killed(spawn: Spawn, tmp_path: Path) -> None:
    deaf = spawn(DEAF, tmp_path)
    deaf.stdout.readline()
    began = time.monotonic()
    processes.end(tmp_path, {}, grace_seconds=0.3)
    assert not psutil.pid_exists(deaf.pid)
    assert time.monotonic() - began >= 0.3


def test_we_never_end_ourselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = os.getsid(0)  # 0 where its leader lives outside our PID namespace
    born = psutil.Process(session).create_time() if session else 0.0
    found = pids(tmp_path, {session: born})
    assert os.getpid() not in found
    assert os.getppid() not in found
