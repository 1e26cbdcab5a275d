"""What a client is told when it is refused: `{"error", "code", "field"}` and a status."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tenure.gateway.answers import json_response


class Refusal(Exception):
    """A request that gets no decision.

    Args:
        status: HTTP status, 4xx or 503.
        code: Stable word for programs.
        message: One sentence for people; names what was observed and what is allowed.
        field: Place in the request, as `inputs.temp.data[3]`, where there is one.
    """

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field

    def response(self) -> Response:
        """The JSON error."""
        body = {"error": self.message, "code": self.code, "field": self.field}
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else None
        return json_response(body, status=self.status, headers=headers)


async def on_refusal(_request: Request, error: Exception) -> Response:
    """Starlette's handler for `Refusal`."""
    assert isinstance(error, Refusal)
    return error.response()


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405, in our form."""
    assert isinstance(error, HTTPException)
    codes = {404: "no_such_path", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "refused")
    return Refusal(error.status_code, code, f"{error.detail}.").response()


async def on_crash(_request: Request, _error: Exception) -> Response:
    """A bug: the client hears no detail, the log has the trace (Starlette raises it again)."""
    return Refusal(500, "internal_error", "The gateway failed on this request.").response()
