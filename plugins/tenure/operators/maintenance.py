"""Keeps the platform in order: one light task every few minutes."""

from __future__ import annotations

from dataclasses import asdict
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
        """Do every part; the last one sends the alerts about what the others found."""
        from tenure.usecases.operations.maintain import maintain

        return _plain(maintain(platform, run, self._airflow(platform), alerts=alerts.receiver()))

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
    """Numbers of each part that was done, or its error."""
    parts = asdict(found)
    reconciled: dict[str, object] = parts.pop("reconciled")
    return reconciled | {name: part for name, part in parts.items() if part is not None}
