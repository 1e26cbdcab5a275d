"""A copy of the installation to break: its own home, PostgreSQL, store, gateway and receiver.

Of the running installation it has `platform.yaml`, so that who watches looks as often as there.
Nothing of it is left when the block ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.stack import postgres
from tenure.stack.endpoints import LOOPBACK
from tenure.stack.postgres import GATEWAY

DATASET = "drill"
_STARTS = 20
"""How often a killed PostgreSQL is started: its last processes may hold its memory for a moment."""
_PATIENCE_SECONDS = 5.0
SAFE = "The running installation is not touched by a drill."
_CONFIG = """\
name: drill
description: A sensor, made up for drills.
owner: drill
steward: drill
time_column: at
suite: drill
source: {settle_seconds: 0}
quality: {max_quarantined: 0.5, min_rows: 1}
contract:
  key: [id]
  columns:
    id: {type: string, nullable: false}
    at: {type: timestamp, nullable: false}
    value: {type: number}
"""
_SUITE = {
    "name": "drill",
    "expectations": [
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "value", "mostly": 0.9},
            "severity": "critical",
        }
    ],
}


@dataclass
class SandboxReceiver:
    """Who is on call in the sandbox: a real HTTP server that takes whatever is posted."""

    server: ThreadingHTTPServer
    taken: list[Mapping[str, object]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it takes messages."""
        return f"http://{LOOPBACK}:{self.server.server_address[1]}"

    def send(self, body: Mapping[str, object], *, message_id: str) -> None:
        """Hand over an alert, as the receiver of the installation gets it.

        Raises:
            ServiceUnreachable: It was not taken.
        """
        import httpx

        try:
            answer = httpx.post(self.url, json=dict(body), trust_env=False)
        except httpx.HTTPError as error:
            raise _not_taken(type(error).__name__) from error
        if not answer.is_success:
            raise _not_taken(str(answer.status_code))


@dataclass
class Sandbox:
    """The copy.

    Args:
        platform: Connected to it, as its owner.
        receiver: Takes alerts and notices.
        server: Its PostgreSQL.
        gateway: Its gateway, once it was started.
    """

    platform: Installation
    receiver: SandboxReceiver
    server: postgres.Server
    gateway: "subprocess.Popen[bytes] | None" = None

    @property
    def settings(self) -> Settings:
        """Where things are."""
        return self.platform.settings

    def start_gateway(self) -> None:
        """A gateway process, in the role of gateways; it does not wait until it answers."""
        settings, log = self.settings, self.settings.home / "logs" / "gateway.log"
        named = {
            name: value for name, value in os.environ.items() if not name.startswith("TENURE_")
        }
        with log.open("ab") as output:
            self.gateway = subprocess.Popen(
                [sys.executable, "-c", "from tenure.cli import main; main()", "serve"],
                env=named
                | {
                    "TENURE_HOME": str(settings.home),
                    "TENURE_INCLUDE": str(settings.include),
                    "TENURE_DATABASE_URL": self.server.url("tenure", role=GATEWAY),
                    "TENURE_STORE_URL": settings.store_url,
                    "TENURE_GATEWAY_PORT": settings.gateway_url.rpartition(":")[2],
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill_gateway(self) -> None:
        """End it and its models' processes by SIGKILL."""
        if self.gateway is not None:
            _kill(self.gateway)

    def kill_database(self) -> None:
        """End every process of PostgreSQL by SIGKILL."""
        _kill(self.server.process)

    def start_database(self) -> None:
        """Start PostgreSQL on the same data.

        Raises:
            ServiceUnreachable: It does not come up.
        """
        for left in reversed(range(_STARTS)):
            try:
                self.server = postgres.start(self.settings.home)
            except ServiceUnreachable:
                if not left:
                    raise
            else:
                return


@contextmanager
def sandbox(real: Settings) -> Iterator[Sandbox]:
    """Build it, hand it out, and remove it.

    Args:
        real: Of the installation that the drill is about; only its `platform.yaml` is read.

    Raises:
        ServiceUnreachable: PostgreSQL does not come up.
        ConfigInvalid: `platform.yaml` is broken.
    """
    with (
        tempfile.TemporaryDirectory(prefix="tenure-drill-", ignore_cleanup_errors=True) as folder,
        _receiver() as receiver,
    ):
        home, include = Path(folder), Path(folder) / "include"
        home.chmod(0o711 if os.getuid() == 0 else 0o700)  # PostgreSQL is another user then
        _write_include(include, real.include, receiver.url)
        server = postgres.start(home)
        settings = Settings(
            home=home,
            include=include,
            database_url=server.url("tenure", role="tenure"),
            store_url=f"file://{home / 'store'}",
            mlflow_url="",
            gateway_url=f"http://{LOOPBACK}:{_free_port()}",
            airflow_url="",
        )
        box = Sandbox(Installation(settings, patience_seconds=_PATIENCE_SECONDS), receiver, server)
        try:
            from tenure.migrations import upgrade

            upgrade(settings.database_url)
            yield box
        finally:
            box.kill_gateway()
            box.platform.database.dispose()
            postgres.stop(box.server)


def _write_include(include: Path, real: Path, receiver: str) -> None:
    """The same people and periods, another receiver, and one small dataset."""
    import yaml

    from tenure.config import load_platform

    load_platform(real)
    told = yaml.safe_load((real / "configs" / "platform.yaml").read_text("utf-8")) or {}
    told["webhook_hosts"] = [LOOPBACK]
    told.pop("ledger", None)  # the witness would take the sandbox's ledger for the real one, cut
    told["watch"] = {**(told.get("watch") or {}), "webhook": receiver}
    for name in ("configs/datasets", "configs/models", "expectations"):
        (include / name).mkdir(parents=True)
    (include / "configs" / "platform.yaml").write_text(yaml.safe_dump(told), "utf-8")
    (include / "configs" / "datasets" / f"{DATASET}.yaml").write_text(_CONFIG, "utf-8")
    (include / "expectations" / f"{DATASET}.json").write_text(json.dumps(_SUITE), "utf-8")


@contextmanager
def _receiver() -> Iterator[SandboxReceiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            receiver.taken.append(json.loads(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        receiver = SandboxReceiver(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield receiver
        server.shutdown()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        return int(listening.getsockname()[1])


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _not_taken(why: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"The receiver of the sandbox did not take an alert: {why}.",
        still_safe=SAFE,
        next_step="Run the drill again.",
    )
