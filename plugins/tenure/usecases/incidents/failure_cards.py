"""Stores failure cards: each under its task, as evidence."""

from tenure.installation import Installation
from tenure.lifecycle.incidents.failure_card import FailureCard
from tenure.usecases.incidents.open_incident import open_incident
from tenure.vocabulary import RunRef


def save(platform: Installation, card: FailureCard, run: RunRef) -> str:
    """Store the card under its task and return its digest."""
    from tenure.adapters.sql import reports

    report = card.report(run)
    with platform.database.begin() as connection:
        reports.insert(connection, report, model=card.model, dataset=card.dataset, run=run)
    return report.digest


def report_killed(platform: Installation, card: FailureCard, run: RunRef) -> None:
    """Store the card of a task that was killed, and open the incident about it."""
    save(platform, card, run)
    open_incident(
        platform,
        f"killed:{run.dag_id}:{run.task_id}",
        "task_killed",
        f"{run.dag_id}.{run.task_id}",
        card.what,
        run_id=run.run_id,
    )
