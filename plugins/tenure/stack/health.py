"""Whether a service answers, asked from outside as a client would."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from urllib.request import ProxyHandler, build_opener

from tenure.stack.endpoints import Endpoints

_TIMEOUT_SECONDS = 4.0
_MONITOR = "/api/v2/monitor/health"
_MONITORED = {
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}
# Never through a proxy: everything is on loopback.
_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True)
class Health:
    """One service as `tenure status` shows it."""

    name: str
    url: str
    healthy: bool
    detail: str
    pid: int | None = None


def probe(name: str, endpoints: Endpoints, conninfo: str) -> Health:
    """Ask one service.

    Args:
        name: `postgres` or a name of the Procfile.
        endpoints: Ports.
        conninfo: How libpq reaches PostgreSQL.
    """
    if name == "postgres":
        where = f"127.0.0.1:{endpoints.postgres}" if endpoints.postgres else conninfo.split("'")[1]
        return _judge(name, where, lambda: _postgres(conninfo))
    if name in _MONITORED:
        airflow = endpoints.url("airflow")
        return _judge(name, airflow, lambda: _component(airflow, _MONITORED[name]))
    service, path = {
        "api-server": ("airflow", _MONITOR),
        "mlflow": ("mlflow", "/health"),
        "gateway": ("gateway", "/v2/health/live"),
    }[name]
    url = endpoints.url(service)
    return _judge(name, url, lambda: _answers(url + path))


def get(url: str) -> bytes:
    """Body of an answer with a status below 400.

    Raises:
        OSError: Nobody answers, too slow, or a status of 400 and above.
    """
    with _open(url, timeout=_TIMEOUT_SECONDS) as answer:
        body: bytes = answer.read()
        return body


def _judge(name: str, url: str, ask: Callable[[], str]) -> Health:
    began = time.monotonic()
    try:
        trouble = ask()
    except (OSError, HTTPException, ValueError) as error:
        trouble = str(getattr(error, "reason", None) or error) or type(error).__name__
    detail = trouble or f"answered in {(time.monotonic() - began) * 1000:.0f} ms"
    return Health(name, url, healthy=not trouble, detail=detail)


def _answers(url: str) -> str:
    get(url)
    return ""


def _component(airflow: str, component: str) -> str:
    """Airflow's own view: the last heartbeat that the component wrote to the database."""
    state = json.loads(get(airflow + _MONITOR))[component]
    if state["status"] == "healthy":
        return ""
    heartbeat = next((v for k, v in state.items() if k.startswith("latest_")), None)
    return f"{state['status'] or 'not seen yet'}, last heartbeat {heartbeat}"


def _postgres(conninfo: str) -> str:
    import psycopg

    try:
        with psycopg.connect(conninfo, connect_timeout=3) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1]
    return ""
