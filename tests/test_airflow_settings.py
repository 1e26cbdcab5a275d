"""Airflow connections become settings; without them the TENURE_* variables hold."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.airflow

PLACES = {"conn_type": "postgres", "login": "ten", "password": "p/w @", "schema": "life"}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (
            PLACES | {"host": "db", "port": 5433},
            "postgresql+psycopg://ten:p%2Fw%20%40@db:5433/life",
        ),
        (
            PLACES | {"host": "db", "extra": {"sslmode": "require", "other": 1}},
            "postgresql+psycopg://ten:p%2Fw%20%40@db/life?sslmode=require",
        ),
        (
            {"conn_type": "postgres", "login": "ten", "schema": "life", "host": "/var/run/pg"},
            "postgresql+psycopg://ten@/life?host=/var/run/pg",
        ),
        (
            {"conn_type": "postgres", "schema": "life", "extra": {"host": "/var/run/pg"}},
            "postgresql+psycopg://postgres@/life?host=/var/run/pg",
        ),
    ],
    ids=["tcp", "tls", "socket", "socket in extra"],
)
def test_the_database(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, object], url: str
) -> None:
    from sqlalchemy import make_url

    from tenure.airflow_settings import settings_from_airflow

    monkeypatch.setenv("AIRFLOW_CONN_TENURE_DATABASE", json.dumps(connection))
    found = settings_from_airflow().database_url
    assert found == url
    assert make_url(found).database == "life"


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({"extra": {"url": "file:///srv/store"}}, "file:///srv/store"),
        ({"conn_type": "aws", "host": "bucket", "schema": "tenure"}, "s3://bucket/tenure"),
        (
            {"host": "bucket", "extra": {"endpoint_url": "http://s3:9000"}},
            "s3://bucket/?endpoint_url=http%3A%2F%2Fs3%3A9000",
        ),
    ],
    ids=["url", "bucket", "endpoint"],
)
def test_the_store(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, object], url: str
) -> None:
    from tenure.airflow_settings import settings_from_airflow

    monkeypatch.setenv("AIRFLOW_CONN_TENURE_STORE", json.dumps({"conn_type": "x"} | connection))
    assert settings_from_airflow().store_url == url


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        ({"conn_type": "http", "host": "mlflow", "port": 5000}, "http://mlflow:5000"),
        ({"conn_type": "http", "schema": "https", "host": "mlflow"}, "https://mlflow"),
        ({"conn_type": "http", "host": "https://mlflow"}, "https://mlflow"),
        ({"conn_type": "http", "extra": {"url": "https://m/x"}}, "https://m/x"),
    ],
    ids=["host and port", "https", "whole host", "url"],
)
def test_a_server(monkeypatch: pytest.MonkeyPatch, connection: dict[str, object], url: str) -> None:
    from tenure.airflow_settings import settings_from_airflow

    monkeypatch.setenv("AIRFLOW_CONN_TENURE_MLFLOW", json.dumps(connection))
    assert settings_from_airflow().mlflow_url == url


def test_without_connections_the_variables_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.airflow_settings import settings_from_airflow

    monkeypatch.setenv("TENURE_GATEWAY_URL", "http://gateway:1")
    assert settings_from_airflow().gateway_url == "http://gateway:1"
