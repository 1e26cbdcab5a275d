"""The stack of one machine: start it, wait until it is healthy, end every process of it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil

from tenure.errors import ServiceUnreachable, StateConflict
from tenure.settings import REPOSITORY, Settings
from tenure.stack import environment, health, postgres, processes, state
from tenure.stack.endpoints import StackEndpoints
from tenure.stack.environment import AIRFLOW, Layout
from tenure.stack.health import Health
from tenure.stack.services import Services, read_procfile, sessions_of

ALL = ("postgres", "mlflow", "gateway", *AIRFLOW)
Progress = Callable[[str, float], None]
"""Called with the name of a service that became ready, and the seconds since the start."""
_POLL_SECONDS = 0.25
_BEFORE_SCHEDULER = ("api-server", "dag-processor", "triggerer")
_WARM_UP_SECONDS = 120.0
_ELSEWHERE = (
    "TENURE_DATABASE_URL",
    "TENURE_GATEWAY_URL",
    "TENURE_MLFLOW_URL",
    "TENURE_AIRFLOW_URL",
)


class Stack:
    """PostgreSQL, MLflow, the gateway and Airflow under one home folder.

    Args:
        home: All state; two stacks need two homes.
        endpoints: Ports; those of the environment by default.
        project: Folder with `dags/`, `plugins/` and the Procfile.
        include: Configs and suites; TENURE_INCLUDE or `<project>/include` by default.
        extra: More environment for every service.
    """

    def __init__(
        self,
        home: Path,
        endpoints: StackEndpoints | None = None,
        *,
        project: Path = REPOSITORY,
        include: Path | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        named = os.environ.get("TENURE_INCLUDE")
        include = include or (Path(named).absolute() if named else project / "include")
        self.layout = Layout(home.resolve(), project, include)
        self.endpoints = endpoints or StackEndpoints.from_environment()
        self.environment: dict[str, str] = {}
        self._extra = dict(extra or {})
        self._server: postgres.Server | None = None
        self._services: Services | None = None
        self._began = 0.0
        self._mine = False
        self._recording = threading.Lock()

    @property
    def home(self) -> Path:
        """The state folder."""
        return self.layout.home

    @property
    def is_up(self) -> bool:
        """Whether this object started services that it has not ended."""
        return self._mine

    @property
    def settings(self) -> Settings:
        """How clients of this stack reach it; after `start`."""
        return Settings.from_environment(self.environment)

    def start(self, on_progress: Progress = lambda name, seconds: None) -> None:
        """Prepare the databases and start every service; returns before they are all healthy.

        Raises:
            StateConflict: A stack of this home runs already.
            PortTaken: Somebody listens on one of the ports.
            ServiceUnreachable: PostgreSQL or a migration failed.
        """
        self._began = time.monotonic()
        self._refuse_second()
        self.endpoints.require_free()
        processes.become_subreaper()
        self._mine = True
        try:
            self._start(on_progress)
        except BaseException:
            self.stop()
            raise

    def wait_healthy(
        self,
        on_progress: Progress = lambda name, seconds: None,
        *,
        timeout_seconds: float = 240.0,
    ) -> None:
        """Wait until every service answers, reporting each once.

        Args:
            on_progress: Gets each service that became ready.
            timeout_seconds: How long none of those that are missing may become ready: on a busy
                machine all of them take longer.

        Raises:
            ServiceUnreachable: One ended, or the time is over; the message has the end of its log.
        """
        deadline = time.monotonic() + timeout_seconds
        waiting = [name for name in ALL if name != "postgres"]
        while waiting:
            for name in list(waiting):
                found = self._probe(name)
                if found.healthy:
                    waiting.remove(name)
                    deadline = time.monotonic() + timeout_seconds
                    on_progress(name, self._elapsed())
                elif time.monotonic() > deadline or self._exit_code(name) is not None:
                    raise self._unhealthy(found)
            time.sleep(_POLL_SECONDS)

    def status(self) -> list[Health]:
        """Ask every service."""
        return status(self.settings)

    def exited(self) -> list[str]:
        """Services that ended by themselves and stay down."""
        return [name for name in AIRFLOW if self._exit_code(name) is not None]

    def stop(self) -> int:
        """End every process, tasks included; returns how many had to be swept up at the end.

        Does nothing when this object did not start the stack of the home.
        """
        if not self._mine:
            return 0
        self._mine = False
        found = state.read(self.home)
        if self._services:
            self._services.stop()
        leaders = found.leaders() if found else {}
        server, self._server, self._services = self._server, None, None
        if server:
            leaders.pop(server.process.pid, None)
            postgres.stop(server)
        swept = processes.end(self.home, leaders)
        state.path(self.home).unlink(missing_ok=True)
        return swept

    def _start(self, on_progress: Progress) -> None:
        environment.prepare(self.layout)
        self._server = postgres.start(self.home, port=self.endpoints.postgres)
        self.environment = (
            environment.build(self.layout, self.endpoints, self._server) | self._extra
        )
        commands = read_procfile(self.layout.project / "Procfile")
        share = partial(environment.of_process, everything=self.environment)
        self._services = Services(
            commands, share, self.layout.logs, self.layout.project, self._record
        )
        self._record()
        on_progress("postgres", self._elapsed())
        self._services.start("mlflow")
        self._migrate_and_start(self._services)

    def _migrate_and_start(self, services: Services) -> None:
        """Both migrations at once; each service starts as soon as its own database is ready."""
        pool = ThreadPoolExecutor(2, thread_name_prefix="migrate")
        try:
            ours = pool.submit(self._migrate_tenure)
            airflow = pool.submit(self._migrate_airflow)
            for future, names in ((ours, ("gateway",)), (airflow, _BEFORE_SCHEDULER)):
                _wait_interruptibly(future)
                services.start(*names)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        self._warm_up()
        services.start("scheduler")

    def _warm_up(self) -> None:
        """Make the first call of the execution API before there are tasks.

        It builds the routes, which takes long enough on a busy machine for a task to give up.
        """
        url = f"{self.endpoints.url('airflow')}/execution/dag-runs/count"
        deadline = time.monotonic() + _WARM_UP_SECONDS
        while not health.is_answered(url) and time.monotonic() < deadline:
            if self._exit_code("api-server") is not None:
                return
            time.sleep(_POLL_SECONDS)

    def _migrate_tenure(self) -> None:
        from tenure.migrations import upgrade

        upgrade(self.environment["TENURE_DATABASE_URL"])

    def _migrate_airflow(self) -> None:
        stamp = self.layout.airflow / "migrated"
        if stamp.exists() and stamp.read_text() == self._airflow_revision():
            return
        log = self.layout.logs / "migrate.log"
        with log.open("wb") as output:
            done = subprocess.run(
                ["airflow", "db", "migrate"],
                env=environment.of_process("api-server", self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                start_new_session=True,
            )
        if done.returncode:
            raise ServiceUnreachable(
                f"`airflow db migrate` ended with {done.returncode}:\n{_tail(log)}",
                still_safe="The lifecycle database and the object store were not touched.",
                next_step=f"Read {log}.",
                evidence=str(log),
            )
        environment.write_private(stamp, self._airflow_revision())

    def _airflow_revision(self) -> str:
        """Installed version and schema revision: when both are as before, nothing is to migrate."""
        from importlib.metadata import version

        import psycopg

        assert self._server
        with psycopg.connect(self._server.conninfo("airflow")) as connection:
            try:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            except psycopg.errors.UndefinedTable:
                row = None
        return f"{version('apache-airflow-core')} {row[0] if row else 'empty'}"

    def _refuse_second(self) -> None:
        found = state.read(self.home)
        if found and found.owner_lives and found.owner != os.getpid():
            raise StateConflict(
                f"A stack of {self.home} runs already; process {found.owner} owns it.",
                still_safe="It was not touched.",
                next_step="Use it (`tenure status`), end it (`tenure down`), or set TENURE_HOME.",
            )
        if found:
            down(self.home)

    def _record(self) -> None:
        with self._recording:
            self._write_state()

    def _write_state(self) -> None:
        assert self._server
        pids = {"postgres": self._server.process.pid}
        if self._services:
            pids |= self._services.pids()
        known = state.read(self.home)
        sessions = dict(known.sessions if known else {})
        sessions |= {str(session): born for session, born in sessions_of(pids).items()}
        state.write(
            self.home,
            state.StackState(
                owner=os.getpid(),
                owner_created=psutil.Process().create_time(),
                endpoints=self.endpoints,
                pids=pids,
                sessions=sessions,
                environment={k: v for k, v in self.environment.items() if k.startswith("TENURE_")},
            ),
        )

    def _probe(self, name: str) -> Health:
        return health.probe(name, self.settings)

    def _exit_code(self, name: str) -> int | None:
        return self._services.exit_code(name) if self._services else None

    def _unhealthy(self, found: Health) -> ServiceUnreachable:
        log = self.layout.logs / f"{found.name}.log"
        code = self._exit_code(found.name)
        fate = "is not healthy" if code is None else f"ended with {code}"
        return ServiceUnreachable(
            f"{found.name} {fate} after {self._elapsed():.0f} s ({found.detail}):\n{_tail(log)}",
            still_safe="Everything that was stored before; nothing is half written.",
            next_step=f"Read {log}; then start again.",
            evidence=str(log),
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


def status(settings: Settings) -> list[Health]:
    """Ask every service, from any process: the embedded stack, or what TENURE_*_URL name.

    Raises:
        ServiceUnreachable: No stack of this home was started, and nothing else is named.
    """
    found = state.read(settings.home.resolve())
    if not found and not any(variable in os.environ for variable in _ELSEWHERE):
        raise ServiceUnreachable(
            f"No stack of {settings.home} is running.",
            still_safe="What it stored stays.",
            next_step="Start it with `tenure up`.",
        )
    pids = found.pids if found else {}
    with ThreadPoolExecutor(len(ALL)) as pool:
        answers = pool.map(lambda name: health.probe(name, settings), ALL)
        return [replace(answer, pid=pids.get(answer.name)) for answer in answers]


def down(home: Path) -> int:
    """End the stack of this home, whoever started it; returns how many processes were ended."""
    home = home.resolve()
    found = state.read(home)
    leaders = found.leaders() if found else {}
    before = len(processes.of_stack(home, leaders))
    if found and found.owner_lives and found.owner != os.getpid():
        owner = psutil.Process(found.owner)
        owner.terminate()
        with suppress(psutil.TimeoutExpired):
            owner.wait(40)
    _shut_down_postgres(home, leaders)
    processes.end(home, leaders)
    state.path(home).unlink(missing_ok=True)
    return before


def _shut_down_postgres(home: Path, leaders: Mapping[int, float]) -> None:
    """A fast shutdown, so that the next start needs no recovery."""
    ours = [process for process in processes.of_stack(home, leaders) if process.pid in leaders]
    with suppress(psutil.Error):
        for postmaster in [process for process in ours if process.name() == "postgres"]:
            postmaster.send_signal(signal.SIGINT)
            postmaster.wait(10)


def _wait_interruptibly(future: "Future[None]") -> None:
    """Like `result`, but a signal handler gets its turn."""
    while not wait([future], timeout=_POLL_SECONDS).done:
        continue
    future.result()


def _tail(log: Path, lines: int = 12) -> str:
    with suppress(FileNotFoundError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return "(no log)"
