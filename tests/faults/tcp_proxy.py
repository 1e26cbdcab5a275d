"""A TCP proxy on loopback that loses, withholds and cuts: for databases and all else on TCP."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass
class _Connection:
    client: socket.socket
    upstream: socket.socket
    swallows: bool = False
    """The next reply is not handed on; the connection ends instead."""

    def reset(self) -> None:
        _reset(self.client)
        _reset(self.upstream)


@dataclass
class TcpProxy:
    """Forwards each connection to `target`; what it does may be changed at any time.

    Args:
        target: Host and port, or the path of a Unix socket.
        port: Of this proxy on 127.0.0.1.
    """

    target: tuple[str, int] | str
    port: int = 0
    is_refusing: bool = False
    """New connections are reset; `cut()` ends the old ones."""
    is_silent: bool = False
    """Nothing is forwarded, in no direction, and nothing is cut: a partition."""
    loses_reply_to: Callable[[bytes], bool] | None = None
    """The chunk from the client for which this is true is forwarded, its reply is not: the
    connection is reset when the reply comes. Used up by one chunk."""
    lost: list[bytes] = field(default_factory=list)
    """Chunks whose reply was lost."""
    connections: list[_Connection] = field(default_factory=list)

    def cut(self) -> None:
        """Reset all connections that are open."""
        while self.connections:
            self.connections.pop().reset()

    def serve(self, listener: socket.socket) -> None:
        """Until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if self.is_refusing:
                    _reset(client)
                    continue
                connection = _Connection(client, self._connect())
                self.connections.append(connection)
                for pump in (self._ask, self._answer):
                    threading.Thread(target=pump, args=(connection,), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self.target, str):
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(self.target)
            return upstream
        return socket.create_connection(self.target)

    def _ask(self, connection: _Connection) -> None:
        with suppress(OSError):
            while chunk := self._received(connection.client):
                if self.loses_reply_to is not None and self.loses_reply_to(chunk):
                    self.loses_reply_to = None
                    connection.swallows = True
                    self.lost.append(chunk)
                connection.upstream.sendall(chunk)
            connection.upstream.shutdown(socket.SHUT_WR)

    def _answer(self, connection: _Connection) -> None:
        with suppress(OSError):
            while chunk := self._received(connection.upstream):
                if connection.swallows:
                    connection.reset()
                    return
                connection.client.sendall(chunk)
            connection.client.shutdown(socket.SHUT_WR)

    def _received(self, end: socket.socket) -> bytes:
        chunk = end.recv(_CHUNK)
        while self.is_silent:
            threading.Event().wait(0.02)
        return chunk


def _reset(end: socket.socket) -> None:
    """Close with RST instead of FIN; wakes the thread that reads from it."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with suppress(OSError):
        end.shutdown(socket.SHUT_RD)
    end.close()


@contextmanager
def tcp_proxy(target: tuple[str, int] | str) -> Iterator[TcpProxy]:
    """A proxy on a free port of loopback, for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = TcpProxy(target, port=listener.getsockname()[1])
        thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            proxy.cut()
            thread.join(5)
