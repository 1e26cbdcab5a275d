"""From a task to its report, its canary and its MLflow run, in one click.

Airflow asks for a link in the task's own process, when the task ends, and keeps the answer.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from tenure.layout import canary_link

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

_log = logging.getLogger("tenure.task")


class ReportLink(BaseOperatorLink):
    """The report that the task stored."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """URL of the report page; empty when the task judged nothing."""
        return _found(operator)[0]


class CanaryLink(BaseOperatorLink):
    """The page of the canary that the task judges."""

    name = "Canary"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """URL of the page; empty when the task never came as far as the database."""
        connected = getattr(operator, "connected", None)
        return canary_link(connected[0].settings.airflow_url, operator.model) if connected else ""


class MlflowRunLink(BaseOperatorLink):
    """The MLflow run that the task's version was trained in."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """URL of the run; empty when the task trained nothing."""
        return _found(operator)[1]


def _found(operator: Any) -> tuple[str, str]:
    """Both links, looked up once a task; a link that cannot be found never disturbs the task."""
    connected = getattr(operator, "connected", None)
    if connected is None:
        return "", ""
    known: tuple[str, str] | None = getattr(operator, "evidence_links", None)
    if known is None:
        from tenure.views.tasks import evidence_links

        try:
            known = evidence_links(*connected)
        except Exception as error:
            _log.info("links=none reason=%s", type(error).__name__)
            known = ("", "")
        operator.evidence_links = known
    return known
