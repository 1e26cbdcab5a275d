"""Where things are, as Airflow's connections say it; FACTS tells why not `get_uri()`."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from tenure.settings import Settings


def settings_from_airflow() -> Settings:
    """Settings from the connections tenure_database, _store, _mlflow, _gateway and _airflow.

    A connection that does not exist falls back to the TENURE_* variables, and those to the
    embedded default.
    """
    found = {
        "TENURE_DATABASE_URL": _database_url(_connection("tenure_database")),
        "TENURE_STORE_URL": _store_url(_connection("tenure_store")),
        "TENURE_MLFLOW_URL": _http_url(_connection("tenure_mlflow")),
        "TENURE_GATEWAY_URL": _http_url(_connection("tenure_gateway")),
        "TENURE_AIRFLOW_URL": _http_url(_connection("tenure_airflow")),
    }
    return Settings.from_environment(os.environ | {k: v for k, v in found.items() if v})


def _connection(conn_id: str) -> Any:
    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        return None


def _database_url(connection: Any) -> str | None:
    """SQLAlchemy URL for psycopg 3; a host that begins with `/` is the folder of a Unix socket."""
    if connection is None:
        return None
    extra = connection.extra_dejson
    host = connection.host or extra.get("host") or ""
    user = quote(connection.login or "postgres", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    query = {k: v for k, v in extra.items() if k in {"sslmode", "sslrootcert"}}
    if host.startswith("/"):
        query["host"] = host
    place = (
        "" if host.startswith("/") else host + (f":{connection.port}" if connection.port else "")
    )
    if host.startswith("/") and connection.port:
        query["port"] = connection.port
    options = "&".join(f"{k}={quote(str(v), safe='/%')}" for k, v in query.items())
    name = quote(connection.schema or "tenure", safe="")
    return f"postgresql+psycopg://{user}{password}@{place}/{name}" + (f"?{options}" * bool(options))


def _store_url(connection: Any) -> str | None:
    """`url` of the extra, or `s3://host/schema`."""
    if connection is None:
        return None
    extra = connection.extra_dejson
    if extra.get("url"):
        return str(extra["url"])
    endpoint = extra.get("endpoint_url")
    place = f"s3://{connection.host}/{connection.schema or ''}"
    return place + (f"?endpoint_url={quote(endpoint, safe='')}" if endpoint else "")


def _http_url(connection: Any) -> str | None:
    """`url` of the extra, or scheme, host and port."""
    if connection is None:
        return None
    if connection.extra_dejson.get("url"):
        return str(connection.extra_dejson["url"])
    if "://" in (connection.host or ""):
        base = connection.host
    else:
        base = f"{connection.schema or connection.conn_type or 'http'}://{connection.host}"
    return base + (f":{connection.port}" if connection.port else "")
