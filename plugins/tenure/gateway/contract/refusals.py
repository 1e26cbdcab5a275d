"""What a client is told when it is refused: `{"error", "code", "field"}` and a status."""

import msgspec
from starlette.exceptions import HTTPException

from tenure.gateway.contract.answers import Answer, Header, json_answer

_AFTER_SECONDS = 1
"""When a client is asked to come again after 429 and 503, where nothing better is known."""
_MOST_TEXT = 400


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
        body = ErrorBody(_shown(self.message), self.code, self.field and _shown(self.field))
        return json_answer(body, status=self.status, headers=self._headers())

    def _headers(self) -> list[Header]:
        if self.status == 401:
            return [(b"www-authenticate", b"Bearer")]
        if self.status in {429, 503}:
            return [(b"retry-after", b"%d" % self.retry_after)]
        return []


def _shown(text: str) -> str:
    """Bounded, as it may repeat what was sent; and half of a surrogate pair has no UTF-8."""
    short = text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
    return short.encode(errors="replace").decode()


def of_http_exception(error: HTTPException) -> tuple[Answer, str]:
    """Starlette's own 404 and 405, in our form, with the code."""
    codes = {404: "no_such_path", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "refused")
    answer = Refusal(error.status_code, code, f"{error.detail}.").answer()
    for name, value in (error.headers or {}).items():
        answer = answer.with_header((name.lower().encode(), value.encode()))
    return answer, code
