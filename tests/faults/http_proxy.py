"""An HTTP proxy on loopback that answers, loses, cuts and alters: one fault for one request."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Fault:
    """What becomes of one request.

    Args:
        method: Of the requests that it waits for; "" is any.
        status: Answered without asking the server, with the S3 error `code`.
        loses_reply: The server does as it is told, but the client only sees the connection end.
        keeps_bytes: Only so many bytes of the body arrive; the header promises them all.
        flips: One bit of the body's first byte arrives changed.
        query: What the path and query of the request must hold.
    """

    method: str = ""
    status: int = 0
    code: str = "InternalError"
    loses_reply: bool = False
    keeps_bytes: int | None = None
    flips: bool = False
    query: str = ""

    def concerns(self, method: str, path: str) -> bool:
        """Whether it waits for such a request."""
        return self.method in {"", method} and self.query in path


@dataclass
class HttpProxy:
    """Faults are used up in their order, each by the first request that it concerns."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of everything that was asked."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault of this request."""
        with self.lock:
            self.requests.append((method, path))
            found = next((f for f in self.faults if f.concerns(method, path)), None)
            if found is not None:
                self.faults.remove(found)
            return found

    def count(self, method: str) -> int:
        """Requests with this method."""
        return sum(asked == method for asked, _ in self.requests)


class _Forwarding(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    proxy: HttpProxy
    upstream: str

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def forward(self) -> None:
        """Hand the request on, unless a fault says otherwise, and the answer back."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.take(self.command, self.path) or Fault()
        if fault.status:
            self.answer(fault.status, {}, _error(fault.code), fault)
            return
        status, headers, data = self.ask(body)
        if fault.loses_reply:
            self.close_connection = True
            return
        self.answer(status, headers, data, fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

    def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """What the server says."""
        asked = http.client.HTTPConnection(self.upstream, timeout=30)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
        asked.request(self.command, self.path, body, headers)
        reply = asked.getresponse()
        data = reply.read()
        asked.close()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, data

    def answer(self, status: int, headers: dict[str, str], data: bytes, fault: Fault) -> None:
        """Answer the client, with the fault."""
        length = headers.get("content-length") if self.command == "HEAD" else None
        self.send_response_only(status)
        for name, value in headers.items():
            if name not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if fault.flips:
            data = bytes([data[0] ^ 1]) + data[1:]
        if fault.keeps_bytes is not None:
            data = data[: fault.keeps_bytes]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(data)


@contextmanager
def http_proxy(target: str) -> Iterator[HttpProxy]:
    """A proxy of the server at `http://host:port`, for as long as the block runs."""
    proxy = HttpProxy()

    class Handler(_Forwarding):
        pass

    Handler.proxy, Handler.upstream = proxy, urlsplit(target).netloc
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield proxy
        server.shutdown()


def _error(code: str) -> bytes:
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code>"
        f"<Message>injected</Message></Error>"
    ).encode()
