"""One installation, and the gateways that a test starts on it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from asking import Asking
from served import Life, Process

from tenure.wiring.api_keys import create_key
from tenure.wiring.base import Platform


@pytest.fixture
def life(platform: Platform) -> Life:
    """A registered model without versions."""
    return Life(platform)


@pytest.fixture
def keys(platform: Platform) -> dict[str, str]:
    """Headers by scope."""
    scopes = ("score", "metrics", "admin")
    return {scope: f"Bearer {create_key(platform, scope, [scope])}" for scope in scopes}


@pytest.fixture
def gateway(platform: Platform) -> Iterator[Callable[..., Process]]:
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
def wired(platform: Platform, wire: Any) -> Iterator[Callable[[Process], Process]]:
    """Puts the wire between a gateway and its database."""

    def put(process: Process) -> Process:
        process.env["TENURE_DATABASE_URL"] = wire.url(platform.settings.database_url)
        return process

    yield put
    wire.mode = "pass"
