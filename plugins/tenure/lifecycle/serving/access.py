"""Who may call a gateway, and how much one gateway takes on."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from tenure.lifecycle.policy import Policy

Scope = Literal["score", "outcome", "feedback", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = ("score", "outcome", "feedback", "metrics", "admin")
"""`admin` stands for all of them."""


@dataclass(frozen=True)
class ApiKey:
    """A key in force, as the lifecycle database knows it.

    Args:
        digest: SHA-256 of the secret, hexadecimal.
        name: Whose key it is; several keys may have the same name while one replaces the other.
        scopes: What it is good for.
        models: The only models that exist for it; None for all.
        rows_per_second: Rows that it may have scored in a second, on each gateway; None for any.
    """

    digest: str
    name: str
    scopes: list[str]
    models: list[str] | None = None
    rows_per_second: int | None = None


class JwtPolicy(Policy):
    """Tokens of an identity provider, accepted beside API keys.

    A token needs `exp`, `iss`, `aud` and `sub`, and names its scopes in the scope claim (words in a
    text, or a list). The claim `tenure_models`, a list, limits it to these models.
    """

    issuer: str
    """The claim `iss` of every token."""
    audience: str
    """The claim `aud` of every token."""
    jwks: str
    """The provider's public keys: a file, or an https URL (http on loopback only)."""
    scope_claim: str = "scope"
    """The claim that lists the scopes."""
    leeway_seconds: int = Field(default=30, ge=0, le=300)
    """How far the provider's clock may be from ours."""
    refresh_seconds: int = Field(default=300, ge=10)
    """How often the keys are read again; never while a request waits."""
    rows_per_second: int | None = Field(default=None, ge=1)
    """As for an API key, for each `sub`."""

    @model_validator(mode="after")
    def _is_private(self) -> "JwtPolicy":
        place = urlsplit(self.jwks)
        if place.scheme == "http" and place.hostname not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("jwks: keys come over https, or from a file")
        return self


class GatewayPolicy(Policy):
    """`gateway` of `platform.yaml`: limits of one gateway process."""

    max_connections: int = Field(default=1024, ge=1)
    """Connections at once; more are refused."""
    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024)
    """Of one request."""
    max_waiting_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Of all bodies together, beside 64 KiB of each: from the first byte until the answer. As many
    as one body may have where that is more."""
    max_rows: int = Field(default=1000, ge=1)
    """Rows of one request."""
    max_header_bytes: int = Field(default=16 * 1024, ge=1024)
    """Of all headers of a request together."""
    max_headers: int = Field(default=64, ge=8)
    """Of one request."""
    request_seconds: float = Field(default=10.0, gt=0.0)
    """Time to receive a request from its first byte to its last."""
    drain_seconds: float = Field(default=3.0, ge=0.0, le=300.0)
    """How long a gateway that got SIGTERM says that it is not ready and goes on answering, until
    balancers have noticed: longer than their check interval times their failures; 0: at once."""
    earliest_year: int = Field(default=1970, ge=1, le=9999)
    """An event time, an observation or a watermark of an earlier year is refused."""
    future_hours: float = Field(default=24.0, ge=0.0, le=8_784.0)
    """How far ahead of the gateway's clock an event time may lie. What was observed, and a
    watermark, may not lie ahead at all, apart from clocks that differ."""
    jwt: JwtPolicy | None = None
    """None: only API keys are accepted."""
    unconfined_models: str | None = Field(default=None, min_length=10, max_length=500)
    """Why models may be served on a machine that cannot confine their processes; null: they are
    refused there."""
