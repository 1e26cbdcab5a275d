"""Runs the app with uvicorn on a port that was bound beforehand, until SIGTERM or Ctrl-C."""

import socket

import uvicorn
from starlette.applications import Starlette

from tenure.errors import PortTaken

_DRAIN_SECONDS = 10
_CONNECTIONS = 2048


def bind(host: str, port: int) -> socket.socket:
    """A listening socket's address, before anything is started. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise PortTaken(
            f"The gateway cannot bind {host}:{port}: {error.strerror or error}.",
            still_safe="Nothing was started; logs and plans were not touched.",
            next_step="End the process that holds the port, or choose another: "
            "TENURE_GATEWAY_PORT or --port.",
        ) from error
    return sock


def run(app: Starlette, sock: socket.socket) -> None:
    """Serve until told to end; open requests are answered before the logs are sealed."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        lifespan="on",
        timeout_keep_alive=30,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )
    uvicorn.Server(config).run(sockets=[sock])
