"""A witness as other people run it: the command, a folder and a port of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import httpx
import uvicorn

from tenure.adapters.witness_server import listening, witness_app
from tenure.installation import Installation, SystemClock
from tenure.lifecycle.audit.signed_note import NoteKey, parse_key
from tenure.lifecycle.audit.witness import LedgerPolicy, WitnessPolicy
from tenure.usecases.audit.witness import Witness

_TENURE = [sys.executable, "-c", "from tenure.cli import main; main()"]
NAME = "witness.example/w1"


class WitnessProcess:
    """`tenure witness` with the public key of one ledger."""

    def __init__(self, folder: Path, log: NoteKey) -> None:
        self.folder = folder
        self.log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.popen: subprocess.Popen[str] | None = None
        self.key = ""

    def start(self, **environment: str) -> "WitnessProcess":
        """Start it and wait until it answers; its key is the first line that it prints."""
        self.stop()
        words = ["witness", str(self.folder), "--log", self.log.text, "--name", NAME]
        self.popen = subprocess.Popen(
            [*_TENURE, *words, "--port", str(self.port)],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.popen.stdout
        self.key = self.popen.stdout.readline().strip()
        for _ in range(300):
            try:
                httpx.get(f"{self.url}/checkpoint", trust_env=False)
            except httpx.HTTPError:
                time.sleep(0.1)
            else:
                return self
        raise AssertionError("the witness does not answer")

    @property
    def policy(self) -> LedgerPolicy:
        """What `platform.yaml` says of it."""
        witness = WitnessPolicy(url=self.url, key=self.key)
        return LedgerPolicy(origin=self.log.name, witness=witness)

    @property
    def note_key(self) -> NoteKey:
        return parse_key(self.key)

    def died(self) -> int:
        """How it ended."""
        assert self.popen
        return self.popen.wait(60)

    def stop(self) -> None:
        if self.popen and self.popen.poll() is None:
            self.popen.send_signal(signal.SIGKILL)
            self.popen.wait()
        if self.popen and self.popen.stdout:
            self.popen.stdout.close()


class WitnessThread:
    """The same witness in a thread of the test: real HTTP, a real folder, no start of a process."""

    def __init__(self, folder: Path, log: NoteKey) -> None:
        self.witness = Witness(folder, NAME, log, SystemClock())
        sock = listening("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        app = witness_app(self.witness.add_checkpoint, self.witness.newest)
        config = uvicorn.Config(app, log_config=None, access_log=False)
        self._server = uvicorn.Server(config)
        self._sock = sock
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [sock]})
        self._thread.start()

    @property
    def policy(self) -> LedgerPolicy:
        witness = WitnessPolicy(url=self.url, key=self.witness.key.text)
        return LedgerPolicy(witness=witness)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)
        self._sock.close()


def configured(platform: Installation, policy: LedgerPolicy) -> Installation:
    """The installation as if its `platform.yaml` said so."""
    platform.__dict__["config"] = platform.config.model_copy(update={"ledger": policy})
    return platform
