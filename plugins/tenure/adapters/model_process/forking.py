"""The warm process: imports once, then forks a model process for each socket that it is sent."""

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable

from tenure.adapters.model_process import confinement
from tenure.adapters.model_process.pipe import Pipe

_REAP_SECONDS = 1.0


def run(control: socket.socket, serve: Callable[[Pipe], None]) -> None:
    """Fork until the gateway is gone.

    Args:
        control: Where sockets come from.
        serve: Life of a model process on its socket; the process ends when it returns.
    """
    gc.collect()
    gc.freeze()  # collections in the forks would touch, and so copy, every shared page
    control.settimeout(_REAP_SECONDS)
    while True:
        _reap()
        try:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except TimeoutError:
            continue
        if not message:
            return
        if os.fork() == 0:
            control.close()
            _become_model_process(socket.socket(fileno=descriptors[0]), serve)
        os.close(descriptors[0])


def _become_model_process(sock: socket.socket, serve: Callable[[Pipe], None]) -> None:
    """Never returns: a fork must not go on with its parent's work."""
    code = 1
    try:
        confinement.die_with_parent()
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)
        handle = os.pidfd_open(os.getpid())
        pipe = Pipe(sock)
        pipe.send(b"", [handle])
        os.close(handle)
        serve(pipe)
        code = 0
    except (EOFError, ConnectionError):
        code = 0
    finally:
        os._exit(code)


def _reap() -> None:
    """Take leave of forks that ended, and say how: nobody else can know."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
            name = signal.Signals(os.WTERMSIG(status)).name
            sys.stderr.write(f"model_process=ended pid={pid} signal={name}\n")
