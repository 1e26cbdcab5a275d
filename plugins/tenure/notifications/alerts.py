"""Posts the failure card of a task to the webhook connection `tenure_alerts`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.usecases.incidents.failure_cards import FailureCard

CONNECTION = "tenure_alerts"
TIMEOUT_SECONDS = 5.0

_log = logging.getLogger("tenure.alerts")


class FailureNotifier(BaseNotifier):
    """`on_failure_callback` of every task; whatever the receiver does, the task is not affected."""

    def notify(self, context: Context) -> None:
        """Post one notice; without the connection there is one line in the log and nothing else."""
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        task = RunRef(ti.dag_id, ti.run_id, ti.task_id, map_index)
        post(notice(task, card_of(context)))


def card_of(context: Context) -> FailureCard:
    """The card that the operator stored, else one made from what was raised."""
    from tenure.usecases.incidents.failure_cards import describe

    error = context.get("exception")
    return getattr(error, "card", None) or describe(
        error if isinstance(error, Exception) else RuntimeError(str(error or "no reason given")),
        log_url=str(getattr(context["ti"], "log_url", "") or ""),
    )


def notice(task: RunRef, card: FailureCard) -> dict[str, object]:
    """What is posted: where, why, what is still safe, what to do, and the link to open."""
    return {
        "dag": task.dag_id,
        "run": task.run_id,
        "task": task.task_id,
        "map_index": task.map_index,
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
