"""The real stack through the real command: up, status, faults, down. Under a minute."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tenure.stack import processes, state
from tenure.stack.embedded import ALL
from tenure.stack.endpoints import StackEndpoints

# `make test` starts and ends the same stack for the whole life, too.
pytestmark = [pytest.mark.service, pytest.mark.exhaustive, pytest.mark.timeout(1500)]
TENURE = Path(sys.executable).parent / "tenure"
Environment = Mapping[str, str]


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    home = tmp_path_factory.mktemp("stack") / "home"
    return os.environ | {"TENURE_HOME": str(home)} | StackEndpoints.free().variables()


@pytest.fixture
def up(env: Environment, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    said = tmp_path / "said"
    with said.open("wb") as output:
        process = subprocess.Popen([TENURE, "up"], env=env, stdout=output, stderr=output)
    try:
        until(
            lambda: "Ctrl-C ends everything" in said.read_text() or process.poll() is not None, 600
        )
        assert process.poll() is None, said.read_text()
        yield process
    finally:
        process.kill()
        process.wait()
        subprocess.run([TENURE, "down"], env=env, check=True)


def tenure(*arguments: str, env: Environment) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [TENURE, *arguments], env=env, capture_output=True, text=True, check=False
    )


def services(env: Environment) -> dict[str, dict[str, object]]:
    answer = tenure("status", "--json", env=env)
    return {one["name"]: one for one in json.loads(answer.stdout)["services"]}


def until(claim: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.2)


def left_over(home: Path, known: state.StackState) -> list[str]:
    """Processes with our home in their environment, our mark, or in a session of ours."""
    found = [" ".join(p.cmdline()) for p in processes.of_stack(home, known.leaders())]
    for process in psutil.process_iter():
        try:
            if process.environ().get("TENURE_HOME") == str(home):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def assert_own_secrets_only(home: Path, before_any: dict[str, dict[str, object]]) -> None:
    """As the kernel shows the environment of each running process, and of all below it."""
    keys = {path.name: path.read_bytes() for path in (home / "keys").iterdir()}
    allowed = {
        "postgres": set(),
        "mlflow": {"postgres-mlflow"},
        "gateway": {"postgres-tenure_gateway"},
        "triggerer": {"postgres-airflow", "airflow-fernet"},
        "dag-processor": {"postgres-airflow", "postgres-tenure"},
        "scheduler": {"postgres-airflow", "postgres-tenure", "airflow-fernet", "airflow-jwt"},
    }
    allowed["api-server"] = allowed["scheduler"] | {"airflow-api"}
    seen = set()
    for name, service in before_any.items():
        process = psutil.Process(int(str(service["pid"])))
        for one in (process, *process.children(recursive=True)):
            with suppress(OSError):
                text = Path(f"/proc/{one.pid}/environ").read_bytes()
                held = {key for key, value in keys.items() if value in text}
                assert held <= allowed[name], f"{name} {one.cmdline()}"
                seen |= held
    # Airflow's processes write their titles over what the kernel shows; these two do not.
    assert seen >= {"postgres-mlflow", "postgres-tenure_gateway"}
    assert keys.keys() >= {"postgres-postgres", "airflow-api"}


def test_it_serves_survives_and_ends_without_a_trace(
    up: "subprocess.Popen[bytes]", env: Environment
) -> None:
    home = Path(env["TENURE_HOME"])
    answer = tenure("status", "--json", env=env)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert set(services(env)) == set(ALL)
    assert state.path(home).stat().st_mode & 0o777 == 0o600

    assert_own_secrets_only(home, before_any=services(env))
    second = tenure("up", env=env)
    assert second.returncode == 1
    assert f"process {up.pid} owns it" in second.stderr

    before = services(env)
    os.kill(before["gateway"]["pid"], signal.SIGKILL)
    until(
        lambda: (
            (now := services(env)["gateway"])["healthy"] and now["pid"] != before["gateway"]["pid"]
        ),
        120,
    )

    os.kill(before["api-server"]["pid"], signal.SIGKILL)
    until(lambda: not services(env)["api-server"]["healthy"], 60)
    assert tenure("status", env=env).returncode == 3
    assert services(env)["gateway"]["healthy"]

    known = state.read(home)
    up.send_signal(signal.SIGTERM)
    assert up.wait(120) == 0
    assert left_over(home, known) == []
    assert not state.path(home).exists()


@pytest.mark.fault
def test_down_cleans_up_after_a_killed_up(up: "subprocess.Popen[bytes]", env: Environment) -> None:
    home = Path(env["TENURE_HOME"])
    known = state.read(home)
    up.kill()
    up.wait()
    assert left_over(home, known) != []
    done = tenure("down", env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Ended ")
    assert left_over(home, known) == []
    assert tenure("status", env=env).returncode == 3
