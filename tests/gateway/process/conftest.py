"""A model with real artifacts in a real database, and a real gateway process that serves it."""

from collections.abc import Callable, Iterator

import pytest
from served import Life, Process

from tenure.installation import Installation
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.serving.api_keys import create_key


@pytest.fixture
def life(platform: Installation) -> Life:
    """A registered model without versions."""
    return Life(platform)


@pytest.fixture
def process(platform: Installation) -> Iterator[Process]:
    """A gateway process that is not started yet."""
    made = Process(platform)
    yield made
    made.close()


@pytest.fixture(scope="session")
def life_of() -> type[Life]:
    """For tests that bring their own database."""
    return Life


def _processes() -> Iterator[Callable[[Installation], Process]]:
    made: list[Process] = []

    def make(platform: Installation) -> Process:
        made.append(Process(platform))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def process_of() -> Iterator[Callable[[Installation], Process]]:
    """Makes processes that end with the test."""
    yield from _processes()


@pytest.fixture(scope="module")
def process_of_module() -> Iterator[Callable[[Installation], Process]]:
    """Makes processes that end with the module."""
    yield from _processes()


@pytest.fixture(scope="module")
def bare_gateway(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A process that serves no model: for what needs a socket and nothing else."""
    home = tmp_path_factory.mktemp("bare")
    settings = Settings(
        home=home,
        include=REPOSITORY / "include",
        database_url=database_url,
        store_url=(home / "store").as_uri(),
        mlflow_url="",
        gateway_url="",
        airflow_url="",
    )
    made = Process(Installation(settings))
    made.start("/v2/health/live")
    yield made
    made.close()


@pytest.fixture
def keys(platform: Installation) -> dict[str, str]:
    """Headers by scope."""
    scopes = ("score", "outcome", "metrics")
    return {scope: f"Bearer {create_key(platform, scope, [scope])}" for scope in scopes}
