"""One HTTP request at one endpoint, on plain ASGI: the way of a decision spares all else."""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from tenure.gateway.contract.answers import Answer, Send
from tenure.gateway.contract.metrics import Route
from tenure.gateway.contract.refusals import Refusal

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Call:
    """What a handler is given of a request.

    Args:
        scope: ASGI scope.
        receive: ASGI's source of body parts.
    """

    __slots__ = ("_doubled", "headers", "held_bytes", "params", "path", "receive")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        pairs = scope["headers"]
        self.headers: Mapping[bytes, bytes] = dict(pairs)
        self._doubled = () if len(self.headers) == len(pairs) else _doubled(pairs)
        self.params: Mapping[str, str] = scope["path_params"]
        self.path: str = scope["path"]
        self.receive = receive
        self.held_bytes = 0
        """Room that its body takes; see `Intake`."""

    def header(self, name: bytes) -> str | None:
        """A header's text, None without it.

        Raises:
            Refusal: 400 when it is not UTF-8, or stands there twice: neither the first nor the
                last of two is known to be meant.
        """
        value = self.headers.get(name)
        if name in self._doubled:
            raise Refusal(400, "duplicate_header", "The header stands there twice.", name.decode())
        try:
            return None if value is None else value.decode()
        except UnicodeDecodeError:
            shown = name.decode()
            raise Refusal(400, "malformed", "The header is not UTF-8.", shown) from None


def _doubled(pairs: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    counted = Counter(name for name, _ in pairs)
    return tuple(name for name, count in counted.items() if count > 1)


Handler = Callable[[Call], Awaitable[Answer]]


class Endpoint:
    """A handler as an ASGI app: refusals are answered, everything is counted.

    Args:
        handler: Makes the answer, or raises Refusal.
        route: Where it is counted.
        give_back: Told how much room the call held, once it needs no more.
    """

    def __init__(self, handler: Handler, route: Route, *, give_back: Callable[[int], None]) -> None:
        self._handler = handler
        self._route = route
        self._give_back = give_back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, whatever happens."""
        began = time.perf_counter()
        call = Call(scope, receive)
        try:
            answer = await self._handler(call)
        except Refusal as refusal:
            self._route.refused(refusal.code)
            answer = refusal.answer()
        except Exception:  # a bug: the client hears no detail, the log has the trace
            logger.exception("request=crashed route=%s", self._route.path)
            answer = Refusal(500, "internal_error", "The gateway failed on this request.").answer()
        finally:
            if call.held_bytes:
                self._give_back(call.held_bytes)
        self._route.answered(answer.status, time.perf_counter() - began)
        await answer(scope, receive, send)
