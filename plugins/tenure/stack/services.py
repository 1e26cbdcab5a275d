"""The lines of the Procfile as processes: each in a session and a log file of its own.

Honcho's own runner ends everything when one process ends. Here the others go on, because the
gateway must serve while Airflow is down; and what answers requests is started again when it dies.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM

import psutil

RESTARTED = frozenset({"gateway", "mlflow"})
"""Airflow's processes stay down when they die: what happens without them can then be seen."""
_ENDED_BY = {"gateway": SIGINT}
"""All others by SIGTERM, at which a gateway would first wait for balancers to notice."""
_PAUSE_SECONDS = 1.0
_GRACE_SECONDS = 5.0  # the scheduler would wait for its tasks as long as they like


def read_procfile(path: Path) -> dict[str, str]:
    """Command by service, in the order of the file."""
    from honcho.environ import parse_procfile  # not in the image, which runs no stack

    return dict(parse_procfile(path.read_text()).processes)


@dataclass
class Services:
    """Starts, watches and ends services.

    Args:
        commands: Shell command by name, from the Procfile.
        environment: Of a service, by its name.
        logs: Folder of `<name>.log`; the log of the run before is kept as `.log.1`.
        cwd: Where they run.
        changed: Called whenever a process was started, to record its id.
    """

    commands: Mapping[str, str]
    environment: Callable[[str], Mapping[str, str]]
    logs: Path
    cwd: Path
    changed: Callable[[], None] = lambda: None
    _running: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread | None = None

    def start(self, *names: str) -> None:
        """Start services; from then on the gateway and MLflow are kept alive."""
        for name in names:
            if name in self._running:  # one that ended by itself is read before it is replaced
                self._running[name].poll()
            self._rotate(name)
            self._spawn(name)
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
            self._keeper.start()

    def pids(self) -> dict[str, int]:
        """Process id by service, of those that were started."""
        with self._lock:
            return {name: process.pid for name, process in self._running.items()}

    def exit_code(self, name: str) -> int | None:
        """Of a service that ended and will not be started again; None while it runs."""
        with self._lock:
            process = self._running.get(name)
        return process.poll() if process and name not in RESTARTED else None

    def stop(self) -> None:
        """Ask every service to end, and kill those that have not after some seconds."""
        self._ending.set()
        if self._keeper:
            self._keeper.join()
        with self._lock:
            named = dict(self._running)
        processes = list(named.values())
        for name, process in named.items():
            _signal_session(process, _ENDED_BY.get(name, SIGTERM))
        deadline = time.monotonic() + _GRACE_SECONDS
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in processes:
            _signal_session(process, SIGKILL)
            process.wait()

    def _spawn(self, name: str) -> None:
        with self._lock, (self.logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(  # noqa: S602 -- a Procfile line is shell
                self.commands[name],
                shell=True,
                env=dict(self.environment(name)),
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.changed()

    def _rotate(self, name: str) -> None:
        log = self.logs / f"{name}.log"
        if log.exists():
            log.replace(self.logs / f"{name}.log.1")

    def _keep(self) -> None:
        while not self._ending.wait(_PAUSE_SECONDS):
            with self._lock:
                dead = [
                    n for n, p in self._running.items() if n in RESTARTED and p.poll() is not None
                ]
            for name in dead:
                self._spawn(name)


def sessions_of(pids: Mapping[str, int]) -> dict[int, float]:
    """Session id → creation time of its leader; each service leads a session."""
    found: dict[int, float] = {}
    for pid in pids.values():
        with suppress(psutil.Error):
            found[pid] = psutil.Process(pid).create_time()
    return found


def _signal_session(process: "subprocess.Popen[bytes]", number: int) -> None:
    """To the leader first; its process group as well, so that a shell does not swallow it."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
