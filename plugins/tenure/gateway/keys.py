"""API keys: known by their SHA-256, each with scopes; who calls, and what for."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from tenure.gateway.refusals import Refusal

ADMIN = "admin"


@dataclass(frozen=True)
class Key:
    """A key in force; `admin` among the scopes stands for all of them."""

    name: str
    scopes: frozenset[str]


def authorize(request: Request, keys: Mapping[str, Key], scope: str | None) -> Key:
    """The key of the request.

    Keys are 256 random bits, so a plain digest cannot be guessed back, and looking it up tells
    nothing by its timing.

    Args:
        request: The request.
        keys: Keys in force, by digest.
        scope: What the key must be good for; None takes any key.

    Raises:
        Refusal: 401 without a valid key, 403 when the key lacks the scope.
    """
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret:
        raise Refusal(401, "no_key", "Send `Authorization: Bearer KEY`.")
    key = keys.get(hashlib.sha256(secret.strip().encode()).hexdigest())
    if key is None:
        raise Refusal(401, "unknown_key", "The key is unknown or revoked.")
    if scope is not None and not key.scopes & {scope, ADMIN}:
        raise Refusal(403, "wrong_scope", f"The key {key.name!r} has no scope {scope!r}.")
    return key
