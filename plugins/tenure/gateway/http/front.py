"""Which endpoint answers: the way of a decision at once, all others through Starlette's router."""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from tenure.gateway.contract import refusals
from tenure.gateway.contract.answers import Answer, Send
from tenure.gateway.contract.metrics import Metrics
from tenure.gateway.contract.operations import OPERATIONS
from tenure.gateway.http.calls import Endpoint, Receive, Scope
from tenure.gateway.http.endpoints import Endpoints
from tenure.gateway.http.inspection import Inspection

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HOT = "infer"
_HOT_PATH = re.compile(r"/v2/models/(?P<model>[^/]+)/infer")


class Front:
    """The ASGI app.

    Args:
        handlers: Objects that have a method for each operation of the published contract.
        metrics: Where requests are counted.
        lifespan: What happens before the first request and after the last.
    """

    def __init__(
        self,
        handlers: tuple[Endpoints, Inspection],
        metrics: Metrics,
        lifespan: Callable[[Any], AbstractAsyncContextManager[None]],
    ) -> None:
        taking, telling = handlers
        ends = {
            one.name: Endpoint(
                getattr(taking, one.name, None) or getattr(telling, one.name),
                metrics.route(one.method, one.path),
                give_back=taking.intake.give_back,
            )
            for one in OPERATIONS
        }
        self._hot = ends[_HOT]
        self._metrics = metrics
        handle: dict[Any, Any] = {HTTPException: self._elsewhere}
        self._all = Starlette(
            routes=[Route(one.path, ends[one.name], methods=[one.method]) for one in OPERATIONS],
            lifespan=lifespan,
            exception_handlers=handle,
        )
        self._all.router.redirect_slashes = False

    async def _elsewhere(self, request: Request, error: Exception) -> Answer:
        """No such path, or not this method: counted as such, whatever they were called."""
        assert isinstance(error, HTTPException)
        answer, code = refusals.of_http_exception(error)
        method = request.method if request.method in _METHODS else "other"
        self._metrics.requests.labels(method, "none", str(answer.status)).inc()
        self._metrics.refusals.labels(code).inc()
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or take part in the server's start and end."""
        if scope["type"] == "http" and scope["method"] == "POST":
            found = _HOT_PATH.fullmatch(scope["path"])
            if found is not None:
                scope["path_params"] = found.groupdict()
                await self._hot(scope, receive, send)
                return
        await self._all(scope, receive, send)
