"""The gateway's side: a warm process without credentials, and one model process a version of it.

Importing scikit-learn takes over a second and 120 MB. It is done once, in a process that knows no
secret; each model process is a fork of it, made in milliseconds, that shares those pages.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from tenure.adapters.model_process.pipe import Pipe

START_SECONDS = 60.0
"""Time that the warm process has for its imports, on a busy machine."""

_PLUGINS = Path(__file__).resolve().parents[3]


class ModelProcess:
    """One model process as the gateway holds it.

    Args:
        pipe: The gateway's end.
        handle: A pidfd: the process itself, never another one with the same number.
    """

    def __init__(self, pipe: Pipe, handle: int) -> None:
        self.pipe = pipe
        self.variant = "native"
        """`onnx` when ONNX Runtime scores."""
        self.note = ""
        """Why it is native although the version has an ONNX file that should serve."""
        self.missing_walls = ""
        """What of its confinement does not hold, and why; empty when all of it holds."""
        self._handle = handle

    def fileno(self) -> int:
        """Of the pipe, for an event loop."""
        return self.pipe.fileno()

    def use_from_loop(self) -> None:
        """From now on reading and writing never wait."""
        self.pipe.socket.setblocking(False)

    def push(self, message: bytes) -> bool:
        """See `Pipe.push`."""
        return self.pipe.push(message)

    def flush(self) -> bool:
        """See `Pipe.flush`."""
        return self.pipe.flush()

    def feed(self) -> list[bytes]:
        """See `Pipe.feed`."""
        return self.pipe.feed()

    @property
    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        if self._handle < 0:
            return False
        ended = select.poll()
        ended.register(self._handle, select.POLLIN)
        return not ended.poll(0)

    def status(self) -> dict[str, str]:
        """What the kernel tells of the process: `Seccomp`, `CapEff`, `NoNewPrivs` and so on.

        Raises OSError or ValueError when it ended.
        """
        handle = Path(f"/proc/self/fdinfo/{self._handle}").read_text(encoding="ascii")
        pid = int(_fields(handle)["Pid"])
        if pid < 1:
            raise ProcessLookupError("the process has ended")
        return _fields(Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))

    def close(self) -> None:
        """Kill the process, whatever it does; a second call does nothing."""
        if self._handle < 0:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        os.close(self._handle)
        self._handle = -1
        self.pipe.close()


class Nursery:
    """Starts the warm process when it is needed first, again when it died, and forks it.

    Args:
        module: Main module of the warm process.
        folder: Its working folder; nothing is ever written there.
    """

    def __init__(self, module: str, folder: Path) -> None:
        self._module = module
        self._folder = folder
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._warm: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to import; returns at once."""
        with self._lock:
            self._ensure()

    def process(self) -> ModelProcess:
        """A fresh model process. Raises OSError or EOFError when there is none."""
        ours, theirs = socket.socketpair()
        ours.settimeout(START_SECONDS)
        with theirs, self._lock:
            socket.send_fds(self._ensure(), [b"f"], [theirs.fileno()])
        pipe = Pipe(ours)
        try:
            _, (handle,) = pipe.receive_with_descriptors()
        except (OSError, EOFError, ValueError):
            pipe.close()
            raise
        return ModelProcess(pipe, handle)

    def close(self) -> None:
        """End the warm process, and with it every model process."""
        with self._lock:
            self._end()

    def _ensure(self) -> socket.socket:
        if self._warm is not None and self._warm.poll() is not None:
            self._end()
        if self._control is None:
            self._control = self._spawn()
        return self._control

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._warm is not None:
            self._warm.kill()
            self._warm.wait()
        self._control = self._warm = None

    def _spawn(self) -> socket.socket:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ours, theirs = socket.socketpair()
        with theirs:
            self._warm = subprocess.Popen(
                [sys.executable, "-s", "-P", "-m", self._module, str(theirs.fileno())],
                env=bare_environment(),
                cwd=self._folder,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        return ours


def _fields(text: str) -> dict[str, str]:
    """The lines `name:<tab>value` of a file of the kernel."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def bare_environment() -> dict[str, str]:
    """What a model process gets: where our code lies, one thread; no URL, no key, no home."""
    kept = ["LD_LIBRARY_PATH"]
    if os.environ.get("TENURE_ENV") == "test":
        kept += ["TENURE_ENV", "TENURE_FAIL"]
    return {
        "PYTHONPATH": str(_PLUGINS),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **{name: os.environ[name] for name in kept if name in os.environ},
    }
