"""Posts the failure card of a task to the webhook connection `tenure_alerts`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from tenure.airflow_settings import settings_from_airflow
from tenure.layout import parse_dag_id
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.lifecycle.incidents.failure_card import FailureCard

CONNECTION = "tenure_alerts"
TIMEOUT_SECONDS = 5.0

_log = logging.getLogger("tenure.alerts")


class FailureNotifier(BaseNotifier):
    """`on_failure_callback` of every task; whatever the receiver does, the task is not affected.

    Whoever stores the card of a task posts its notice: the task itself, or this callback. Tasks
    whose card nobody stored are found by `maintain_platform`, which then does both.
    """

    def notify(self, context: Context) -> None:
        """Post one notice; without the connection there is one line in the log and nothing else."""
        task = task_of(context)
        card = getattr(context.get("exception"), "card", None)
        if card is None:
            card = card_of(context, task)
            if not stored(card, task) and card.was_killed:
                _log.info("alert=left reason=card-not-stored to=maintain_platform")
                return
        post(notice(task, card))


def task_of(context: Context) -> RunRef:
    """The task that failed."""
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    return RunRef(ti.dag_id, ti.run_id, ti.task_id, map_index)


def card_of(context: Context, task: RunRef) -> FailureCard:
    """A card from what was raised; where nothing was, the task was killed.

    The dag processor calls back for tasks that were killed, and knows no exception.
    """
    from tenure.lifecycle.incidents.failure_card import describe, killed_card

    ti, error = context["ti"], context.get("exception")
    try_number = int(getattr(ti, "try_number", 1) or 1)
    tries = int(getattr(ti, "max_tries", 0) or 0) + 1
    log_url = str(getattr(ti, "log_url", "") or "")
    owner = str(getattr(getattr(ti, "task", None), "owner", "") or "")
    if isinstance(error, BaseException):
        dag = parse_dag_id(task.dag_id)
        return describe(
            error,
            model=dag.model,
            dataset=dag.dataset,
            owner=owner,
            log_url=log_url,
            try_number=try_number,
            tries=tries,
        )
    return killed_card(
        task,
        try_number=try_number,
        tries=tries,
        reason=str(error or ""),
        owner=owner,
        log_url=log_url,
    )


def stored(card: FailureCard, task: RunRef) -> bool:
    """Store the card; False when that is not possible now. Never raises."""
    from tenure.installation import Installation
    from tenure.usecases.incidents.failure_cards import report_killed, save

    try:
        platform = Installation(settings_from_airflow())
        try:
            (report_killed if card.was_killed else save)(platform, card, task)
        finally:
            platform.database.dispose()
    except Exception as error:
        _log.warning("card=not-stored reason=%s", type(error).__name__)
        return False
    return True


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
