"""Judges live decisions, and draws what was judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from airflow.sdk.exceptions import AirflowSkipException

from tenure.operators.base import TenureOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from tenure.installation import Installation
    from tenure.vocabulary import RunRef


class MonitorOperator(TenureOperator):
    """Judges every window that is due, of the champion and of versions that served before.

    Green also when a verdict is failed: that is a result and an incident, not a broken task.
    Skipped, so that its outlets wake nobody, when too few decisions came since the last window.
    """

    def work(self, platform: Installation, run: RunRef, context: Context) -> object:
        """Store what is judged and tell it in the events of the outlets."""
        from tenure.usecases.monitoring.monitor import monitor

        seen = monitor(platform, cast(str, self.model), run)
        self.log.info(seen.sentence)
        if not (seen.results or seen.former):
            raise AirflowSkipException(seen.sentence)
        verdicts = {row.kind: str(row.verdict) for row in seen.results}
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = {"verdicts": verdicts}
        return {
            "verdicts": verdicts,
            "reports": {row.kind: row.report_digest for row in seen.results},
            "former": [row.report_digest for row in seen.former],
        }


class DrawOperator(TenureOperator):
    """Draws an Evidently page of a sample of each drift window that this run judged."""

    def work(self, platform: Installation, run: RunRef, context: Context) -> Any:
        """Keys of the pictures; empty, with a warning in the log, when drawing failed."""
        del context
        from tenure.usecases.monitoring.monitor import draw

        return draw(platform, cast(str, self.model), run)
