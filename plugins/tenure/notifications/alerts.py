"""What follows the end of a task: failed ones join an incident, green ones repair; people are told.

Alerts go through the outbox of the lifecycle database to the Airflow connection `tenure_alerts`.
Only while that database does not answer is the notice of a failed task posted directly.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from tenure.airflow_settings import settings_from_airflow
from tenure.errors import ServiceUnreachable
from tenure.layout import parse_dag_id
from tenure.vocabulary import RunRef, op_key

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.lifecycle.incidents.failure_card import FailureCard

CONNECTION = "tenure_alerts"
TIMEOUT_SECONDS = 5.0
MESSAGE_ID = "X-Tenure-Message-Id"
"""The same alert carries the same id each time it is sent: the receiver drops repetitions."""

_log = logging.getLogger("tenure.alerts")


class FailureNotifier(BaseNotifier):
    """`on_failure_callback` of every task: its last try failed, so that a person is needed.

    Whatever the receiver does, the task is not affected. A task whose card nobody could store is
    found by `maintain_platform`.
    """

    def notify(self, context: Context) -> None:
        """Store the card, open or join the incident, and send what nobody was told yet."""
        task = task_of(context)
        card = getattr(context.get("exception"), "card", None) or card_of(context, task)
        card = replace(card, next_try_at=None)  # whatever the task expected, this was the last try
        if reported(card, task, item=item_of(context)):
            return
        if card.was_killed:
            _log.info("alert=left reason=card-not-stored to=maintain_platform")
            return
        post(notice(task, card))


class GreenNotifier(BaseNotifier):
    """`on_success_callback` of every task: it repairs its incidents, and tells what it opened."""

    def notify(self, context: Context) -> None:
        """Never raises: what fails here is done by a later run or by `maintain_platform`."""
        from tenure.usecases.incidents.failure_cards import repaired

        try:
            with installation(context) as platform:
                repaired(platform, task_of(context), item=item_of(context))
                deliver(platform, only_new=True)
        except Exception as error:
            _log.warning("incidents=not-repaired reason=%s", type(error).__name__)


class AirflowReceiver:
    """Posts to the address of the connection `tenure_alerts`.

    Args:
        url: Full address; it may hold a secret and is never shown.
        headers: Of authorization.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url, dict(headers)

    def send(self, body: Mapping[str, object], *, message_id: str) -> None:
        """Post one alert.

        Raises:
            ServiceUnreachable: No answer in time, or one other than 2xx.
        """
        import httpx

        try:
            answer = httpx.post(
                self._url,
                json=dict(body),
                headers=self._headers | {MESSAGE_ID: message_id},
                timeout=TIMEOUT_SECONDS,
            )
        except httpx.HTTPError as error:
            raise _not_taken(f"gave no answer: {type(error).__name__}") from None
        if not answer.is_success:
            raise _not_taken(f"answered {answer.status_code}")


def receiver() -> AirflowReceiver | None:
    """Who takes alerts; None without the connection."""
    try:
        connection: Any = Connection.get(CONNECTION)
    except AirflowNotFoundException:
        return None
    url = connection.extra_dejson.get("url") or _address(connection)
    token = connection.password
    return AirflowReceiver(str(url), {"Authorization": f"Bearer {token}"} if token else {})


def deliver(platform: Installation, *, only_new: bool = False) -> None:
    """Send the alerts that are due to the connection `tenure_alerts`."""
    from tenure.usecases.incidents.alerts import deliver_alerts

    found = deliver_alerts(platform, receiver(), only_new=only_new)
    if found.for_nobody:
        _log.info("alert=for-nobody number=%s connection=%s", found.for_nobody, CONNECTION)


@contextmanager
def installation(context: Context) -> Iterator[Installation]:
    """The one that the task used in this process, else a new one for the length of the block."""
    from tenure.installation import Installation

    connected = getattr(getattr(context["ti"], "task", None), "connected", None)
    if connected is not None:
        yield connected[0]
        return
    platform = Installation(settings_from_airflow())
    try:
        yield platform
    finally:
        platform.database.dispose()


def task_of(context: Context) -> RunRef:
    """The task that ended."""
    ti = context["ti"]
    map_index = -1 if ti.map_index is None else ti.map_index
    return RunRef(ti.dag_id, ti.run_id, ti.task_id, map_index)


def item_of(context: Context) -> str:
    """What a copy of the task was at; empty for the whole task."""
    return str(getattr(getattr(context["ti"], "task", None), "member", "") or "")


def card_of(context: Context, task: RunRef) -> FailureCard:
    """A card from what was raised; where nothing was, the task was killed.

    The dag processor calls back for tasks that were killed, and knows no exception.
    """
    from tenure.installation import SystemClock
    from tenure.lifecycle.incidents.failure_card import describe, killed_card

    ti, error = context["ti"], context.get("exception")
    try_number = int(getattr(ti, "try_number", 1) or 1)
    tries = int(getattr(ti, "max_tries", 0) or 0) + 1
    log_url = str(getattr(ti, "log_url", "") or "")
    owner = str(getattr(getattr(ti, "task", None), "owner", "") or "")
    host, now = str(getattr(ti, "hostname", "") or ""), SystemClock().now()
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
            host=host,
            at=now,
        )
    return killed_card(
        task,
        try_number=try_number,
        tries=tries,
        reason=str(error or ""),
        owner=owner,
        log_url=log_url,
        host=host,
        noticed_at=now,
    )


def reported(card: FailureCard, task: RunRef, *, item: str = "") -> bool:
    """Store the card with its incident, and tell; False when that is not possible now.

    The installation is a new one: that of the task may be what broke. Never raises.
    """
    from tenure.installation import Installation
    from tenure.usecases.incidents.failure_cards import save

    try:
        platform = Installation(settings_from_airflow())
        try:
            save(platform, card, task, item=item)
            tell(platform)
        finally:
            platform.database.dispose()
    except Exception as error:
        _log.warning("card=not-stored reason=%s", type(error).__name__)
        return False
    return True


def tell(platform: Installation) -> None:
    """Send what nobody was told yet; what cannot be sent now is in the outbox. Never raises."""
    try:
        deliver(platform, only_new=True)
    except Exception as error:
        _log.warning("alert=waits reason=%s", type(error).__name__)


def notice(task: RunRef, card: FailureCard) -> dict[str, object]:
    """What is posted without the database: where, why, what is still safe, what to do, the link."""
    from tenure.lifecycle.incidents.alert_text import from_afar

    return {
        "dag": task.dag_id,
        "run": task.run_id,
        "task": task.task_id,
        "map_index": task.map_index,
        "kind": card.kind,
        "cause": card.what,
        "still_safe": from_afar(card.still_safe),
        "next_step": from_afar(card.next_step),
        "owner": card.owner,
        "url": card.log_url,
    }


def post(body: Mapping[str, object]) -> bool:
    """Post at once and once, past the outbox; False when nobody took it. Never raises."""
    try:
        target = receiver()
        if target is None:
            _log.info("alert=skipped reason=no-connection connection=%s", CONNECTION)
            return False
        target.send(body, message_id=op_key("notice", str(body.get("dag")), body))
    except Exception as error:
        # The address may hold a token, so only the kind of error is named.
        _log.warning("alert=lost reason=%s connection=%s", type(error).__name__, CONNECTION)
        return False
    _log.info("alert=sent task=%s", body.get("task"))
    return True


def _not_taken(how: str) -> ServiceUnreachable:
    return ServiceUnreachable(
        f"The receiver of the connection {CONNECTION} {how}.",
        still_safe="The alert stays in the outbox; `maintain_platform` sends it again.",
        next_step="Nothing at first. If it lasts, ask the owner of the receiver.",
    )


def _address(connection: Any) -> str:
    host = connection.host or ""
    base = host if "://" in host else f"{connection.conn_type or 'https'}://{host}"
    path = (connection.schema or "").strip("/")
    return base + (f":{connection.port}" if connection.port else "") + (f"/{path}" if path else "")
