"""Messages over a stream socket: four bytes of length, then that many bytes. Never a pickle."""

import socket
import struct
from collections.abc import Sequence

MAX_MESSAGE = 64 * 1024 * 1024
"""Bytes; whoever announces more is broken or hostile."""

_LENGTH = struct.Struct("<I")
_CHUNK = 256 * 1024


class Pipe:
    """One end; blocking or not, as its socket is.

    A blocking one uses `send` and `receive`, an event loop `push`, `flush` and `feed`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._in = bytearray()
        self._out = bytearray()
        self._whole: list[bytes] = []

    def fileno(self) -> int:
        """The socket's descriptor, for an event loop."""
        return self.socket.fileno()

    def send(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a message, and open files with its first bytes. Raises OSError."""
        header = _LENGTH.pack(len(message))
        if descriptors:
            socket.send_fds(self.socket, [header], list(descriptors))
            header = b""
        self.socket.sendall(header + message)

    def receive(self) -> bytes:
        """The next message. Raises EOFError when the other end is gone, OSError, ValueError."""
        while not self._whole:
            self._whole = self.feed()
        return self._whole.pop(0)

    def receive_with_descriptors(self, most: int = 1) -> tuple[bytes, list[int]]:
        """A message that carries open files. Raises like `receive`; ValueError without any."""
        header, descriptors, _, _ = socket.recv_fds(self.socket, _LENGTH.size, most)
        if not header:
            raise EOFError
        self._in += header
        self._whole += self._messages()
        if not descriptors:
            raise ValueError("no open file came with the message")
        return self.receive(), descriptors

    def push(self, message: bytes) -> bool:
        """Hand over a message without waiting; whether all of it is out. Raises OSError."""
        self._out += _LENGTH.pack(len(message)) + message
        return self.flush()

    def flush(self) -> bool:
        """Send what the socket takes; whether nothing is left. Raises OSError."""
        while self._out:
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return False
            del self._out[:sent]
        return True

    def feed(self) -> list[bytes]:
        """Read once; the messages that are complete now.

        Raises:
            EOFError: The other end is gone.
            ValueError: It announced a message that is too long.
        """
        try:
            chunk = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        if not chunk:
            raise EOFError
        self._in += chunk
        return self._messages()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _messages(self) -> list[bytes]:
        found: list[bytes] = []
        start, end = 0, len(self._in)
        while end - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._in, start)
            if length > MAX_MESSAGE:
                raise ValueError(f"a message of {length:,} bytes; allowed are {MAX_MESSAGE:,}")
            begin = start + _LENGTH.size
            if end - begin < length:
                break
            found.append(bytes(self._in[begin : begin + length]))
            start = begin + length
        del self._in[:start]
        return found
