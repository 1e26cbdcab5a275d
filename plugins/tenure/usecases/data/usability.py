"""A published batch that one of its readers cannot use: one incident of the steward, never green.

Import it inside functions: it loads SQLAlchemy.
"""

from datetime import datetime

from tenure.adapters.sql import data, incidents, reports
from tenure.adapters.sql.data import ValidationRow
from tenure.adapters.sql.database import Database
from tenure.config import DatasetConfig
from tenure.lifecycle.data.quality import is_partly_usable

INCIDENT = "partly_usable"


def report_usability(
    database: Database, dataset: DatasetConfig, known: ValidationRow, at: datetime
) -> None:
    """Open the incident of the dataset, or close it: by its newest snapshot alone.

    A batch that was missing the same column before adds nothing, and a task that is cleared
    neither. The next batch that every model can use closes it.
    """
    key = f"{INCIDENT}:{dataset.name}"
    with database.begin() as connection:
        newest = data.newest(connection, dataset.name)
        evidence = reports.by_digest(connection, known.report_digest)
        if newest is None or newest.digest != known.digest or evidence is None:
            return
        if not is_partly_usable(evidence.report.checks):
            incidents.close_incident(connection, dedupe_key=key, at=at)
            return
        if incidents.open_summary(connection, key) == evidence.summary:
            return
        incidents.open_incident(
            connection,
            dedupe_key=key,
            kind=INCIDENT,
            subject=dataset.name,
            summary=evidence.summary,
            at=at,
            facts={
                "dataset": dataset.name,
                "owner": dataset.steward,
                "report": known.report_digest,
            },
        )
