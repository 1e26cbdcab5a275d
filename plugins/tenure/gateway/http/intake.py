"""Takes in request bodies: each is bounded, and so are all of them together."""

from tenure.gateway.contract.refusals import Refusal
from tenure.gateway.http.calls import Call
from tenure.lifecycle.serving import GatewayPolicy

SMALL_BYTES = 64 * 1024
"""So much of a body always finds room: clients with large ones do not keep out the others."""


class Intake:
    """Reads bodies, never more of them than allowed. Used by the event loop alone.

    What a body has over `SMALL_BYTES` takes room from its first byte until its request is answered,
    since it is parsed into more than itself. How long a client may take to send it is the server's
    business (`server.py`).

    Args:
        limits: What one body, and all large ones together, may have.
    """

    def __init__(self, limits: GatewayPolicy) -> None:
        self._most = limits.max_body_bytes
        self._room = max(limits.max_waiting_bytes, limits.max_body_bytes)

    async def read(self, call: Call) -> bytes:
        """The body.

        Raises:
            Refusal: 400, 413 or 415; 503 when there is no room for it now.
        """
        self._check_head(call)
        message = await call.receive()
        if message.get("more_body", False):
            return await self._rest(call, message["body"])
        if message["type"] == "http.disconnect":
            raise _disconnected()
        body: bytes = message.get("body", b"")
        self._hold(call, len(body))
        return body

    def give_back(self, held_bytes: int) -> None:
        """The room that a call held; its request is answered."""
        self._room += held_bytes

    def _check_head(self, call: Call) -> None:
        kind = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            message = f"Content-Type is {kind[:80]!r}; allowed is application/json."
            raise Refusal(415, "not_json", message, "Content-Type")
        if (call.header(b"content-encoding") or "identity").lower() != "identity":
            raise Refusal(415, "encoded", "A Content-Encoding is not accepted.", "Content-Encoding")
        declared = call.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > self._most:
            raise self._too_large(int(declared[:20]))

    async def _rest(self, call: Call, first: bytes) -> bytes:
        body = bytearray(first)  # in one piece: a client may send it byte by byte
        more = True
        while more:
            self._hold(call, len(body))
            message = await call.receive()
            if message["type"] == "http.disconnect":
                raise _disconnected()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self._hold(call, len(body))
        return bytes(body)

    def _hold(self, call: Call, size: int) -> None:
        """Take the room that a body of this size needs, or raise Refusal."""
        if size > self._most:
            raise self._too_large(size)
        wanted = max(0, size - SMALL_BYTES) - call.held_bytes
        if wanted > self._room:
            message = "Too many large bodies are being received; try again, or send fewer rows."
            raise Refusal(503, "too_many_bytes", message)
        self._room -= wanted
        call.held_bytes += wanted

    def _too_large(self, size: int) -> Refusal:
        message = f"The body has {size:,} bytes or more; allowed are {self._most:,}."
        return Refusal(413, "too_large", message)


def _disconnected() -> Refusal:
    return Refusal(400, "disconnected", "The client left before the body was read.")
