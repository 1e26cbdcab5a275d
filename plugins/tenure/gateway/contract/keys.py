"""Who calls, and what for: API keys known by their SHA-256, and tokens of an identity provider."""

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tenure.errors import ServiceUnreachable
from tenure.gateway.contract.refusals import Refusal
from tenure.lifecycle.serving import ApiKey

ADMIN = "admin"
_BUCKETS = 10_000
"""Callers with a rate that are remembered at once; the one that has been silent longest goes."""


@dataclass(frozen=True)
class Caller:
    """A key or a token in force; `admin` among the scopes stands for all of them.

    Args:
        id: Digest of the key, or `jwt:` and the token's subject.
        name: For people.
        scopes: What it may do.
        models: The only models that exist for it; None for all.
        rows_per_second: Its rate; None for any.
    """

    id: str
    name: str
    scopes: frozenset[str]
    models: frozenset[str] | None = None
    rows_per_second: int | None = None

    @classmethod
    def of(cls, key: ApiKey) -> "Caller":
        """The caller that a key stands for."""
        models = None if key.models is None else frozenset(key.models)
        return cls(key.digest, key.name, frozenset(key.scopes), models, key.rows_per_second)

    @property
    def client(self) -> str:
        """Who asks, over all of its keys: their name, or the subject of a token."""
        return self.id if self.id.startswith("jwt:") else self.name

    def may(self, scope: str) -> bool:
        """Whether it has the scope."""
        return scope in self.scopes or ADMIN in self.scopes

    def sees(self, model: str) -> bool:
        """Whether the model exists for it."""
        return self.models is None or model in self.models


class Tokens(Protocol):
    """Tokens of an identity provider."""

    def verify(self, token: str) -> ApiKey:
        """Who bears the token.

        Raises:
            ValueError: It is refused, with a reason that the bearer may read.
            ServiceUnreachable: The provider's keys were never read.
        """
        ...

    @property
    def keys_age_seconds(self) -> float | None:
        """Since the provider's keys were read last; None when they never were."""
        ...


class Gatekeeper:
    """Lets callers in, and holds each to its rate.

    Args:
        keys: The API keys in force at this moment, by digest; None before they were read.
        tokens: What verifies tokens; None when only keys are accepted.
        monotonic: The clock of the rates.
    """

    def __init__(
        self,
        keys: Callable[[], Mapping[str, Caller] | None],
        *,
        tokens: Tokens | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._used: set[str] = set()

    def admit(self, authorization: str, scope: str | None) -> Caller:
        """The caller of a request.

        Keys are 256 random bits, so a plain digest cannot be guessed back, and looking it up tells
        nothing by its timing.

        Args:
            authorization: The header.
            scope: What the caller must be good for; None takes any caller.

        Raises:
            Refusal: 401 without a valid key, 403 when it lacks the scope, 503 when no keys were
                read yet: a good one must not be called a bad one while the gateway starts.
        """
        kind, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if kind.lower() != "bearer" or not secret:
            raise Refusal(401, "no_key", "Send `Authorization: Bearer KEY`.")
        caller = self._caller_of(secret)
        if scope is not None and not caller.may(scope):
            raise Refusal(403, "wrong_scope", f"The key {caller.name!r} has no scope {scope!r}.")
        return caller

    def charge(self, caller: Caller) -> None:
        """Take one row from the caller's budget.

        Raises:
            Refusal: 429 with Retry-After, while the budget is used up.
        """
        if caller.rows_per_second is None:
            return
        if wait := self._bucket(caller, caller.rows_per_second).take(1, self._monotonic()):
            message = (
                f"The key {caller.name!r} has {caller.rows_per_second} rows a second; "
                f"wait {wait:.1f} s."
            )
            raise Refusal(429, "rate_limited", message, retry_after=math.ceil(wait))

    def overdraw(self, caller: Caller, rows: int) -> None:
        """Take the other rows of a request that was let in: the next one waits for them."""
        if caller.rows_per_second is not None:
            self._bucket(caller, caller.rows_per_second).overdraw(rows)

    @property
    def token_keys_age(self) -> float:
        """Seconds since the identity provider's keys were read; -1: never, NaN: there is none."""
        if self._tokens is None:
            return math.nan
        age = self._tokens.keys_age_seconds
        return -1.0 if age is None else age

    def used(self) -> list[str]:
        """Digests of the keys that were used since the last call."""
        used, self._used = self._used, set()
        return sorted(used)

    def _bucket(self, caller: Caller, rate: int) -> "Bucket":
        bucket = self._buckets.get(caller.id)
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[caller.id] = Bucket(rate, self._monotonic())
            if len(self._buckets) > _BUCKETS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller.id)
        return bucket

    def _caller_of(self, secret: str) -> Caller:
        if self._tokens is not None and secret.count(".") == 2:
            try:
                return Caller.of(self._tokens.verify(secret))
            except ValueError as error:
                raise Refusal(401, "bad_token", f"The token is refused: {error}.") from None
            except ServiceUnreachable:
                message = "The gateway has not read the identity provider's keys yet; try again."
                raise Refusal(503, "starting", message) from None
        keys = self._keys()
        if keys is None:
            raise Refusal(503, "starting", "The gateway has not read its keys yet; try again.")
        caller = keys.get(hashlib.sha256(secret.encode()).hexdigest())
        if caller is None:
            raise Refusal(401, "unknown_key", "The key is unknown or revoked.")
        self._used.add(caller.id)
        return caller


class Bucket:
    """A token bucket that holds one second's worth and may be overdrawn."""

    def __init__(self, rate: int, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate)
        self._at = now

    def take(self, tokens: int, now: float) -> float:
        """Take tokens and return 0, or take none and return the seconds until there are so many."""
        self._tokens = min(float(self.rate), self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < tokens:
            return (tokens - self._tokens) / self.rate
        self._tokens -= tokens
        return 0.0

    def overdraw(self, tokens: int) -> None:
        """Take tokens, whether they are there or not."""
        self._tokens -= tokens
