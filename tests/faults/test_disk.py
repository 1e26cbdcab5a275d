"""A real gateway on a disk that is full, read-only, or stands still."""

import errno
import os
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from asking import CLIENTS, Asking, incidents, settle, soon
from served import Process

from tenure.installation import Installation
from tenure.vocabulary import State

pytestmark = [pytest.mark.service, pytest.mark.fault]
ENDED = {0, -15}
FOUR_MB = np.random.default_rng(2).random(1 << 19)
"""Cannot be packed."""
READ_ONLY = """
import errno, os, pathlib, sys
fault, folder = os.environ["FAULT"], os.environ["FAULT_FOLDER"]
changes = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link"}
def hook(event, arguments):
    if event == "open":
        path, _mode, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
    elif event in changes:
        path = arguments[0]
    else:
        return
    if str(path).startswith(folder) and os.path.lexists(fault):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
sys.addaudithook(hook)
"""
"""As a read-only file system: nothing is opened for writing, made, renamed or removed there."""
STANDING_DISK = """
import os, pathlib, time
real, fault = os.fdatasync, pathlib.Path(os.environ["FAULT"])
def fdatasync(descriptor):
    while fault.exists():
        time.sleep(0.01)
    real(descriptor)
os.fdatasync = fdatasync
"""
"""A sync takes as long as the fault lasts."""


def test_no_room_for_an_artifact(platform: Installation, process: Process, asking: Asking) -> None:
    """F24: no half copy, the plan in force stays and somebody is told; with room it is taken."""
    life = asking.life
    first, second = life.champion(1), life.large(2, FOUR_MB)
    process.start()
    assert process.popen is not None
    pid, copies = process.popen.pid, platform.settings.home / "gateway" / "gw-a" / "artifacts"
    with asking:
        asking.wait(20)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
        life.publish(
            first, second, share_bp=10_000, lease_seconds=60, moves=[(second, State.CANARY)]
        )
        (said,) = soon(lambda: incidents(platform))
        assert os.strerror(errno.EFBIG) in said
        asking.wait(40)
        assert {arm for _, arm in asking.answered} == {"champion"}
        assert asking.serving() == (1, 0)
        assert [path.stat().st_size < 1 << 20 for path in copies.iterdir()] == [True]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        soon(lambda: asking.answered[-1][1] == "canary", 60)
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


@pytest.fixture
def read_only(process: Process, platform: Installation, faulty: Callable[[str], Path]) -> Path:
    """The file whose presence makes the folder of the log read-only."""
    process.env["FAULT_FOLDER"] = str(platform.settings.home / "gateway" / "gw-a" / "wal")
    return faulty(READ_ONLY)


def test_disk_that_becomes_read_only(
    platform: Installation, process: Process, asking: Asking, read_only: Path
) -> None:
    """F26: nothing is answered that cannot be logged; with the disk back it goes on.

    No segment is open when it happens: the kernel makes nothing read-only that is being written.
    """
    asking.life.champion(1)
    process.start()
    wal = Path(process.env["FAULT_FOLDER"])
    assert asking.once(process.url, 1) == "champion"
    soon(lambda: not list(wal.glob("*/*-*")))
    read_only.touch()
    with asking:
        soon(lambda: asking.refused[503] >= 20)
        assert process.get("/v2/health/ready") == 503
        assert process.get("/v2/health/live") == 200
        assert len(asking.answered) == 1
        read_only.unlink()
        asking.wait(40)
    assert set(asking.refused) == {503}
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


@pytest.mark.parametrize("folder", ["gateway", "gateway/gw-a/wal"])
def test_started_on_a_read_only_disk(
    platform: Installation, process: Process, asking: Asking, read_only: Path, folder: str
) -> None:
    """F26: three lines for a person, no traceback; on a sound disk it starts."""
    asking.life.champion(1)
    process.env["FAULT_FOLDER"] = str(platform.settings.home / folder)
    read_only.touch()
    done = process.command_line("serve", "--port", str(process.port))
    assert "Traceback" not in done.stderr
    assert (done.returncode, "Read-only file system" in done.stderr) == (3, True), done.stderr
    assert "Next step: " in done.stderr
    read_only.unlink()
    process.start()
    with asking:
        asking.wait(20)
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_killed_under_load(
    platform: Installation, process: Process, asking: Asking, faulty: Callable[[str], Path]
) -> None:
    """F27: in the middle of a sync, with answers waiting for it; whoever was answered is logged."""
    asking.life.champion(1)
    fault = faulty(STANDING_DISK)
    process.start()
    with asking:
        asking.wait(50)
        fault.touch()
        time.sleep(0.5)
        process.kill()
        fault.unlink()
        process.start()
        asking.wait(50)
    assert asking.refused[0] > 0
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=CLIENTS)
