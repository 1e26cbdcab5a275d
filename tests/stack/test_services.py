import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tenure.settings import REPOSITORY
from tenure.stack import services as services_module
from tenure.stack.embedded import AIRFLOW
from tenure.stack.services import RESTARTED, Services, read_procfile, sessions_of

SLEEP = f"exec {sys.executable} -c 'import time; time.sleep(60)'"


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Three services, looked after ten times a second."""
    monkeypatch.setattr(services_module, "_PAUSE_SECONDS", 0.1)
    commands = {"gateway": SLEEP, "scheduler": SLEEP, "hello": "echo hello $NAME"}
    one = Services(commands, lambda _name: os.environ | {"NAME": "there"}, tmp_path, tmp_path)
    yield one
    one.stop()


def until(claim: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_procfile_names_every_service() -> None:
    assert set(read_procfile(REPOSITORY / "Procfile")) == {*AIRFLOW, "mlflow", "gateway"}
    assert not RESTARTED & set(AIRFLOW)


def test_a_killed_gateway_comes_back_and_a_killed_scheduler_does_not(services: Services) -> None:
    services.start("gateway", "scheduler")
    before = services.pids()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    until(lambda: services.pids()["gateway"] != before["gateway"])
    assert services.exit_code("scheduler") == -signal.SIGKILL
    assert services.exit_code("gateway") is None
    assert services.pids()["scheduler"] == before["scheduler"]


def test_output_goes_to_a_file_of_its_own_and_the_last_one_is_kept(
    services: Services, tmp_path: Path
) -> None:
    for _ in range(2):
        services.start("hello")
        until(lambda: services.exit_code("hello") == 0)
    assert (tmp_path / "hello.log").read_text() == "hello there\n"
    assert (tmp_path / "hello.log.1").read_text() == "hello there\n"


def test_each_service_leads_a_session(services: Services) -> None:
    services.start("scheduler")
    pid = services.pids()["scheduler"]
    assert os.getsid(pid) == pid
    assert list(sessions_of(services.pids())) == [pid]


def test_stop_ends_all_and_restarts_nothing(services: Services) -> None:
    services.start("gateway", "scheduler")
    pids = services.pids()
    services.stop()
    time.sleep(3 * services_module._PAUSE_SECONDS)
    assert services.pids() == pids
    assert not any(psutil.pid_exists(pid) for pid in pids.values())
