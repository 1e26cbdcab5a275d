"""Asks processes over HTTP whether they live: no login, no proxy, and little memory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

_HEALTH = "/api/v2/monitor/health"
_LONGEST = 100_000
_open = build_opener(ProxyHandler({})).open


@dataclass(frozen=True)
class AirflowComponent:
    """What Airflow says of one of its processes; no heartbeat when it never ran."""

    name: str
    heartbeat: datetime | None


def answers(url: str, *, timeout_seconds: float) -> str:
    """Why nobody lives at the address, in a few words; empty when somebody answers."""
    try:
        _open(url, timeout=timeout_seconds).close()
    except HTTPError as error:
        return f"it answers {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return str(getattr(error, "reason", None) or type(error).__name__)
    return ""


def airflow_components(url: str, *, timeout_seconds: float) -> list[AirflowComponent] | None:
    """Scheduler, triggerer and dag-processor by Airflow's API server; None when it is not there."""
    try:
        with _open(url + _HEALTH, timeout=timeout_seconds) as answer:
            body = json.loads(answer.read(_LONGEST))
        return [
            AirflowComponent("scheduler", _heartbeat(body["scheduler"])),
            AirflowComponent("triggerer", _heartbeat(body["triggerer"])),
            AirflowComponent("dag-processor", _heartbeat(body["dag_processor"])),
        ]
    except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
        return None


def _heartbeat(said: Mapping[str, object]) -> datetime | None:
    """The field is called `latest_…_heartbeat`, each by its component."""
    found = next((v for k, v in said.items() if k.startswith("latest_") and v), None)
    return datetime.fromisoformat(str(found)) if found else None
