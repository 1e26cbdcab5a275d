"""A model process holds no secret, may do next to nothing, and takes nobody along when it falls."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hostile_child
import msgspec
import numpy as np
import pytest
import skops.io

from tenure.adapters.model_process import nursery, system_calls
from tenure.adapters.model_process.nursery import bare_environment
from tenure.adapters.skops_artifacts import TRUSTED
from tenure.errors import ArtifactRefused
from tenure.lifecycle.serving import GatewayPolicy
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


@contextmanager
def loader_of(main: str, registry: Any, folder: Path) -> Iterator[loading.VerifiedLoader]:
    """A loader whose processes are real, with a main module of `tests/faults`."""
    here = os.pathsep.join([str(Path(hostile_child.__file__).parent), str(REPOSITORY / "plugins")])
    bare = {**bare_environment(), "PYTHONPATH": here}
    loader = loading.VerifiedLoader(registry.platform, folder, lambda _model: registry.policy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nursery, "bare_environment", lambda: bare)
        patch.setattr(loading, "CHILD", main)
        loader.nursery.process().close()
    yield loader
    loader.close()


@pytest.fixture(scope="module")
def hostile(registry: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with loader_of("hostile_child", registry, tmp_path_factory.mktemp("hostile")) as loader:
        yield loader


REFUSED = {"ENOSYS", "EPERM", "EACCES"}


@pytest.mark.fault
@pytest.mark.quick
def test_hostile_code_meets_walls(hostile: Any, registry: Any, good: bytes) -> None:
    """As whoever runs the tests: root or not makes no difference."""
    with pytest.raises(ArtifactRefused) as caught:
        hostile.load(registry.row(good))
    found = json.loads(caught.value.what.removeprefix("m@1: ").removesuffix("."))
    assert found.pop("uid") == os.getuid()
    harmless = {name: found.pop(name) for name in hostile_child.HARMLESS}
    assert found.keys() == hostile_child.ATTEMPTS.keys()
    assert {name: met for name, met in found.items() if met not in REFUSED} == {}
    assert harmless == dict.fromkeys(hostile_child.HARMLESS, "done")
    assert Path(hostile_child.__file__).exists()


def test_the_calls_of_another_architecture_end_it(hostile: Any, registry: Any, good: bytes) -> None:
    with pytest.raises(ArtifactRefused) as caught:
        hostile.load(registry.row(good, version=hostile_child.OTHER_ABI))
    assert caught.value.what == "m@2: its process ended while it was loaded."


def test_a_process_without_rights_and_with_a_filter(process: Any) -> None:
    """As the kernel itself tells, of a process that serves."""
    made, pid = process
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    for rights in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[rights], 16) == 0
    assert status["Seccomp"] == "2"
    assert made.missing_walls == ""


def test_a_wall_that_does_not_hold(registry: Any, good: bytes, tmp_path: Path) -> None:
    """Fail closed: nothing is parsed. Where `platform.yaml` gives a reason, it serves and says."""
    missing = "files: the kernel has no Landlock; calls: libseccomp.so.2 is not installed"
    with loader_of("walls_missing", registry, tmp_path) as loader:
        with pytest.raises(ArtifactRefused) as caught:
            loader.load(registry.row(good))
        loader.__dict__["_may_be_unconfined"] = True
        process = loader.load(registry.row(good))
        process.close()
    assert caught.value.what == (
        f"m@1: this machine cannot confine the processes that run models ({missing})."
    )
    assert "gateway.unconfined_models" in caught.value.next_step
    assert process.missing_walls == missing


@pytest.mark.parametrize(
    ("yaml", "declared"), [({}, False), ({"unconfined_models": "trained here, by us"}, True)]
)
def test_the_reason_stands_in_the_platform_yaml(
    registry: Any, monkeypatch: pytest.MonkeyPatch, yaml: dict[str, str], declared: bool
) -> None:
    config = registry.platform.config.model_copy(update={"gateway": GatewayPolicy(**yaml)})
    monkeypatch.setattr(registry, "platform", SimpleNamespace(config=config))
    loader = loading.VerifiedLoader(registry.platform, Path(), lambda _model: registry.policy)
    assert loader._may_be_unconfined is declared


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_calls, "_LIBRARY", "libseccomp.so.nowhere")
    expected = "libseccomp.so.nowhere is not installed (Debian: libseccomp2)"
    assert system_calls.only_compute() == system_calls.only_files() == expected


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
