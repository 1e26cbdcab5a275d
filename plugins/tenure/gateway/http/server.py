"""Runs the app with uvicorn on a port that was bound beforehand, until SIGTERM or Ctrl-C.

The app sees whole requests of bounded size; what never becomes one is ended here: too many
connections, endless headers, a client that takes its time.
"""

import resource
import select
import socket
import time
from collections.abc import Callable
from threading import Event
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenure.errors import PortTaken
from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.http.draining import DrainingServer
from tenure.lifecycle.serving import GatewayPolicy

_LAST_ANSWERS_SECONDS = 10
_ANSWER_SECONDS = 60.0
"""For a whole request: far above the time budget of any model, so only a client can be slow."""
_LOOK_TICKS = 5
"""Half a second: the server ticks ten times a second."""
_OTHER_FILES = 128
"""Descriptors that the logs, models and database need beside the connections."""
_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


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


def create_server(
    app: Any,
    *,
    limits: GatewayPolicy | None = None,
    draining: Event | None = None,
    broken: Callable[[str], None] = lambda _code: None,
) -> uvicorn.Server:
    """A server for `run(sockets=[...])`; open requests are answered before it ends.

    Args:
        app: ASGI app.
        limits: What it takes on.
        draining: Set when it was told to end, and still answers.
        broken: Told the code of each connection that is ended here.
    """
    limits = limits or GatewayPolicy()
    allowed = min(limits.max_connections, _descriptors(limits.max_connections) - _OTHER_FILES)
    config = uvicorn.Config(
        app,
        http=_guarded(limits, max(1, allowed), broken),
        ws="none",
        loop="uvloop",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # nothing here asks where a client sits
        lifespan="on",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    draining = draining or Event()
    return _Server(config, drain_seconds=limits.drain_seconds, draining=draining)


class _Server(DrainingServer):
    """Uvicorn's server, which looks after slow connections."""

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if counter % _LOOK_TICKS == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol):
                    connection.look(now)
        return await super().on_tick(counter)


class GuardedProtocol(HttpToolsProtocol):
    """A connection with bounds on what the parser itself has none for: headers, and time.

    One clock runs from the first byte of a request until it is whole: a client that dribbles its
    head or body is cut off when it runs out. A second, longer one runs until the answer is taken.
    """

    limits: GatewayPolicy
    allowed: int
    broken: Callable[[str], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._began: float | None = None
        self._is_whole = False
        self._fields = 0
        self._field_bytes = 0
        self._unread_bytes = 0
        self._ended = False

    def connection_made(self, transport: Any) -> None:
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        self._began = time.monotonic()
        if len(self.connections) > self.allowed:
            message = f"{self.allowed} connections are open; try again."
            self.end(503, "too_many_connections", message)

    def data_received(self, data: bytes) -> None:
        """Parse what came; what the parser makes nothing of yet, it keeps."""
        if self._ended:
            return
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > self.limits.max_header_bytes:
            self._end_long_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._began = time.monotonic()
        self._is_whole = False
        self._fields = self._field_bytes = self._unread_bytes = 0

    def on_url(self, url: bytes) -> None:
        """A part of the path."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body."""
        self._fields += 1
        self._count(name, value)
        if not self._ended:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: hand the request on."""
        self._unread_bytes = 0
        if not self._ended:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._unread_bytes = 0
        if not self._ended:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._unread_bytes = 0
        self._is_whole = True
        if not self._ended:
            super().on_message_complete()
            if self.cycle.response_complete:
                self._began = None

    def on_response_complete(self) -> None:
        """The request is answered."""
        if self._is_whole:
            self._began = None
        super().on_response_complete()

    def look(self, now: float) -> None:
        """End the connection when its request, or the taking of its answer, lasts too long."""
        if self._began is None:
            if not self.transport.is_closing():
                return
            self._began = now  # the client does not read: it has as long as for an answer
        lasted = now - self._began
        if lasted > _ANSWER_SECONDS + self.limits.request_seconds:
            self.broken("slow_reader")
            self.transport.abort()
        elif lasted > self.limits.request_seconds and not (self._is_whole or self._ended):
            message = f"The request took over {self.limits.request_seconds:g} s to arrive."
            self.end(408, "slow_request", message)

    def leave(self) -> None:
        """Send no more where nothing is asked or on its way: the client is to see a clean end."""
        is_gone = self._ended or self.transport.is_closing()
        if self._is_idle and not is_gone and not self._has_unread():
            self._ended = True
            self.transport.write_eof()

    def shutdown(self) -> None:
        """The server takes no new connection: close, unless a request is here, even half of it."""
        if self._ended or self._is_idle:
            self.transport.close()
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    @property
    def _is_idle(self) -> bool:
        """Whether no request has begun that is not answered."""
        is_answered = self.cycle is None or self.cycle.response_complete
        return self.scope is None or (self._began is None and is_answered)

    def _has_unread(self) -> bool:
        """Whether the kernel holds bytes that were not read yet."""
        waiting = select.poll()
        waiting.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(waiting.poll(0))

    def end(self, status: int, code: str, message: str) -> None:
        """Answer in our form, unless there was an answer, and close."""
        self._ended = True
        self.broken(code)
        if self.cycle is not None and self.cycle.response_started:
            self.transport.abort()
            return
        answer = Refusal(status, code, message).answer()
        headers = [*answer.headers, (b"connection", b"close")]
        lines = [b"HTTP/1.1 %d %b" % (status, _REASONS[status]), *(b"%b: %b" % h for h in headers)]
        self.transport.write(b"%b\r\n\r\n%b" % (b"\r\n".join(lines), answer.body))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What the parser does not accept as HTTP."""
        if not self._ended:
            self.end(400, "not_http", msg)

    def _count(self, *parts: bytes) -> None:
        limits = self.limits
        self._unread_bytes = 0
        self._field_bytes += sum(map(len, parts))
        if self._field_bytes > limits.max_header_bytes or self._fields > limits.max_headers:
            self._end_long_head()

    def _end_long_head(self) -> None:
        if self._ended:
            return
        limits = self.limits
        message = (
            f"The head has over {limits.max_headers} headers or {limits.max_header_bytes:,} bytes."
        )
        self.end(431, "long_head", message)


def _guarded(
    limits: GatewayPolicy, allowed: int, broken: Callable[[str], None]
) -> type[HttpToolsProtocol]:
    """Uvicorn makes the protocol itself, so its settings are attributes of its class."""
    members = {"limits": limits, "allowed": allowed, "broken": staticmethod(broken)}
    return type("GuardedHere", (GuardedProtocol,), members)


def _descriptors(wanted: int) -> int:
    """Raise this process's limit of open files as far as needed and allowed; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
