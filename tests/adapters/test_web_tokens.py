"""Tokens of an identity provider: what is believed, and every way of being refused."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from waiting import wait_for

from tenure.adapters import web_tokens
from tenure.adapters.web_tokens import JwtVerifier
from tenure.errors import ServiceUnreachable
from tenure.lifecycle.serving import ApiKey, JwtPolicy

ISSUER, AUDIENCE = "https://login.example", "tenure"
CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "scope": "openid score"}
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def now() -> int:
    return int(time.time())


def published(key: Any, kid: str, **more: str) -> dict[str, Any]:
    algorithm = {
        "RSAPublicKey": jwt.algorithms.RSAAlgorithm,
        "ECPublicKey": jwt.algorithms.ECAlgorithm,
        "Ed25519PublicKey": jwt.algorithms.OKPAlgorithm,
    }[type(key.public_key()).__name__]
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


PRIVATE = jwt.algorithms.RSAAlgorithm.to_jwk(RSA, as_dict=True)
KEYS = [published(RSA, "rsa"), published(EC, "ec"), published(ED, "ed")]


def verifier(keys: Any = None, **policy: Any) -> JwtVerifier:
    data = json.dumps({"keys": KEYS if keys is None else keys}).encode()
    chosen = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks="keys.json", **policy)
    return JwtVerifier(chosen, base=Path("/nowhere"), read=lambda: data)


def token(key: Any = RSA, kid: Any = "rsa", alg: str = "RS256", **claims: Any) -> str:
    wanted = {**CLAIMS, "exp": now() + 600, **claims}
    said = {name: value for name, value in wanted.items() if value is not None}
    return jwt.encode(said, key, algorithm=alg, headers={"kid": kid})


def by_hand(header: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(CLAIMS).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    ("key", "kid", "alg"),
    [(RSA, "rsa", "RS256"), (RSA, "rsa", "PS512"), (EC, "ec", "ES256"), (ED, "ed", "EdDSA")],
)
def test_good_token(key: Any, kid: str, alg: str) -> None:
    assert verifier().verify(token(key, kid, alg)) == ApiKey("jwt:ada", "ada", ["score"])


def test_claims_become_scopes_models_and_rate() -> None:
    made = verifier(scope_claim="roles", rows_per_second=7)
    said = token(roles=["outcome", "admin", "other"], tenure_models=["flight_late"])
    expected = ApiKey("jwt:ada", "ada", ["outcome", "admin"], ["flight_late"], 7)
    assert made.verify(said) == expected


def hmac_with_the_public_key() -> str:
    """The confusion of RFC 8725, 2.1: the public key, which all know, as the secret of an HMAC."""
    import hashlib
    import hmac

    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    unsigned = by_hand({"alg": "HS256", "kid": "rsa", "typ": "JWT"}).rpartition(".")[0]
    signature = hmac.new(pem, unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda: by_hand({"alg": "none", "kid": "rsa"}), "algorithm", id="none"),
        pytest.param(hmac_with_the_public_key, "algorithm", id="HMAC with the public key"),
        pytest.param(lambda: token(EC, "rsa", "ES256"), "algorithm", id="other type of key"),
        pytest.param(lambda: token(OTHER), "Signature verification failed", id="other key"),
        pytest.param(lambda: token(kid="new"), "kid", id="unknown kid"),
        pytest.param(
            lambda: by_hand({"alg": "RS256", "kid": ["rsa"]}), "Key ID", id="kid is a list"
        ),
        pytest.param(lambda: by_hand({"alg": "RS256"}), "kid", id="no kid"),
        pytest.param(lambda: token(exp=now() - 31), "expired", id="expired"),
        pytest.param(lambda: token(nbf=now() + 60), "not yet valid", id="not yet"),
        pytest.param(lambda: token(exp=None), "exp", id="no exp"),
        pytest.param(lambda: token(sub=None), "sub", id="no sub"),
        pytest.param(lambda: token(aud="other"), "udience", id="other audience"),
        pytest.param(lambda: token(aud=None), "aud", id="no audience"),
        pytest.param(lambda: token(iss="https://evil.example"), "ssuer", id="other issuer"),
        pytest.param(lambda: token(tenure_models="all"), "tenure_models", id="models no list"),
        pytest.param(lambda: token(sub="a\x00b"), r"\(sub\) has U\+0000", id="sub with NUL"),
        pytest.param(lambda: token(sub="a\ud800"), r"\(sub\) has U\+D800", id="half a pair"),
        pytest.param(lambda: token(sub="a\u202e"), r"\(sub\) has U\+202E", id="turned sub"),
        pytest.param(lambda: token(sub="x" * 257), "has 257 characters; allowed", id="long sub"),
        pytest.param(lambda: token(sub=""), "has 0 characters; allowed", id="sub of nothing"),
        pytest.param(lambda: token(filler="x" * 9000), "too long", id="huge"),
        pytest.param(lambda: "a.b.c", "Invalid header", id="nonsense"),
        pytest.param(lambda: "..", "Invalid", id="empty"),
        pytest.param(lambda: token()[:-4] + "AAAA", "Signature", id="cut signature"),
    ],
)
def test_refused(make: Callable[[], str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        verifier().verify(make())


@pytest.mark.parametrize(
    ("leeway", "age", "good"),
    [(30, 20, True), (30, 40, False), (0, 5, False), (300, 290, True), (300, 310, False)],
)
def test_clocks_may_differ_by_the_leeway(leeway: int, age: int, good: bool) -> None:
    made = verifier(leeway_seconds=leeway)
    if good:
        made.verify(token(exp=now() - age))
        return
    with pytest.raises(ValueError, match="expired"):
        made.verify(token(exp=now() - age))


def test_known_token_is_looked_at_again_once_it_has_expired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = [float(now())]
    policy = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks="k", leeway_seconds=30)
    data = json.dumps({"keys": KEYS}).encode()
    made = JwtVerifier(policy, base=Path(), read=lambda: data, now=lambda: moment[0])
    looks: list[str] = []
    claims = made._claims
    monkeypatch.setattr(made, "_claims", lambda text: looks.append(text) or claims(text))
    said = token(exp=int(moment[0]) + 600)
    began = moment[0]
    for later, expected in ((0.0, 1), (629.9, 1), (630.0, 2)):
        moment[0] = began + later
        made.verify(said)
        assert len(looks) == expected


def test_key_that_states_an_algorithm_verifies_no_other() -> None:
    made = verifier([published(RSA, "rsa", alg="RS512")])
    made.verify(token(alg="RS512"))
    with pytest.raises(ValueError, match="algorithm"):
        made.verify(token())


# ---------------------------------------------------------------- where the keys come from


def test_file_of_keys_beside_the_configs(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"keys": KEYS}))
    policy = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks="keys.json")
    assert JwtVerifier(policy, base=tmp_path).verify(token()).name == "ada"


def test_keys_that_were_taken_back_end_their_tokens() -> None:
    keys = list(KEYS)
    policy = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks="k")
    made = JwtVerifier(policy, base=Path(), read=lambda: json.dumps({"keys": keys}).encode())
    made.verify(token())
    keys.pop(0)
    made.refresh()
    with pytest.raises(ValueError, match="kid"):
        made.verify(token())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b'{"keys": []}',
        b"x" * 300_000,
        json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa"}]}).encode(),
        json.dumps({"keys": [published(RSA, "rsa", use="enc")]}).encode(),
        json.dumps({"keys": [{**PRIVATE, "kid": "rsa"}]}).encode(),
    ],
    ids=["empty", "no keys", "none", "huge", "a secret", "for encryption", "private"],
)
def test_bad_key_set_leaves_the_one_before(data: bytes) -> None:
    sets = [json.dumps({"keys": KEYS}).encode(), data]
    policy = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks="k")
    made = JwtVerifier(policy, base=Path(), read=lambda: sets.pop(0))
    made.refresh()
    assert made.trouble
    assert made.verify(token()).name == "ada"


def test_provider_that_is_away_lets_the_gateway_start() -> None:
    policy = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks="http://127.0.0.1:9/keys")
    made = JwtVerifier(policy, base=Path())
    assert made.trouble is not None
    assert made.keys_age_seconds is None
    with pytest.raises(
        ServiceUnreachable, match=r"^The keys of http://127\.0\.0\.1:9/keys were nev"
    ):
        made.verify(token())
    with pytest.raises(ValueError, match="Invalid"):
        made.verify("..")


class Provider:
    """Publishes what it is told to, or is away."""

    def __init__(self, *keys: Any) -> None:
        self.keys: list[Any] | None = list(keys)
        self.reads = 0

    def __call__(self) -> bytes:
        self.reads += 1
        if self.keys is None:
            raise OSError("away")
        return json.dumps({"keys": self.keys}).encode()

    def verifier(self, **more: Any) -> JwtVerifier:
        policy = JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks="k", refresh_seconds=300)
        return JwtVerifier(policy, base=Path(), read=self, **more)


def test_what_becomes_of_the_keys_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    provider = Provider(*KEYS)
    provider.keys = None
    seconds = [50.0]
    with caplog.at_level("INFO", logger="tenure.adapters.web_tokens"):
        made = provider.verifier(monotonic=lambda: seconds[0])
        for keys in (None, KEYS, KEYS, None, None):
            provider.keys = keys
            made.refresh()
    away, back = "jwks=unreadable place=k cause=OSError: away", "jwks=read place=k"
    assert caplog.messages == [away, back, away]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]
    seconds[0] = 57.5
    assert made.keys_age_seconds == 7.5


def test_a_key_that_is_published_while_we_wait_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for twice: by the first look it is not there yet, and the second is not forgotten."""
    monkeypatch.setattr(web_tokens, "_EAGER_SECONDS", 0.3)
    provider = Provider(*KEYS[1:])
    made = provider.verifier()

    def is_known() -> bool:
        try:
            made.verify(token())
        except ValueError:
            return False
        return True

    assert not is_known()
    assert wait_for(lambda: provider.reads == 2)
    assert not is_known()  # heard in the time between two looks, and not again
    provider.keys = KEYS
    assert wait_for(lambda: provider.reads == 3)
    assert is_known()


def test_keys_that_cannot_be_read_are_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_tokens, "_EAGER_SECONDS", 0.01)
    provider = Provider()
    provider.keys = None
    made = provider.verifier()
    assert wait_for(lambda: provider.reads >= 4)
    provider.keys = KEYS
    assert wait_for(lambda: made.trouble is None)
    assert made.verify(token()).name == "ada"


@pytest.mark.parametrize(
    ("place", "good"),
    [
        ("https://login.example/keys", True),
        ("http://127.0.0.1:8/keys", True),
        ("http://login.example/keys", False),
        ("http://127.0.0.1.evil.example/keys", False),
        ("keys.json", True),
    ],
)
def test_keys_come_over_a_private_way(place: str, good: bool) -> None:
    if good:
        JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks=place)
        return
    with pytest.raises(ValueError, match="https"):
        JwtPolicy(issuer=ISSUER, audience=AUDIENCE, jwks=place)
