"""Keeps the platform in order: one light task every few minutes."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from tenure.notifications import alerts
from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.usecases.operations.maintain import Airflow, Maintenance
    from tenure.vocabulary import RunRef

CONNECTION = "tenure_airflow"
"""Its login reads tasks and runs through Airflow's REST API."""


class MaintainOperator(TenureOperator):
    """Reconciles, resumes, watches for killed tasks, verifies the ledger; red only for the last."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Do every part, then alert for tasks that could not do so themselves, and tell owners."""
        from tenure.usecases.operations.maintain import maintain

        airflow = self._airflow(platform)
        found = maintain(platform, run, airflow)
        for task, card in found.cards:
            alerts.post(alerts.notice(task, card))
        for notice in found.notices:
            alerts.post(notice)
        return _plain(found)

    def _airflow(self, platform: Installation) -> Airflow | None:
        from tenure.usecases.operations.maintain import airflow_rest

        try:
            connection = Connection.get(CONNECTION)
        except AirflowNotFoundException:
            connection = None
        if connection is None or not connection.login:
            self.log.warning("watchdog=off reason=no-login connection=%s", CONNECTION)
            return None
        return airflow_rest(
            platform.settings.airflow_url, connection.login, connection.password or ""
        )


def _plain(found: Maintenance) -> dict[str, object]:
    """Numbers of each part that was done, or its error; cards stand in the database."""
    parts = asdict(replace(found, cards=(), notices=()))
    del parts["cards"], parts["notices"]
    reconciled: dict[str, object] = parts.pop("reconciled")
    return reconciled | {name: part for name, part in parts.items() if part is not None}
