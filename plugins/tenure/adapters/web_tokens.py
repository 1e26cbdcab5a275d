"""Tokens of an identity provider (RFC 7519), verified with PyJWT against its published keys."""

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt import PyJWK, PyJWTError

from tenure.errors import ServiceUnreachable
from tenure.lifecycle.serving import SCOPES, ApiKey, JwtPolicy
from tenure.vocabulary import NAME

logger = logging.getLogger(__name__)

ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
"""By type of key. There is no `none` and no HMAC: a public key must never pass for a secret."""
_MAX_TOKEN = 8192
_MAX_KEYS_BYTES = 256 * 1024
_REMEMBERED = 4096
_EAGER_SECONDS = 30.0
"""Least time between two looks for a key that nobody published yet."""


class JwtVerifier:
    """Verifies tokens without ever waiting: keys are read by a thread of its own.

    Args:
        policy: Who issues them, for whom, and where the keys are.
        base: Folder that a relative path of the keys begins at.
        read: Gives the bytes of the key set; from the file or URL by default.
        now: Seconds since 1970.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        policy: JwtPolicy,
        *,
        base: Path,
        read: Callable[[], bytes] | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy = policy
        self._read = read or (lambda: _fetch(policy.jwks, base))
        self._now = now
        self._monotonic = monotonic
        self._read_at: float | None = None
        self._keys: Mapping[str, PyJWK] = {}
        self._known: OrderedDict[str, tuple[float, ApiKey]] = OrderedDict()
        self._wanted = threading.Event()
        self.trouble: str | None = None
        """Why the keys could not be read the last time; the ones before stay in force."""
        self.refresh()
        threading.Thread(target=self._run, name="jwks", daemon=True).start()

    def verify(self, token: str) -> ApiKey:
        """Who bears the token.

        Raises:
            ValueError: It is refused, with a reason that the bearer may read.
            ServiceUnreachable: No keys were ever read, so nothing is known of it.
        """
        found = self._known.get(token)
        if found is not None and self._now() < found[0]:
            return found[1]
        claims = self._claims(token)
        bearer = self._bearer(claims)
        self._known[token] = (float(claims["exp"]) + self._policy.leeway_seconds, bearer)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return bearer

    def refresh(self) -> None:
        """Read the keys again; when that fails the old ones stay."""
        try:
            keys = _public_keys(self._read())
        except Exception as error:  # a file, a network and somebody else's JSON: anything may come
            self._note(f"{type(error).__name__}: {error}")
            return
        self._keys = keys
        self._known = OrderedDict()  # a key that was taken back takes its tokens along
        self._read_at = self._monotonic()
        self._note(None)

    @property
    def keys_age_seconds(self) -> float | None:
        """Since the keys were read last; None when they never were."""
        return None if self._read_at is None else self._monotonic() - self._read_at

    def _run(self) -> None:
        seldom = self._policy.refresh_seconds
        soon = min(_EAGER_SECONDS, seldom)
        while True:
            self._wanted.wait(seldom if self.trouble is None else soon)
            self._wanted.clear()  # first: who misses a key from here on is heard the next time
            self.refresh()
            time.sleep(soon)

    def _note(self, trouble: str | None) -> None:
        """Log what has changed, not each try."""
        if trouble is not None and self.trouble is None:
            logger.error("jwks=unreadable place=%s cause=%s", self._policy.jwks, trouble[:200])
        elif trouble is None and self.trouble is not None:
            logger.info("jwks=read place=%s", self._policy.jwks)
        self.trouble = trouble

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > _MAX_TOKEN:
            raise ValueError("it is too long")
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(header)
            return jwt.decode(
                token,
                key.key,
                algorithms=list(_algorithms(key)),
                audience=self._policy.audience,
                issuer=self._policy.issuer,
                leeway=self._policy.leeway_seconds,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except PyJWTError as error:
            raise ValueError(str(error)[:200]) from None

    def _key(self, header: Mapping[str, Any]) -> PyJWK:
        kid = header.get("kid", "")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            self._wanted.set()
            if self._read_at is None:
                raise ServiceUnreachable(
                    f"The keys of {self._policy.jwks} were never read: {self.trouble}.",
                    still_safe="API keys are accepted as before.",
                    next_step="See that the place answers; it is tried again every minute.",
                )
            raise ValueError("its key (kid) is not among the published ones")
        if header.get("alg") not in _algorithms(key):
            raise ValueError("its algorithm does not fit its key")
        return key

    def _bearer(self, claims: Mapping[str, Any]) -> ApiKey:
        said = claims.get(self._policy.scope_claim, "")
        words = said.split() if isinstance(said, str) else said
        scopes: list[str] = [s for s in SCOPES if isinstance(words, list) and s in words]
        models = claims.get("tenure_models")
        if models is not None and not _are_names(models):
            raise ValueError("tenure_models is no list of names")
        subject = str(claims["sub"])
        if problem := NAME.problem(subject):
            raise ValueError(f"its subject (sub) {problem}")
        return ApiKey(f"jwt:{subject}", subject, scopes, models, self._policy.rows_per_second)


def _algorithms(key: PyJWK) -> tuple[str, ...]:
    """What the key may verify: its own `alg` where it states one, else all of its type."""
    allowed = ALGORITHMS.get(str(key.key_type), ())
    stated = key._jwk_data.get("alg")
    return tuple(name for name in allowed if stated in {None, name})


def _public_keys(data: bytes) -> dict[str, PyJWK]:
    """Signing keys by their id. Raises ValueError when there is none that we use."""
    if len(data) > _MAX_KEYS_BYTES:
        raise ValueError(f"the key set has over {_MAX_KEYS_BYTES} bytes")
    keys = {}
    for one in json.loads(data)["keys"]:
        if one.get("kty") in ALGORITHMS and one.get("use", "sig") == "sig" and "d" not in one:
            keys[str(one.get("kid", ""))] = PyJWK(one)
    if not keys:
        raise ValueError("the key set has no public RSA, EC or Ed25519 key for signatures")
    return keys


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _fetch(place: str, base: Path) -> bytes:
    if urlsplit(place).scheme in {"http", "https"}:
        import httpx

        answer = httpx.get(place, timeout=5.0, follow_redirects=False)
        answer.raise_for_status()
        return answer.content
    return (base / place).read_bytes()
