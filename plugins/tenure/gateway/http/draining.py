"""How a server ends: balancers and clients leave first, then it takes no new connection.

A listener that closes at once refuses what a balancer sends until its next health check.
"""

import asyncio
import signal
import socket
import time
from threading import Event
from types import FrameType

import uvicorn

_GOODBYE_SECONDS = 0.1
"""Between saying goodbye on an idle connection and closing it: what crosses is not reset."""


class DrainingServer(uvicorn.Server):
    """Uvicorn's server, which drains on SIGTERM.

    For the time of the policy it answers everything as before, says that it is not ready, and asks
    with every answer that the client leave its connection. Then it ends: at once on Ctrl-C, or on
    a second signal. Whenever it ends, it answers what it has received.

    Args:
        config: Of the server; its connections have `leave()`.
        drain_seconds: How long.
        draining: Set when it begins.
    """

    should_exit: bool

    def __init__(self, config: uvicorn.Config, *, drain_seconds: float, draining: Event) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._draining = draining
        self._ends_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: only notes it, since it may interrupt anything, even itself."""
        if self.should_exit:
            self.force_exit |= sig == signal.SIGINT
        elif sig == signal.SIGTERM and self._ends_at is None:
            self._ends_at = time.monotonic() + self._drain_seconds
        else:
            self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        is_last = await super().on_tick(counter)
        if self._ends_at is None:
            return is_last
        if not self._draining.is_set():
            self._draining.set()
            self._ask_to_leave()
        return is_last or time.monotonic() >= self._ends_at

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say goodbye where nothing is asked, answer the rest, end the app."""
        self._ask_to_leave()
        for connection in list(self.server_state.connections):
            connection.leave()  # type: ignore[union-attr]  # all of them are Guarded
        await asyncio.sleep(_GOODBYE_SECONDS)
        await super().shutdown(sockets)

    def _ask_to_leave(self) -> None:
        """With a header: in answers that are being made, and in all that follow."""
        close = (b"connection", b"close")
        for headers in (self.config.encoded_headers, self.server_state.default_headers):
            if close not in headers:
                headers.append(close)
