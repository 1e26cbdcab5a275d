"""Whether a service answers, asked from outside as a client would."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from tenure.settings import Settings

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


def probe(name: str, settings: Settings) -> Health:
    """Ask one service: `postgres` or a name of the Procfile."""
    if name == "postgres":
        url = settings.database_url.replace("postgresql+psycopg://", "postgresql://", 1)
        return _judge(name, _without_password(url), lambda: _postgres(url))
    if name in _MONITORED:
        airflow = settings.airflow_url
        return _judge(name, airflow, lambda: _component(airflow, _MONITORED[name]))
    url, path = {
        "api-server": (settings.airflow_url, _MONITOR),
        "mlflow": (settings.mlflow_url, "/health"),
        "gateway": (settings.gateway_url, "/v2/health/live"),
    }[name]
    return _judge(name, url, lambda: _answers(url + path))


def get(url: str) -> bytes:
    """Body of an answer with a status below 400.

    Raises:
        OSError: Nobody answers, too slow, or a status of 400 and above.
    """
    with _open(url, timeout=_TIMEOUT_SECONDS) as answer:
        body: bytes = answer.read()
        return body


def is_answered(url: str) -> bool:
    """Whether anything answers, were it a refusal; waits up to half a minute."""
    try:
        _open(url, timeout=30.0).close()
    except HTTPError:
        return True
    except (OSError, HTTPException):
        return False
    return True


def _judge(name: str, url: str, ask: Callable[[], str]) -> Health:
    began = time.monotonic()
    try:
        trouble = ask()
    except (OSError, HTTPException, ValueError) as error:
        trouble = str(getattr(error, "reason", None) or error) or type(error).__name__
    detail = trouble or f"answered in {(time.monotonic() - began) * 1000:.0f} ms"
    return Health(name, url, healthy=not trouble, detail=detail)


def _without_password(url: str) -> str:
    return re.sub(r"(//[^:@/]*):[^@/]*@", r"\1@", url)


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


def _postgres(url: str) -> str:
    import psycopg

    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip().splitlines()[0]
    return ""
