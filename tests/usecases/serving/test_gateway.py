"""What `platform.yaml` says about a gateway reaches it."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.lifecycle.training.labels import LabelRule
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.serving.gateway import GatewayInstallation

JWT = """gateway:
  max_rows: 7
  jwt: {issuer: "https://login.example", audience: tenure, jwks: keys.json}
"""


def gateway(tmp_path: Path, addition: str) -> GatewayInstallation:
    include = tmp_path / "include"
    shutil.copytree(REPOSITORY / "include", include)
    path = include / "configs" / "platform.yaml"
    path.write_text(path.read_text() + addition)
    settings = replace(Settings.from_environment({}), home=tmp_path / "home", include=include)
    return GatewayInstallation(Installation(settings), "gw")


def test_defaults(tmp_path: Path) -> None:
    made = gateway(tmp_path, "")
    assert (made.limits.max_rows, made.limits.request_seconds) == (1000, 10.0)
    assert made.tokens is None


def test_tokens_of_the_provider_that_the_yaml_names(tmp_path: Path) -> None:
    made = gateway(tmp_path, JWT)
    key = ed25519.Ed25519PrivateKey.generate()
    public = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    keys = made.platform.settings.include / "keys.json"
    keys.write_text(json.dumps({"keys": [{**public, "kid": "k"}]}))
    claims = {"iss": "https://login.example", "aud": "tenure", "sub": "app", "exp": 4_000_000_000}
    token = jwt.encode({**claims, "scope": "score"}, key, "EdDSA", headers={"kid": "k"})
    assert made.limits.max_rows == 7
    assert made.tokens is not None
    assert made.tokens.verify(token).scopes == ["score"]


@pytest.mark.parametrize(
    "addition",
    [
        "gateway: {max_rows: 0}\n",
        "gateway: {request_seconds: 0}\n",
        "gateway: {rate: 5}\n",
        'gateway: {jwt: {issuer: i, audience: a, jwks: "http://login.example/keys"}}\n',
        "gateway: {jwt: {issuer: i, audience: a, jwks: k, leeway_seconds: 301}}\n",
    ],
)
def test_bad_limits_are_refused_with_file_and_line(tmp_path: Path, addition: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"platform\.yaml"):
        _ = gateway(tmp_path, addition).limits


def test_labels_follow_the_yaml_and_a_broken_one_keeps_the_last(tmp_path: Path) -> None:
    made = gateway(tmp_path, "")
    path = made.platform.settings.configs / "models" / "flight_late.yaml"
    good, rules = path.read_text(), made.labels()
    assert rules("flight_late") == LabelRule()
    assert rules("nobody").meaning(1) is None  # true and false alone, as long as nothing is known
    assert rules("nobody").meaning(False) is False

    for number, (body, expected) in enumerate(
        (
            (good.replace("column: late,", "column: late, positive: 2, negative: 1,"), "2"),
            ("name: [", "2"),
            (good, None),
        )
    ):
        path.write_text(body)
        os.utime(path, ns=(number, number))
        assert rules("flight_late").positive == expected
