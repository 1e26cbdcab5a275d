"""Posts the failure card of a task to the webhook connection `tenure_alerts`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from airflow.sdk import Context

CONNECTION = "tenure_alerts"
TIMEOUT_SECONDS = 5.0

_log = logging.getLogger("tenure.alerts")


class FailureNotifier(BaseNotifier):
    """`on_failure_callback` of every task; whatever the receiver does, the task is not affected."""

    def notify(self, context: Context) -> None:
        """Post one notice; without the connection there is one line in the log and nothing else."""
        post(notice(context))


def notice(context: Context) -> dict[str, object]:
    """What is posted: where, why, what is still safe, what to do, and the link to open."""
    from tenure.wiring.oncall import describe

    ti = context["ti"]
    error = context.get("exception")
    card = getattr(error, "card", None) or describe(
        error if isinstance(error, Exception) else RuntimeError(str(error or "no reason given")),
        log_url=str(getattr(ti, "log_url", "") or ""),
    )
    return {
        "dag": ti.dag_id,
        "run": ti.run_id,
        "task": ti.task_id,
        "map_index": -1 if ti.map_index is None else ti.map_index,
        "kind": card.kind,
        "cause": card.what,
        "still_safe": card.still_safe,
        "next_step": card.next_step,
        "owner": card.owner,
        "url": card.log_url,
    }


def post(body: Mapping[str, object]) -> bool:
    """Post JSON to the connection `tenure_alerts`; False when nobody took it. Never raises."""
    try:
        target = _target()
        if target is None:
            _log.info("alert=skipped reason=no-connection connection=%s", CONNECTION)
            return False
        import httpx

        url, headers = target
        answer = httpx.post(url, json=dict(body), headers=headers, timeout=TIMEOUT_SECONDS)
    except Exception as error:
        # The address may hold a token, so only the kind of error is named.
        _log.warning("alert=lost reason=%s connection=%s", type(error).__name__, CONNECTION)
        return False
    _log.info("alert=sent status=%s task=%s", answer.status_code, body.get("task"))
    return bool(answer.is_success)


def _target() -> tuple[str, dict[str, str]] | None:
    """Address and headers: `url` of the extra or scheme, host, port and path of the connection."""
    try:
        connection: Any = Connection.get(CONNECTION)
    except AirflowNotFoundException:
        return None
    extra = connection.extra_dejson
    url = extra.get("url") or _address(connection)
    token = connection.password
    return str(url), ({"Authorization": f"Bearer {token}"} if token else {})


def _address(connection: Any) -> str:
    host = connection.host or ""
    base = host if "://" in host else f"{connection.conn_type or 'https'}://{host}"
    path = (connection.schema or "").strip("/")
    return base + (f":{connection.port}" if connection.port else "") + (f"/{path}" if path else "")
