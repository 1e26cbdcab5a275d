"""A witness over HTTP: `add-checkpoint` as c2sp.org/tlog-witness has it, and what it saw last."""

import socket
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tenure.errors import PortTaken
from tenure.lifecycle.audit.witness import WitnessAnswer

_LONGEST_BODY = 65_536
_CONNECTIONS = 50
_IDLE_SECONDS = 10


def witness_app(
    add_checkpoint: Callable[[bytes], WitnessAnswer], newest: Callable[[], WitnessAnswer]
) -> Starlette:
    """The app of a witness.

    Args:
        add_checkpoint: Answers the body of a request.
        newest: Answers with the checkpoint that was cosigned last; 404 before the first.
    """

    async def add(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_BODY:
                return _response(WitnessAnswer(413, f"at most {_LONGEST_BODY} bytes\n"))
        return _response(await run_in_threadpool(add_checkpoint, body))

    async def checkpoint(_: Request) -> Response:
        return _response(await run_in_threadpool(newest))

    return Starlette(
        routes=[
            Route("/add-checkpoint", add, methods=["POST"]),
            Route("/checkpoint", checkpoint, methods=["GET"]),
        ]
    )


def _response(answer: WitnessAnswer) -> Response:
    headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store"}
    return Response(answer.body, answer.status, headers)


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises PortTaken."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
    except OSError as error:
        raise PortTaken(
            f"The witness cannot bind {host}:{port}: {error.strerror or error}.",
            still_safe="Nothing was started; what it saw last was not touched.",
            next_step="End the process that holds the port, or choose another one: --port.",
        ) from error


def run(app: Starlette, sock: socket.socket) -> None:
    """Serve on a socket that is bound, until SIGTERM or Ctrl-C."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[sock])
