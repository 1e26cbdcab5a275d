"""Asks a witness over HTTP: no redirect is followed, no proxy is asked, answers are short."""

import httpx

from tenure.errors import NotWitnessed
from tenure.lifecycle.audit.witness import OK, WitnessAnswer, not_witnessed

_LONGEST_ANSWER = 16_384


class WitnessClient:
    """The witness at an address.

    Args:
        url: Where it answers, without the last part of the path.
        timeout_seconds: For each of connecting, sending and reading.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 10.0) -> None:
        self._url = url.rstrip("/")
        self._timeout = timeout_seconds

    def add_checkpoint(self, body: str) -> WitnessAnswer:
        """What it answers to a request for its cosignature. Raises NotWitnessed: nothing."""
        return self._ask("POST", "add-checkpoint", body.encode())

    def newest(self) -> str | None:
        """The checkpoint that it cosigned last; None before the first.

        Raises:
            NotWitnessed: It does not answer, or with something else.
        """
        answer = self._ask("GET", "checkpoint", b"")
        if answer.status in (OK, 404):
            return answer.body if answer.status == OK else None
        raise self._silent(f"answered {answer.status}")

    def _ask(self, method: str, path: str, body: bytes) -> WitnessAnswer:
        try:
            with (
                httpx.Client(timeout=self._timeout, trust_env=False) as client,
                client.stream(method, f"{self._url}/{path}", content=body) as response,
            ):
                text = b""
                for part in response.iter_bytes():
                    text += part
                    if len(text) > _LONGEST_ANSWER:
                        raise self._silent(f"answered with more than {_LONGEST_ANSWER} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._silent(f"gave no answer: {type(error).__name__}") from error
        return WitnessAnswer(response.status_code, text.decode("utf-8", "replace"))

    def _silent(self, why: str) -> NotWitnessed:
        return not_witnessed(f"The witness {self._url} {why}.")
