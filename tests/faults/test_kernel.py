"""Faults made by the kernel, in namespaces of their own: nothing of the machine is touched.

A gateway runs in a mount namespace with a file system of its own, or in a network namespace from
which the database can be taken away. Needs root and util-linux; `make fault-test-root`.
"""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from asking import Asking, settle, soon
from served import Life, Process

from tenure.settings import REPOSITORY
from tenure.wiring.base import Platform

pytestmark = [pytest.mark.service, pytest.mark.fault_root]
ENDED = {0, -15}


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

    def run(self, *words: str) -> None:
        """A command that sees the file system."""
        assert self.process.popen is not None
        inside = ["nsenter", "-t", str(self.process.popen.pid), "-m", "--", *words]
        subprocess.run(inside, check=False, capture_output=True, timeout=30)

    def fill(self) -> None:
        self.run("dd", "if=/dev/zero", f"of={self.folder}/filler", "bs=4k")

    def empty(self) -> None:
        self.run("rm", f"{self.folder}/filler")

    def remount(self, how: str) -> None:
        self.run("mount", "-o", f"remount,{how}", str(self.folder))


@pytest.fixture
def home(platform: Platform) -> Path:
    """State of the one gateway."""
    return platform.settings.home / "gateway" / "gw-a"


def test_full_disk(
    platform: Platform, life: Life, process: Process, asking: Asking, home: Path
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
    platform: Platform, life: Life, process: Process, asking: Asking, home: Path
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


def test_started_on_a_read_only_disk(life: Life, process: Process, home: Path) -> None:
    """F26: three lines for a person, no traceback."""
    life.champion(1)
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


def test_artifact_on_a_full_disk(tmp_path: Path) -> None:
    """F24: what does not fit is not there, nothing of it is left, and the reason is said."""
    script = """
import sys
from pathlib import Path
from tenure.adapters.local_store import LocalStore
from tenure.errors import ServiceUnreachable
root = Path(sys.argv[1])
store = LocalStore(root)
store.put("artifacts/small.skops", b"x" * 1000)
try:
    store.put("artifacts/large.skops", b"x" * 5_000_000)
except ServiceUnreachable as error:
    print(error.what)
print(sorted(store.list("")), [path.name for path in root.rglob("*") if path.is_file()])
"""
    folder = tmp_path / "store"
    folder.mkdir()
    mount = f'mount -t tmpfs -o size=1m none "{folder}" && exec "$@"'
    inside = ["unshare", "-m", "sh", "-ec", mount, "sh", sys.executable, "-c", script, str(folder)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")}
    said, left = subprocess.check_output(inside, env=env, text=True, timeout=60).splitlines()
    assert said.endswith("store cannot be written: No space left on device.")
    assert left == "['artifacts/small.skops'] ['small.skops']"
    assert list(folder.iterdir()) == []


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
