"""Faults made by the kernel, in namespaces of their own: nothing of the machine is touched.

A gateway runs in a mount namespace with a file system of its own, or in a network namespace from
which the database can be taken away. Needs root and util-linux; `make fault-test-root`.
"""

import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from asking import Asking, incidents, settle, soon
from served import Life, Process

from tenure.installation import Installation
from tenure.settings import REPOSITORY
from tenure.vocabulary import State

pytestmark = [pytest.mark.service, pytest.mark.fault_root]
ENDED = {0, -15}
FOUR_MB = np.random.default_rng(2).random(1 << 19)
"""Cannot be packed."""


@pytest.fixture(autouse=True)
def kernel() -> None:
    """Fails, with the reason, where the kernel cannot be asked."""
    missing = [name for name in ("unshare", "nsenter", "mount", "ip") if shutil.which(name) is None]
    assert not missing, (
        f"{', '.join(missing)} not found, so nothing was tested: install util-linux and iproute2."
    )
    probe = subprocess.run(["unshare", "-mn", "true"], capture_output=True, text=True, check=False)
    assert probe.returncode == 0, (
        f"No namespace can be made, so nothing was tested: {probe.stderr.strip()}. "
        "Run `make fault-test-root` as root, on a machine or in a container that allows unshare."
    )


class Disk:
    """A small file system below a folder, that only one process sees."""

    def __init__(self, folder: Path, process: Process) -> None:
        self.folder, self.process = folder, process
        folder.mkdir(parents=True)
        mount = f'mount -t tmpfs -o size=1m,mode=700 none "{folder}" && exec "$@"'
        process.command[:0] = ["unshare", "-m", "sh", "-ec", mount, "sh"]

    def run(self, *words: str) -> str:
        """What a command says that sees the file system."""
        assert self.process.popen is not None
        inside = ["nsenter", "-t", str(self.process.popen.pid), "-m", "--", *words]
        done = subprocess.run(inside, check=False, capture_output=True, text=True, timeout=30)
        return done.stdout

    def names(self) -> list[str]:
        return self.run("ls", "-A", str(self.folder)).splitlines()

    def fill(self) -> None:
        self.run("dd", "if=/dev/zero", f"of={self.folder}/filler", "bs=4k")

    def empty(self) -> None:
        self.run("rm", f"{self.folder}/filler")

    def remount(self, how: str) -> None:
        self.run("mount", "-o", f"remount,{how}", str(self.folder))


@pytest.fixture
def home(platform: Installation) -> Path:
    """State of the one gateway."""
    return platform.settings.home / "gateway" / "gw-a"


def test_full_disk(
    platform: Installation, life: Life, process: Process, asking: Asking, home: Path
) -> None:
    """F23: everything that the gateway keeps lies on a full disk; then there is room again."""
    life.champion(1)
    disk = Disk(home, process)
    process.start()
    with asking:
        asking.wait(20)
        disk.fill()
        soon(lambda: asking.refused[503] >= 20)
        assert process.get("/v2/health/ready") == 503
        assert process.get("/v2/health/live") == 200
        disk.empty()
        asking.wait(40)
    assert set(asking.refused) == {503}
    assert process.stop() in ENDED
    settle(platform, asking)


def test_disk_that_becomes_read_only(
    platform: Installation, life: Life, process: Process, asking: Asking, home: Path
) -> None:
    """F26: nothing is answered that cannot be logged; with the disk back it goes on."""
    life.champion(1)
    disk = Disk(home / "wal", process)
    process.start()
    assert asking.once(process.url, 1) == "champion"
    # A segment that is open for writing keeps its file system writable: wait until it is shipped.
    soon(lambda: (disk.remount("ro"), _refuses(process, asking))[1])
    assert process.get("/v2/health/ready") == 503
    disk.remount("rw")
    soon(lambda: process.get("/v2/health/ready") == 200)
    assert asking.once(process.url, 3) == "champion"
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def _refuses(process: Process, asking: Asking) -> bool:
    """Whether one more request gets 503; whatever was answered is remembered."""
    count = asking.refused[503]
    with suppress(AssertionError):
        asking.once(process.url, 2, id_=f"at-{time.monotonic()}")
    return asking.refused[503] > count


def test_started_on_a_read_only_disk(
    platform: Installation, process: Process, asking: Asking, home: Path
) -> None:
    """F26: three lines for a person, no traceback; on a sound disk it starts."""
    asking.life.champion(1)
    sound = list(process.command)
    Disk(home, process)
    process.command[4] = process.command[4].replace("size=1m", "ro,size=1m")
    done = subprocess.run(
        [*process.command, str(process.port)],
        env=process.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert (done.returncode, "Read-only file system" in done.stderr) == (3, True), done.stderr
    assert "Next step: " in done.stderr
    process.command[:] = sound
    process.start()
    with asking:
        asking.wait(20)
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_artifact_on_a_full_disk(
    platform: Installation, process: Process, asking: Asking, home: Path
) -> None:
    """F24: no half copy, the plan in force stays and somebody is told; with room it is taken."""
    life = asking.life
    first, second = life.champion(1), life.large(2, FOUR_MB)
    disk = Disk(home / "artifacts", process)
    process.start()
    with asking:
        asking.wait(20)
        life.publish(
            first, second, share_bp=10_000, lease_seconds=120, moves=[(second, State.CANARY)]
        )
        (said,) = soon(lambda: incidents(platform))
        assert "No space left on device" in said
        asking.wait(40)
        assert {arm for _, arm in asking.answered} == {"champion"}
        assert asking.serving() == (1, 0)
        assert len(disk.names()) == 1, "the champion's copy"
        disk.remount("size=16m")
        soon(lambda: asking.answered[-1][1] == "canary", 60)
    assert asking.refused == Counter()
    assert process.stop() in ENDED
    settle(platform, asking, unanswered=0)


def test_no_packet_reaches_the_database() -> None:
    """F29, in a network namespace: see partition.py."""
    inner = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    inner += [str(Path(__file__).with_name("partition.py"))]
    inside = ["unshare", "-n", "sh", "-ec", 'ip link set lo up && exec "$@"', "sh", *inner]
    done = subprocess.run(
        inside, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "1 passed" in done.stdout
