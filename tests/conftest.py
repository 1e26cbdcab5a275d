"""Fixtures for all: one embedded PostgreSQL, a fresh lifecycle database for each test."""

import fcntl
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psutil
import psycopg
import pytest
from flight_configs import flight_configs
from hypothesis import settings as hypothesis_settings
from sqlalchemy import make_url

from tenure.installation import Installation
from tenure.migrations import upgrade
from tenure.settings import Settings
from tenure.stack import postgres
from tenure.vocabulary import digest_bytes

# Several OpenMP threads on few cores wait for each other: fits would take seconds, not hundredths.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Airflow writes its airflow.cfg where it is first imported: not into the home of whoever tests.
os.environ.setdefault(
    "AIRFLOW_HOME", str(Path(tempfile.gettempdir()) / f"tenure-tests-airflow-{os.getuid()}")
)

_TEMPLATE = "template_tenure"
_numbers = itertools.count(1)
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_MEMORY, _ENOUGH_MEMORY = Path("/dev/shm"), 2 << 30

# How many examples a property gets: some on every day, many more in `make test-exhaustive`, which
# chooses by name. A test says a number of its own only where the usual one does not fit it.
hypothesis_settings.register_profile("daily", max_examples=40, deadline=None)
hypothesis_settings.register_profile("exhaustive", max_examples=1_000, deadline=None)
hypothesis_settings.load_profile("daily")


_SERVICES = {"postgres_server", "mlflow_url", "s3_server"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for PostgreSQL or MLflow is a service test, marked or not.

    A life on a stack comes first, for it takes longest: one worker lives it while the others go
    on. Then the files of the pure core, so that a broken rule is seen before a minute is spent.
    """
    for item in items:
        if not _SERVICES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.service)
    slow = {
        item.path
        for item in items
        if item.get_closest_marker("service") or item.get_closest_marker("airflow")
    }
    items.sort(key=lambda item: (not item.get_closest_marker("e2e"), item.path in slow))


class Shared:
    """Services of a whole run: the first worker that needs one starts it, all of them use it.

    The session ends them when its workers are gone: the first one may well end, or die, before the
    others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def once(
        self, name: str, start: Callable[[Path], tuple["subprocess.Popen[bytes]", str]]
    ) -> str:
        """Address of the service; `start` gets a folder for it, and starts it."""
        self.folder.mkdir(exist_ok=True)
        record = self.folder / f"{name}.json"
        with (self.folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not record.exists():
                home = self.folder / name
                home.mkdir()
                process, address = start(home)
                process.returncode = 0  # the session's from now on: nobody here waits for it
                born = psutil.Process(process.pid).create_time()
                record.write_text(json.dumps([process.pid, born, address]))
            _, _, address = json.loads(record.read_text())
        return str(address)

    def databases(self) -> Path:
        """A folder for PostgreSQL's data: in memory where there is enough, else with the rest.

        A copy of a database is three hundred files, and a run makes a thousand copies.
        """
        with suppress(OSError):
            if shutil.disk_usage(_MEMORY).free > _ENOUGH_MEMORY:
                return self._in_memory
        return self.folder / "databases"

    @property
    def _in_memory(self) -> Path:
        return _MEMORY / f"tenure-{digest_bytes(os.fsencode(self.folder))[:12]}"

    def end(self) -> None:
        """End every service that anybody started, and remove the databases."""
        for record in self.folder.glob("*.json"):
            pid, born, _ = json.loads(record.read_text())
            with suppress(psutil.NoSuchProcess):
                service = psutil.Process(pid)
                if service.create_time() == born:
                    _end(service)
        for place in (self._in_memory, self.folder / "databases"):
            shutil.rmtree(place, ignore_errors=True)


def _end(service: psutil.Process) -> None:
    family = [service, *service.children(recursive=True)]
    service.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(family, timeout=15)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def _shared(config: pytest.Config) -> Shared:
    """What all workers of this run share: their folders lie in the one of the session."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    mine = factory.getbasetemp()
    return Shared((mine.parent if hasattr(config, "workerinput") else mine) / "services")


def pytest_configure(config: pytest.Config) -> None:
    """A session with workers that is told to end goes through its end, as after Ctrl-C."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The session that has no session above it ends the services."""
    if not hasattr(session.config, "workerinput"):
        _shared(session.config).end()


@pytest.fixture(scope="session")
def shared(pytestconfig: pytest.Config) -> Shared:
    """The services of this run."""
    return _shared(pytestconfig)


@pytest.fixture(scope="module")
def one_stack(shared: Shared) -> Iterator[None]:
    """One whole stack at a time: two on two cores let each other's tasks die of silence."""
    shared.folder.mkdir(exist_ok=True)
    with (shared.folder / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def postgres_server(shared: Shared) -> postgres.Server:
    """A real PostgreSQL of this run, with a migrated template database."""

    def start(_: Path) -> tuple["subprocess.Popen[bytes]", str]:
        home = shared.databases()
        shutil.rmtree(home, ignore_errors=True)  # of a run that was killed
        home.mkdir()
        server = postgres.start(home)
        try:
            _trust(server, home)
            _prepare(server)
        except BaseException:
            postgres.stop(server)
            raise
        return server.process, str(server.socket)

    nobodys: Any = None  # its process is the session's
    return postgres.Server(nobodys, Path(shared.once("postgres", start)))


def _trust(server: postgres.Server, home: Path) -> None:
    """Ask no password in the folder of a run, so that a test is any role by its name."""
    (home / "postgres" / "pg_hba.conf").write_text("local all all trust\n")
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_reload_conf()")


def _prepare(server: postgres.Server) -> None:
    """Makes copies cheap, and the template.

    The databases of a run need not outlive the machine, so a copy takes a tenth of the time; and
    there are hundreds of them, each of which autovacuum would look into in turn.
    """
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        for option in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
            connection.execute(f"ALTER SYSTEM SET {option} = off")
        connection.execute("SELECT pg_reload_conf()")
    _create(server, _TEMPLATE)
    upgrade(server.url(_TEMPLATE))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A real server of the S3 protocol on a free port of loopback."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_store(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store on a bucket of this test alone."""
    import boto3

    from tenure.adapters.s3_store import S3Store

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bucket = f"b{tmp_path.name.replace('_', '-')}".lower()[:60].rstrip("-")
    boto3.client("s3", endpoint_url=s3_server).create_bucket(Bucket=bucket)
    url = f"s3://{bucket}/home?endpoint_url={s3_server}"
    return S3Store.from_url(url, cache=tmp_path / "cache")


@pytest.fixture(scope="session")
def mlflow_url(shared: Shared) -> str:
    """A real MLflow server of this run, set up as in the stack: clients write artifacts."""

    def start(home: Path) -> tuple["subprocess.Popen[bytes]", str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        places = ["--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"]
        places += ["--default-artifact-root", (home / "artifacts").as_uri(), "--no-serve-artifacts"]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers"]
        command += ["1", "--port", str(port), *places]
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        url = f"http://127.0.0.1:{port}"
        with (home / "mlflow.log").open("wb") as log:
            server = subprocess.Popen(
                command, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _wait(f"{url}/health", server)
        except BaseException:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            raise
        return server, url

    return shared.once("mlflow", start)


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
def fresh_database_url(postgres_server: postgres.Server) -> Iterator[str]:
    """A migrated lifecycle database of this test alone."""
    url = copy_of_template(postgres_server)
    yield url
    with psycopg.connect(postgres_server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


@pytest.fixture(scope="session")
def flight_include(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The house's configs as far as they are about flight_late; nobody writes into it."""
    return flight_configs(tmp_path_factory.mktemp("configs") / "include")


@pytest.fixture
def settings(fresh_database_url: str, tmp_path: Path, flight_include: Path) -> Settings:
    """Settings on a fresh database and a fresh local store; MLflow and gateway answer nowhere."""
    return Settings(
        home=tmp_path / "home",
        include=flight_include,
        database_url=fresh_database_url,
        store_url=(tmp_path / "home" / "store").as_uri(),
        mlflow_url="http://127.0.0.1:9",
        gateway_url="http://127.0.0.1:9",
        airflow_url="http://127.0.0.1:9",
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[Installation]:
    """The connected installation of one test."""
    platform = Installation(settings)
    yield platform
    if "database" in platform.__dict__:
        platform.database.engine.dispose()


@pytest.fixture
def connected(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The installation of the test, found as in a task: by a connection in the environment."""
    from sqlalchemy import make_url

    url = make_url(platform.settings.database_url)
    host = url.query["host"]
    monkeypatch.setenv("TENURE_HOME", str(platform.settings.home))
    monkeypatch.setenv(
        "AIRFLOW_CONN_TENURE_DATABASE",
        f'{{"conn_type": "postgres", "login": "postgres", "schema": "{url.database}", '
        f'"host": "{host}"}}',
    )
    monkeypatch.setenv("TENURE_STORE_URL", platform.settings.store_url)
    return platform


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
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield kept
        server.shutdown()


class Wire:
    """A TCP proxy before PostgreSQL's socket.

    `mode` is `pass`; `hold`: it swallows everything and keeps connections open; `cut`: it ends
    them and takes no new ones. `at_commit` acts once, at the next COMMIT: `lose_reply` (the server
    gets it, the client never hears), `lose_request` (the server never gets it). With `after`, at
    the next COMMIT of a transaction in which these bytes were sent.
    """

    def __init__(self, upstream: str, host: str = "127.0.0.1") -> None:
        self.upstream = upstream
        self.host = host
        self.mode = "pass"
        self.at_commit = ""
        self.after = b""
        self.lost = 0
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server((host, 0))
        self.port = int(self._server.getsockname()[1])
        self._start(self._accept)

    def url(self, database_url: str) -> str:
        """The same database through this wire."""
        parts = urlsplit(database_url)
        options = "sslmode=disable&gssencmode=disable"
        return f"{parts.scheme}://postgres@{self.host}:{self.port}{parts.path}?{options}"

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self.mode = "cut"
        for pair in self._pairs:
            self._end(*pair)

    def close(self) -> None:
        """Leaves no socket to the garbage collector, whose warning would fail another test."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._server.close()
        self._threads[0].join(5)
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for one in itertools.chain(*self._pairs):
            one.close()

    def _start(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                if self.mode == "cut":
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.upstream)
                self._pairs.append((client, server))
                self._start(self._pump, client, server, True)
                self._start(self._pump, server, client, False)

    def _pump(self, source: socket.socket, target: socket.socket, to_server: bool) -> None:
        sent = b""
        with suppress(OSError):
            while data := source.recv(65536):
                if self.mode == "hold":
                    continue
                is_commit = to_server and b"COMMIT" in data
                if is_commit and self.at_commit and self.after in sent:
                    self._lose(source, target, data)
                    return
                sent = b"" if is_commit else (sent + data)[-65536:]
                target.sendall(data)
        self._end(source, target)

    def _lose(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        how, self.at_commit = self.at_commit, ""
        self.lost += 1
        # Nobody hears the server any more: the other pump's target is gone before it answers.
        client.shutdown(socket.SHUT_RDWR)
        if how == "lose_reply":
            server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        else:
            self._end(client, server)

    @staticmethod
    def _end(*ends: socket.socket) -> None:
        for one in ends:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(fresh_database_url: str) -> Iterator[Wire]:
    """A wire to the server of this test's database."""
    folder = parse_qs(urlsplit(fresh_database_url).query)["host"][0]
    made = Wire(f"{folder}/.s.PGSQL.5432")
    yield made
    made.close()


def copy_of_template(server: postgres.Server) -> str:
    """SQLAlchemy URL of a new database with the schema of the template."""
    name = f"test_{_WORKER}_{next(_numbers)}"
    _create(server, name, _TEMPLATE)
    return server.url(name)


def _create(server: postgres.Server, name: str, template: str = "template0") -> None:
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
