"""What a client is told when it is refused: `{"error", "code", "field"}` and a status."""

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request

from tenure.gateway.answers import Answer, Header, json_answer

_AFTER_SECONDS = 1
"""When a client is asked to come again after 429 and 503, where nothing better is known."""


class ErrorBody(msgspec.Struct, rename={"message": "error"}):
    """Every refusal: a sentence for people, a stable word for programs, the place if any."""

    message: str
    code: str
    field: str | None = None


class Refusal(Exception):
    """A request that gets no decision.

    Args:
        status: HTTP status, 4xx or 503.
        code: Stable word for programs.
        message: One sentence for people; names what was observed and what is allowed.
        field: Place in the request, as `inputs.temp.data[3]`, where there is one.
        retry_after: Seconds after which it may work, for 429 and 503.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        field: str | None = None,
        *,
        retry_after: int = _AFTER_SECONDS,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.retry_after = retry_after

    def answer(self) -> Answer:
        """The JSON error."""
        body = ErrorBody(_encodable(self.message), self.code, self.field and _encodable(self.field))
        return json_answer(body, status=self.status, headers=self._headers())

    def _headers(self) -> list[Header]:
        if self.status == 401:
            return [(b"www-authenticate", b"Bearer")]
        if self.status in {429, 503}:
            return [(b"retry-after", b"%d" % self.retry_after)]
        return []


def _encodable(text: str) -> str:
    """Half of a surrogate pair, as JSON may escape it, has no UTF-8."""
    return text.encode(errors="replace").decode()


async def on_http_exception(_request: Request, error: Exception) -> Answer:
    """Starlette's own 404 and 405, in our form."""
    assert isinstance(error, HTTPException)
    codes = {404: "no_such_path", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "refused")
    answer = Refusal(error.status_code, code, f"{error.detail}.").answer()
    for name, value in (error.headers or {}).items():
        answer = answer.with_header((name.lower().encode(), value.encode()))
    return answer
