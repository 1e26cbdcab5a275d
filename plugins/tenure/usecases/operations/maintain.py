"""What `maintain_platform` does: reconcile, take outcomes, compact, watch for killed tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import quote

from tenure.errors import LedgerBroken
from tenure.installation import Installation
from tenure.layout import TRAIN_MODEL, dag_id
from tenure.lifecycle.audit.ledger import broken_ledger
from tenure.lifecycle.audit.reconciliation import DEAD_AFTER, FailedTask, silent_deaths
from tenure.lifecycle.incidents.failure_card import FailureCard, killed_card
from tenure.usecases.decisions.outcome_intake import take_outcomes
from tenure.usecases.decisions.reviews import expire
from tenure.usecases.decisions.segments import compact
from tenure.usecases.incidents.failure_cards import report_killed
from tenure.usecases.operations.ledger import verify_ledger
from tenure.usecases.operations.reconcile import Registry, attempt, reconcile
from tenure.vocabulary import RunRef

__all__ = ["Airflow", "Maintenance", "airflow_rest", "maintain", "verify_ledger"]

UNFINISHED = timedelta(days=1)
"""Age of a write that nobody will finish."""
WATCHED = timedelta(hours=24)
"""How far back the watchdog looks for failed tasks."""
GONE = timedelta(days=7)
"""Silence after which a gateway is forgotten."""


class Airflow(Protocol):
    """What the watchdog asks Airflow."""

    def failed_tasks(self, since: Any) -> list[FailedTask]:
        """Task instances that failed since a moment."""
        ...

    def has_active_run(self, dag_id: str) -> bool:
        """Whether a run of the DAG is queued or running."""
        ...


@dataclass(frozen=True)
class Maintenance:
    """What was done.

    Args:
        parts: Numbers of each part, or its error.
        cards: Failure cards that were written for tasks which were killed, with their task.
    """

    parts: dict[str, dict[str, Any]]
    cards: tuple[tuple[RunRef, FailureCard], ...] = ()


def maintain(
    platform: Installation, run: RunRef, airflow: Airflow | None, registry: Registry | None = None
) -> Maintenance:
    """Do every part; only a broken ledger makes it fail.

    Args:
        platform: The installation.
        run: The task.
        airflow: None when there is no login for it: then nobody watches for killed tasks.
        registry: MLflow; the one of the settings when None.

    Raises:
        LedgerBroken: After everything else was done.
    """
    cards: list[tuple[RunRef, FailureCard]] = []
    parts = reconcile(platform, run, registry)
    parts["sweep"] = attempt(platform, "sweep", lambda: _sweep(platform))
    parts["outcomes"] = attempt(platform, "outcomes", lambda: take_outcomes(platform, run))
    parts["reviews"] = attempt(platform, "reviews", lambda: expire(platform))
    parts["compaction"] = attempt(platform, "compaction", lambda: vars(compact(platform)))
    if airflow is not None:
        parts["watchdog"] = attempt(platform, "watchdog", lambda: _watch(platform, airflow, cards))
        parts["requests"] = attempt(platform, "requests", lambda: _requests(platform, airflow))
    ledger = parts["ledger"]
    if ledger.get("kind") == LedgerBroken.__name__:
        raise broken_ledger(str(ledger["error"]))
    return Maintenance(parts, tuple(cards))


def airflow_rest(url: str, user: str, password: str) -> Airflow:
    """Airflow through its public REST API."""
    from tenure.adapters.airflow_rest import AirflowRest

    return AirflowRest(url, user, password)


def _sweep(platform: Installation) -> dict[str, Any]:
    """Remove unfinished writes of processes that were killed, trials and gateways long gone."""
    from tenure.adapters.sql import presence, trials

    with platform.database.begin() as connection:
        forgotten = trials.forget(connection, older_than=UNFINISHED)
        gone = presence.forget(connection, silent_for=GONE)
    removed = platform.store.sweep(platform.clock.now() - UNFINISHED)
    return {"removed": removed, "trials": forgotten, "gateways": gone}


def _watch(
    platform: Installation, airflow: Airflow, cards: list[tuple[RunRef, FailureCard]]
) -> dict[str, Any]:
    """Write the card of every failed task that was killed before it could write its own."""
    from tenure.adapters.sql import maintenance

    now = platform.clock.now()
    failed = airflow.failed_tasks(now - WATCHED)
    with platform.database.begin() as connection:
        owners = maintenance.names(connection)
        spoken = maintenance.tasks_with_card(connection)
    for task in silent_deaths(failed, spoken=spoken, names=owners, now=now):
        run = RunRef(*task.key)
        card = killed_card(
            run,
            try_number=max(task.tries, 1),
            ended_at=task.ended_at,
            owner=owners.get(task.owner or "", "platform"),
            log_url=_task_url(platform, task),
        )
        report_killed(platform, card, run)
        cards.append((run, card))
    return {"failed": len(failed), "killed": len(cards)}


def _task_url(platform: Installation, task: FailedTask) -> str:
    place = f"/dags/{task.dag_id}/runs/{quote(task.run_id, safe='')}/tasks/{task.task_id}"
    place += f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    return f"{platform.settings.airflow_url}{place}"


def _requests(platform: Installation, airflow: Airflow) -> dict[str, Any]:
    """Close retrain requests that no run works on, so that the model may be retrained again."""
    from tenure.adapters.sql import maintenance, training

    now = platform.clock.now()
    with platform.database.begin() as connection:
        running = maintenance.running_requests(connection, now - DEAD_AFTER)
    left = [one for one in running if not airflow.has_active_run(dag_id(one.model, TRAIN_MODEL))]
    closed: Sequence[int] = [one.id for one in left if one.model_version_id is not None]
    with platform.database.begin() as connection:
        for one in left:
            if one.model_version_id is not None:
                training.close_request(
                    connection, one.id, version_id=one.model_version_id, state="failed", at=now
                )
    return {"running": len(running), "closed": len(closed)}
