"""What `maintain_platform` does: reconcile, take outcomes, compact, watch for killed tasks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from tenure.errors import LedgerBroken
from tenure.installation import Installation
from tenure.layout import LEDGER_VERIFICATION, MAINTAIN_PLATFORM, TRAIN_MODEL, dag_id
from tenure.lifecycle.audit.ledger import broken_ledger
from tenure.lifecycle.audit.reconciliation import DEAD_AFTER, FailedTask, silent_deaths
from tenure.lifecycle.audit.witness import not_witnessed
from tenure.lifecycle.incidents.failure_card import killed_card
from tenure.lifecycle.serving.silence import MAINTENANCE_SECONDS
from tenure.usecases.audit.checkpoints import CheckpointCounts, make_checkpoint
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.data.refused_files import expire_refused
from tenure.usecases.decisions.feedback import FeedbackCounts
from tenure.usecases.decisions.feedback import join as join_feedback
from tenure.usecases.decisions.outcome_intake import IntakeCounts, take_outcomes
from tenure.usecases.decisions.reviews import expire
from tenure.usecases.decisions.segments import CompactionCounts, SealCounts, compact, seal
from tenure.usecases.incidents.alerts import (
    AlertCounts,
    AlertReceiver,
    deliver_alerts,
    escalate,
)
from tenure.usecases.incidents.failure_cards import save
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.usecases.operations.broken_files import FileCounts, report_configs, report_imports
from tenure.usecases.operations.reconcile import (
    PartFailure,
    Reconciliation,
    Registry,
    attempt,
    reconcile,
)
from tenure.usecases.operations.worker_pools import PoolCounts, report_pools
from tenure.usecases.promotion.authority import RevisionCounts, take_up
from tenure.usecases.promotion.conditions import AuthorizationCounts, watch
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.sql.maintenance import AbandonedRequest

__all__ = ["Airflow", "Maintenance", "airflow_rest", "maintain", "verify_ledger"]

UNFINISHED = timedelta(days=1)
"""Age of a write that nobody will finish."""
WATCHED = timedelta(hours=24)
"""How far back the watchdog looks for failed tasks."""
VERIFY_EVERY = timedelta(days=1)
"""How often the whole ledger is verified; each run verifies what is new."""
GONE = timedelta(days=7)
"""Silence after which a gateway is forgotten."""


class Airflow(Protocol):
    """What the watchdog asks Airflow."""

    def failed_tasks(self, since: datetime) -> list[FailedTask]:
        """Task instances that failed since a moment."""
        ...

    def has_active_run(self, dag_id: str) -> bool:
        """Whether a run of the DAG is queued or running."""
        ...

    def import_errors(self) -> dict[str, str]:
        """Why DAG files cannot be imported, by file."""
        ...

    def pools(self) -> dict[str, int]:
        """Slots of each pool; -1 is without a limit."""
        ...


@dataclass(frozen=True)
class SweepCounts:
    """Unfinished writes, trials, gateways and refused files that were removed."""

    removed: int
    trials: int
    gateways: int
    refused: int = 0


@dataclass(frozen=True)
class RequestCounts:
    """Retrain requests that were long under way, and those of them that were closed."""

    running: int
    closed: int


@dataclass(frozen=True)
class WatchCounts:
    """Tasks that failed, and those of them that were killed before they could say why."""

    failed: int
    killed: int


@dataclass(frozen=True)
class Maintenance:
    """What each part did, or why it could not.

    Args:
        reconciled: Parts that `tenure reconcile` does as well.
        sweep: What was left by processes that are gone.
        outcomes: Outcomes that came as a dataset.
        reviews: Decisions that nobody reviewed in time, by model.
        feedback: What people think of decisions, joined to them.
        authorizations: What lets versions serve, judged again.
        compaction: Of the decision log.
        seal: Of the records of its files.
        checkpoint: Of the ledger, cosigned by its witness, with which the whole ledger is verified
            once a day; None when its chain does not hold.
        people: Whether `platform.yaml` is another one, which is a ledger event.
        watchdog: Killed tasks; None without a login to Airflow.
        requests: Retrain requests that no run works on; None without a login to Airflow.
        configs: YAML files and suites that are broken.
        imports: DAG files that Airflow cannot import; None without a login to Airflow.
        pools: Pools that models name, and Airflow does not have; None without a login to Airflow.
        alerts: What people were told of all this.
    """

    reconciled: Reconciliation
    sweep: SweepCounts | PartFailure
    outcomes: IntakeCounts | PartFailure
    reviews: Mapping[str, int] | PartFailure
    feedback: FeedbackCounts | PartFailure
    authorizations: AuthorizationCounts | PartFailure
    compaction: CompactionCounts | PartFailure
    seal: SealCounts | PartFailure
    people: RevisionCounts | PartFailure
    checkpoint: CheckpointCounts | PartFailure | None
    watchdog: WatchCounts | PartFailure | None
    requests: RequestCounts | PartFailure | None
    configs: FileCounts | PartFailure
    imports: FileCounts | PartFailure | None
    pools: PoolCounts | PartFailure | None
    alerts: AlertCounts | PartFailure


def maintain(
    platform: Installation,
    run: RunRef,
    airflow: Airflow | None,
    registry: Registry | None = None,
    *,
    alerts: AlertReceiver | None = None,
) -> Maintenance:
    """Do every part; only a broken ledger makes it fail.

    Args:
        platform: The installation.
        run: The task.
        airflow: None when there is no login for it: then nobody watches for killed tasks.
        registry: MLflow; the one of the settings when None.
        alerts: Who takes alerts; None when there is nobody.

    Raises:
        LedgerBroken: After everything else was done.
    """
    reconciled = reconcile(platform, run, registry)
    done = Maintenance(
        reconciled=reconciled,
        sweep=attempt(platform, "sweep", lambda: _sweep(platform)),
        outcomes=attempt(platform, "outcomes", lambda: take_outcomes(platform, run)),
        reviews=attempt(platform, "reviews", lambda: expire(platform)),
        feedback=attempt(platform, "feedback", lambda: join_feedback(platform)),
        authorizations=attempt(platform, "authorizations", lambda: watch(platform)),
        compaction=attempt(platform, "compaction", lambda: compact(platform)),
        seal=attempt(platform, "seal", lambda: seal(platform, actor=run.dag_id)),
        people=attempt(platform, "people", lambda: take_up(platform, seen_by=run.dag_id)),
        checkpoint=attempt(platform, "checkpoint", lambda: _checkpoint(platform, run))
        if not isinstance(reconciled.ledger, PartFailure)
        else None,
        watchdog=attempt(platform, "watchdog", lambda: _watch(platform, airflow))
        if airflow
        else None,
        requests=attempt(platform, "requests", lambda: _requests(platform, airflow))
        if airflow
        else None,
        configs=attempt(platform, "configs", lambda: report_configs(platform)),
        imports=attempt(platform, "imports", lambda: report_imports(platform, airflow))
        if airflow
        else None,
        pools=attempt(platform, "pools", lambda: report_pools(platform, airflow))
        if airflow
        else None,
        alerts=attempt(platform, "alerts", lambda: _alerts(platform, alerts)),
    )
    _say_alive(platform, done)
    for part in (reconciled.ledger, done.checkpoint):
        if isinstance(part, PartFailure) and part.kind == LedgerBroken.__name__:
            raise broken_ledger(part.error)
    return done


def _checkpoint(platform: Installation, run: RunRef) -> CheckpointCounts:
    """Have the newest events cosigned; once a day, verify all of them with what the witness saw.

    Raises:
        LedgerBroken: An event, a state, an approval or a plan is not as it was.
        NotWitnessed: The witness does not cosign, or does not say what it saw.
    """
    from tenure.adapters.sql import health

    done = make_checkpoint(platform, run)
    with platform.database.begin() as connection:
        last = health.heartbeats(connection).get(LEDGER_VERIFICATION)
        if last is not None and health.now(connection) - last.seen_at < VERIFY_EVERY:
            return done
    found = verify_ledger(platform)
    if not found.ok:
        raise broken_ledger(f"The ledger does not hold: {found.first_fault}.")
    if found.unwitnessed:
        raise not_witnessed(found.unwitnessed)
    with platform.database.begin() as connection:
        health.beat(connection, LEDGER_VERIFICATION, period_seconds=VERIFY_EVERY.total_seconds())
    return replace(done, is_verified=True)


def _say_alive(platform: Installation, done: Maintenance) -> None:
    """The sign of life of maintenance, and of MLflow when it answered: gateways miss it."""
    from tenure.adapters.sql import health

    answered = not isinstance(done.reconciled.aliases, PartFailure)
    with platform.database.begin() as connection:
        for name in (MAINTAIN_PLATFORM, *(["mlflow"] if answered else [])):
            health.beat(connection, name, period_seconds=MAINTENANCE_SECONDS)


def airflow_rest(url: str, user: str, password: str) -> Airflow:
    """Airflow through its public REST API."""
    from tenure.adapters.airflow_rest import AirflowRest

    return AirflowRest(url, user, password)


def _sweep(platform: Installation) -> SweepCounts:
    """Remove unfinished writes of killed processes, trials, gateways long gone, refused files."""
    from tenure.adapters.sql import presence, trials

    with platform.database.begin() as connection:
        forgotten = trials.forget(connection, older_than=UNFINISHED)
        gone = presence.forget(connection, silent_for=GONE)
    removed = platform.store.sweep(platform.clock.now() - UNFINISHED)
    return SweepCounts(removed, forgotten, gone, expire_refused(platform))


def _alerts(platform: Installation, receiver: AlertReceiver | None) -> AlertCounts:
    """The last part: it tells what all others found."""
    escalated = escalate(platform)
    return replace(deliver_alerts(platform, receiver), escalated=escalated)


def _watch(platform: Installation, airflow: Airflow) -> WatchCounts:
    """Write the card of every failed task that was killed before it could write its own."""
    from tenure.adapters.sql import maintenance

    now = platform.clock.now()
    failed = airflow.failed_tasks(now - WATCHED)
    with platform.database.begin() as connection:
        owners = maintenance.names(connection)
        spoken = maintenance.tasks_with_card(connection)

    def write(task: FailedTask) -> None:
        run = RunRef(*task.key)
        card = killed_card(
            run,
            try_number=max(task.tries, 1),
            ended_at=task.ended_at,
            owner=owners.get(task.owner or "", "platform"),
            log_url=_task_url(platform, task),
            host=task.host,
        )
        save(platform, card, run)

    dead = silent_deaths(failed, spoken=spoken, names=owners, now=now)
    written = one_by_one(
        platform, "watchdog", dead, name=lambda task: f"{task.dag_id}.{task.task_id}", do=write
    )
    return WatchCounts(len(failed), len(written))


def _task_url(platform: Installation, task: FailedTask) -> str:
    place = f"/dags/{task.dag_id}/runs/{quote(task.run_id, safe='')}/tasks/{task.task_id}"
    place += f"/mapped/{task.map_index}" if task.map_index >= 0 else ""
    return f"{platform.settings.airflow_url}{place}"


def _requests(platform: Installation, airflow: Airflow) -> RequestCounts:
    """Close retrain requests that no run works on, so that the model may be retrained again."""
    from tenure.adapters.sql import maintenance, training

    now = platform.clock.now()
    with platform.database.begin() as connection:
        running = maintenance.running_requests(connection, now - DEAD_AFTER)

    def close(one: "AbandonedRequest") -> bool:
        if one.model_version_id is None or airflow.has_active_run(dag_id(one.model, TRAIN_MODEL)):
            return False
        with platform.database.begin() as connection:
            training.close_request(
                connection, one.id, version_id=one.model_version_id, state="failed", at=now
            )
        return True

    closed = one_by_one(
        platform,
        "retrain_requests",
        running,
        name=lambda one: f"{one.model} request {one.id}",
        do=close,
    )
    return RequestCounts(len(running), sum(closed))
