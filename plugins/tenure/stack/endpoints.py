"""Which ports the stack uses, and who holds one that is taken."""

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass

import psutil

from tenure.errors import ConfigInvalid, PortTaken

LOOPBACK = "127.0.0.1"
VARIABLES = {
    "airflow": ("TENURE_AIRFLOW_PORT", 8080),
    "mlflow": ("TENURE_MLFLOW_PORT", 5000),
    "gateway": ("TENURE_GATEWAY_PORT", 8090),
}
POSTGRES_VARIABLE = "TENURE_POSTGRES_PORT"


@dataclass(frozen=True)
class StackEndpoints:
    """Ports on loopback; `postgres` is None when PostgreSQL listens on its Unix socket only."""

    airflow: int = 8080
    mlflow: int = 5000
    gateway: int = 8090
    postgres: int | None = None

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> "StackEndpoints":
        """Read TENURE_AIRFLOW_PORT, TENURE_MLFLOW_PORT, TENURE_GATEWAY_PORT, TENURE_POSTGRES_PORT.

        Raises:
            ConfigInvalid: A variable is not a port number, or two services share one.
        """
        env = os.environ if env is None else env
        ports = {name: _port(env, key, default) for name, (key, default) in VARIABLES.items()}
        postgres = _port(env, POSTGRES_VARIABLE, 0) or None
        given = [*ports.values(), *([postgres] if postgres else [])]
        if len(set(given)) < len(given):
            raise ConfigInvalid(
                f"Two services share a port: {ports | {'postgres': postgres}}.",
                still_safe="Nothing was started.",
                next_step="Give each of TENURE_*_PORT its own number.",
            )
        return cls(**ports, postgres=postgres)

    @classmethod
    def free(cls) -> "StackEndpoints":
        """Ports that nobody holds at this moment; for tests."""
        with ExitStack() as held:
            sockets = [held.enter_context(socket.socket()) for _ in VARIABLES]
            for one in sockets:
                one.bind((LOOPBACK, 0))
            return cls(*(one.getsockname()[1] for one in sockets))

    def named(self) -> dict[str, int]:
        """Port by service, without PostgreSQL when it has none."""
        ports = {"airflow": self.airflow, "mlflow": self.mlflow, "gateway": self.gateway}
        return ports | ({"postgres": self.postgres} if self.postgres else {})

    def url(self, service: str) -> str:
        """Where a person or a client reaches the service."""
        return f"http://{LOOPBACK}:{self.named()[service]}"

    def variables(self) -> dict[str, str]:
        """The same ports as the environment variables that they are read from."""
        found = {VARIABLES[name][0]: str(self.named()[name]) for name in VARIABLES}
        return found | ({POSTGRES_VARIABLE: str(self.postgres)} if self.postgres else {})

    def require_free(self) -> None:
        """Try each port.

        Raises:
            PortTaken: Somebody listens there already.
        """
        for name, port in self.named().items():
            if _is_taken(port):
                variable = VARIABLES[name][0] if name in VARIABLES else POSTGRES_VARIABLE
                raise PortTaken(
                    f"Port {port} for {name} is taken by {holder(port)}.",
                    still_safe="Nothing was started.",
                    next_step=f"End that process, or use another port: {variable}={port + 1000}.",
                )


def holder(port: int) -> str:
    """Name and pid of the process that listens on a port, as far as we may see it."""
    try:
        listeners = [
            one.pid
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid
        ]
        process = psutil.Process(listeners[0])
        return f"process {process.pid} ({' '.join(process.cmdline())[:80] or process.name()})"
    except (IndexError, psutil.Error):
        return "a process of another user"


def _port(env: Mapping[str, str], variable: str, default: int) -> int:
    text = env.get(variable) or str(default)
    if text.isascii() and text.isdecimal() and (int(text) == default or 0 < int(text) < 2**16):
        return int(text)
    raise ConfigInvalid(
        f"{variable}={text!r} is not a port; allowed are 1 to 65535.",
        still_safe="Nothing was started.",
        next_step=f"Unset {variable} or give it a number.",
    )


def _is_taken(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
