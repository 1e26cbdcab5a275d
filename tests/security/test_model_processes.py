"""A model process holds no secret, may do next to nothing, and takes nobody along when it falls."""

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import skops.io

from tenure.adapters.model_process.nursery import bare_environment
from tenure.adapters.skops_artifacts import TRUSTED
from tenure.errors import ArtifactRefused
from tenure.settings import REPOSITORY
from tenure.usecases.serving import loading

Pids = Callable[[], set[int]]


def wait_until(claim: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "not true in time"
        time.sleep(0.01)


@pytest.fixture
def process(registry: Any, good: bytes, pids: Pids) -> Any:
    """A loaded version and its process id."""
    registry.loader.nursery.process().close()
    before = pids()
    made = registry.loader.load(registry.row(good))
    (pid,) = pids() - before
    yield made, pid
    made.close()


def test_it_knows_no_secret(process: Any) -> None:
    _, pid = process
    text = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    names = {entry.partition(b"=")[0].decode() for entry in text if entry}
    allowed = {"PYTHONPATH", "LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LD_LIBRARY_PATH"}
    assert names - allowed == {"TENURE_ENV", "TENURE_FAIL"}  # both in tests only


def test_it_has_no_file_but_its_pipe(process: Any, registry: Any) -> None:
    _, pid = process
    links = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    assert {link.partition(":")[0] for link in links} == {"/dev/null", "socket"}
    assert sum(link.startswith("socket") for link in links) == 1
    assert Path(f"/proc/{pid}/cwd").readlink() == registry.home / "gateway" / "models"


def test_its_limits(process: Any, registry: Any) -> None:
    _, pid = process
    limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
    hard = {line[:26].strip(): line[26:].split()[1] for line in limits[1:]}
    assert hard["Max core file size"] == hard["Max file size"] == "0"
    assert hard["Max open files"] == "64"
    assert 0 < int(hard["Max address space"]) < (registry.memory_mb + 2048) * 1024 * 1024
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status


def test_it_scores(process: Any) -> None:
    made, _ = process
    made.pipe.socket.settimeout(10)
    made.pipe.send(msgspec.msgpack.encode([[(0.9, 0.5)], [(0.1, 0.5), ("a", 0.5)]]))
    first, second = msgspec.msgpack.decode(made.pipe.receive())
    assert first[0] > 0.5
    assert second == "error: ValueError"


def test_killing_it_ends_only_it(process: Any, registry: Any, good: bytes) -> None:
    made, pid = process
    other = registry.loader.load(registry.row(good))
    os.kill(pid, signal.SIGSEGV)
    wait_until(lambda: not made.is_alive)
    assert other.is_alive
    with pytest.raises(EOFError):
        made.pipe.receive()
    other.close()


def test_too_much_memory_is_refused_and_harms_nobody(
    registry: Any, process: Any, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = skops.io.loads(good, trusted=list(TRUSTED))
    model.ballast_ = np.zeros(200 * 1024 * 1024 // 8)
    data = skops.io.dumps(model, compression=zipfile.ZIP_DEFLATED)
    row = registry.row(data, version=2)
    monkeypatch.setattr(registry, "memory_mb", 64)
    with pytest.raises(ArtifactRefused) as caught:
        registry.loader.load(row)
    assert caught.value.what == "m@2: it needs more than 64 MiB of memory."
    monkeypatch.setattr(registry, "memory_mb", 1024)
    registry.loader.load(row).close()
    made, _ = process
    assert made.is_alive


@pytest.mark.parametrize("version", [8, 9], ids=["hangs", "is killed"])
def test_a_load_that_goes_wrong(
    registry: Any, good: bytes, pids: Pids, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.loader.nursery.process().close()
    before = pids()
    monkeypatch.setattr(loading, "LOAD_SECONDS", 0.5)
    with pytest.raises(ArtifactRefused) as caught:
        registry.loader.load(registry.row(good, version=version))
    why = {8: "it was not loaded after 0.5 s", 9: "its process ended while it was loaded"}
    assert caught.value.what == f"m@{version}: {why[version]}."
    wait_until(lambda: pids() <= before)


def test_all_of_them_end_with_the_gateway(tmp_path: Path) -> None:
    """Even when nobody could tell them: the gateway is killed, a fork hangs."""
    script = (
        "import sys, os; from pathlib import Path\n"
        "from tenure.adapters.model_process import Nursery\n"
        "n = Nursery('tenure.usecases.serving.model_process', Path(sys.argv[1]))\n"
        "p = n.process(); print(n._warm.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    warm = int(done.stdout)
    wait_until(lambda: "model_child" not in command(warm))


def command(pid: int) -> str:
    """Command line of a process; empty when it is gone or nobody took leave of it yet."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


CONFINED = """
import os, socket, sys
from tenure.adapters.model_process import confinement
confinement.limit(confinement.address_space() + 64 * 1024 * 1024)
if not confinement.read_only(confinement.code_folders()):
    sys.exit(77)

def attempt(name, act):
    try:
        act()
    except OSError as error:
        print(name, type(error).__name__)
    else:
        print(name, "done")

attempt("secret", lambda: open(sys.argv[1]).read())
attempt("environ", lambda: open(f"/proc/{os.getppid()}/environ", "rb").read())
attempt("write", lambda: open(sys.argv[1] + ".new", "w"))
attempt("run", lambda: os.execv("/bin/true", ["true"]))
attempt("connect", lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2]))))
attempt("kill", lambda: os.kill(os.getppid(), 0))
attempt("library", lambda: open(os.__file__).read())
"""


def test_confinement(tmp_path: Path) -> None:
    import socket

    (tmp_path / "signing.pem").write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", CONFINED, str(tmp_path / "signing.pem"), str(port)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY / "plugins")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if done.returncode == 77:
        pytest.skip("this kernel has no Landlock")
    found = dict(line.split() for line in done.stdout.splitlines())
    denied = "PermissionError"
    for name in ("secret", "environ", "write", "run"):
        assert found[name] == denied, done.stdout + done.stderr
    assert found["library"] == "done"
    assert found["connect"] in {denied, "done"}  # kernels before 6.7 cannot deny it
    assert found["kill"] in {denied, "done"}  # kernels before 6.12 cannot


def test_no_state_lies_where_code_is_read() -> None:
    script = "from tenure.adapters.model_process import confinement as c; print(*c.code_folders())"
    done = subprocess.run(
        [sys.executable, "-s", "-P", "-c", script],
        env=bare_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    state = REPOSITORY / "var" / "keys" / "signing.pem"
    assert str(REPOSITORY / "plugins") in done.stdout.split()
    assert not [folder for folder in done.stdout.split() if state.is_relative_to(folder)]
