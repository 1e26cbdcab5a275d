"""A DAG with one task for each kind of card; the browser tests put it into their project."""

import os
import signal

from airflow.sdk import dag

from tenure.errors import GateFailed
from tenure.operators.base import TenureOperator
from tenure.orchestration import catalog
from tenure.orchestration.defaults import dag_settings
from tenure.verdicts import Check, Report, Verdict


class Fails(TenureOperator):
    """A gate that says no, with its report."""

    def work(self, platform, run, context):
        check = Check("temp not null", Verdict.FAILED, "10.8% nulls", "at most 2%")
        summary = "temp has 3,121 of 28,834 nulls"
        report = Report(
            "quality", "flights/2013-03", Verdict.FAILED, summary, (check,), enforced=True
        )
        digest = platform.reports.save(report, model=None, dataset="flights", run=run)
        raise GateFailed(
            "flights batch 2013-03: temp has 3,121 of 28,834 nulls (limit 2%).",
            still_safe="Training keeps the snapshot of 2013-02.",
            next_step="Open the report and run `tenure suite lint`.",
            evidence=digest,
        )


class Passes(TenureOperator):
    """A gate that says yes."""

    def work(self, platform, run, context):
        check = Check("roc_auc", Verdict.PASSED, "0.712", "at least 0.60", interval=(0.7, 0.72))
        report = Report(
            "evaluation", "flight_late@1", Verdict.PASSED, "AUC 0.712", (check,), enforced=True
        )
        return platform.reports.save(report, model="flight_late", dataset=None, run=run)


class Dies(TenureOperator):
    """Cannot say anything."""

    def work(self, platform, run, context):
        os.kill(os.getpid(), signal.SIGKILL)


for model in catalog.models():

    @dag(
        dag_id=f"{model.name}__probe_model",
        schedule=None,
        **dag_settings(stage="probe", doc=__doc__, model=model, retries=0),
    )
    def probe():
        Fails(task_id="fails")
        Passes(task_id="passes")
        Dies(task_id="dies")

    probe()
