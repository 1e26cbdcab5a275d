"""Fixtures for all: one embedded PostgreSQL, a fresh lifecycle database for each test."""

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest

from tenure.migrations import upgrade
from tenure.settings import REPOSITORY, Settings
from tenure.stack import postgres
from tenure.wiring.base import Platform

# Several OpenMP threads on few cores wait for each other: fits would take seconds, not hundredths.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Airflow writes its airflow.cfg where it is first imported: not into the home of whoever tests.
os.environ.setdefault(
    "AIRFLOW_HOME", str(Path(tempfile.gettempdir()) / f"tenure-tests-airflow-{os.getuid()}")
)

_TEMPLATE = "template_tenure"
_numbers = itertools.count(1)


_SERVICES = {"postgres_server", "mlflow_url"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for PostgreSQL or MLflow is a service test, marked or not."""
    for item in items:
        if not _SERVICES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A real PostgreSQL of this session, with a migrated template database."""
    with postgres.running(tmp_path_factory.mktemp("postgres-home")) as server:
        _create(server, _TEMPLATE)
        upgrade(server.url(_TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server of this session, set up as in the stack: clients write artifacts."""
    home = tmp_path_factory.mktemp("mlflow-home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}", "--default-artifact-root"]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += [*places, (home / "artifacts").as_uri(), "--no-serve-artifacts", "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    url = f"http://127.0.0.1:{port}"
    with (home / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(f"{url}/health", server)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert server.poll() is None, "MLflow ended"
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    pytest.fail("MLflow does not answer")


@pytest.fixture(scope="session")
def database_url(postgres_server: postgres.Server) -> str:
    """A migrated lifecycle database that all tests of the session share."""
    return copy_of_template(postgres_server)


@pytest.fixture
def fresh_database_url(postgres_server: postgres.Server) -> str:
    """A migrated lifecycle database of this test alone."""
    return copy_of_template(postgres_server)


@pytest.fixture
def settings(fresh_database_url: str, tmp_path: Path) -> Settings:
    """Settings on a fresh database and a fresh local store; MLflow and gateway answer nowhere."""
    return Settings(
        home=tmp_path / "home",
        include=REPOSITORY / "include",
        database_url=fresh_database_url,
        store_url=(tmp_path / "home" / "store").as_uri(),
        mlflow_url="http://127.0.0.1:9",
        gateway_url="http://127.0.0.1:9",
        airflow_url="http://127.0.0.1:9",
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    """The connected installation of one test."""
    platform = Platform(settings)
    yield platform
    if "database" in platform.__dict__:
        platform.database.engine.dispose()


@dataclass
class Receiver:
    """A consumer's HTTP server: keeps what it is sent, answers what it is told to."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    """Status codes of the next answers; 204 when there are none left."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """X-Tenure-Message-Id of every request, repetitions included."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A real server on a free loopback port."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.bodies.append(json.loads(body))
            kept.ids.append(self.headers["X-Tenure-Message-Id"])
            self.send_response(kept.answers.pop(0) if kept.answers else 204)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/notices"
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield kept
        server.shutdown()


def copy_of_template(server: postgres.Server) -> str:
    """SQLAlchemy URL of a new database with the schema of the template."""
    name = f"test_{next(_numbers)}"
    _create(server, name, _TEMPLATE)
    return server.url(name)


def _create(server: postgres.Server, name: str, template: str = "template0") -> None:
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
