"""One installation, and the gateways that a test starts on it."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from asking import MODEL, Asking
from flight_configs import flight_configs
from served import Life, Process

from tenure.installation import Installation
from tenure.usecases.serving.api_keys import create_key


@pytest.fixture
def life(platform: Installation) -> Life:
    """A registered model without versions."""
    return Life(platform)


@pytest.fixture
def keys(platform: Installation) -> dict[str, str]:
    """Headers by scope."""
    scopes = ("score", "outcome", "metrics", "admin")
    return {scope: f"Bearer {create_key(platform, scope, [scope])}" for scope in scopes}


@pytest.fixture
def gateway(platform: Installation) -> Iterator[Callable[..., Process]]:
    """Makes gateway processes by id; they end with the test."""
    made: list[Process] = []

    def make(name: str = "gw-a", env: Mapping[str, str] | None = None) -> Process:
        made.append(Process(platform, env={"TENURE_GATEWAY_ID": name, **(env or {})}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def process(gateway: Callable[..., Process]) -> Process:
    """A gateway that is not started yet."""
    return gateway()


@pytest.fixture
def asking(life: Life, process: Process, keys: dict[str, str]) -> Asking:
    """Clients of the one gateway."""
    return Asking(process.url, life, keys)


@pytest.fixture
def wired(platform: Installation, wire: Any) -> Iterator[Callable[[Process], Process]]:
    """Puts the wire between a gateway and its database."""

    def put(process: Process) -> Process:
        process.env["TENURE_DATABASE_URL"] = wire.url(platform.settings.database_url)
        return process

    yield put
    wire.mode = "pass"


@pytest.fixture
def faulty(process: Process, tmp_path: Path) -> Callable[[str], Path]:
    """Puts a layer of the test beneath the gateway; the file whose presence orders the fault."""

    def put(layer: str) -> Path:
        fault = tmp_path / "fault"
        process.env["FAULT"] = str(fault)
        process.command[2] = f"{layer}\n{process.command[2]}"
        return fault

    return put


@pytest.fixture
def configure(process: Process, tmp_path: Path) -> Callable[[dict[str, str]], None]:
    """Changes the model's YAML for the gateway and its commands: replacements by pattern."""

    def change(replacements: dict[str, str]) -> None:
        include = tmp_path / "include"
        flight_configs(include)
        process.env["TENURE_INCLUDE"] = str(include)
        path = include / "configs" / "models" / f"{MODEL}.yaml"
        text = path.read_text()
        for pattern, replacement in replacements.items():
            text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
            assert count == 1, pattern
        path.write_text(text)

    return change
