"""Fixtures for all: one embedded PostgreSQL, a fresh lifecycle database for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tenure.migrations import upgrade
from tenure.settings import REPOSITORY, Settings
from tenure.stack import postgres
from tenure.wiring.base import Platform

_TEMPLATE = "template_tenure"
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for PostgreSQL is a service test, marked or not."""
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.service)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Server]:
    """A real PostgreSQL of this session, with a migrated template database."""
    with postgres.running(tmp_path_factory.mktemp("postgres-home")) as server:
        _create(server, _TEMPLATE)
        upgrade(server.url(_TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def database_url(postgres_server: postgres.Server) -> str:
    """A migrated lifecycle database that all tests of the session share."""
    return copy_of_template(postgres_server)


@pytest.fixture
def fresh_database_url(postgres_server: postgres.Server) -> str:
    """A migrated lifecycle database of this test alone."""
    return copy_of_template(postgres_server)


@pytest.fixture
def settings(fresh_database_url: str, tmp_path: Path) -> Settings:
    """Settings on a fresh database and a fresh local store; MLflow and gateway answer nowhere."""
    return Settings(
        home=tmp_path / "home",
        include=REPOSITORY / "include",
        database_url=fresh_database_url,
        store_url=(tmp_path / "home" / "store").as_uri(),
        mlflow_url="http://127.0.0.1:9",
        gateway_url="http://127.0.0.1:9",
        airflow_url="http://127.0.0.1:9",
    )


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    """The connected installation of one test."""
    platform = Platform(settings)
    yield platform
    if "database" in platform.__dict__:
        platform.database.engine.dispose()


def copy_of_template(server: postgres.Server) -> str:
    """SQLAlchemy URL of a new database with the schema of the template."""
    name = f"test_{next(_numbers)}"
    _create(server, name, _TEMPLATE)
    return server.url(name)


def _create(server: postgres.Server, name: str, template: str = "template0") -> None:
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
