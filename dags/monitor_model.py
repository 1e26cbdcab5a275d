"""Monitor a model's live decisions: drift, data quality, performance, fairness.

`monitor` judges every window that is due, of the champion's decisions and of what was shipped late
of versions that it replaced, in one scan for drift and data quality and one for the mature
outcomes, and stores each verdict with its report. A failed
verdict is a *result*, not a failed task: the task stays green, an incident is opened, and the
retraining controller decides what follows. The task is *skipped* when too few decisions were made
since the last window. `draw` then draws a sample of the window; no verdict depends on it.

**If this fails**

1. Open the red task and its tab *Tenure*: it says what happened and the next step.
2. Serving does not depend on this DAG. Decisions and outcomes are kept; nothing is missed, and the
   next run judges them.
3. Clear `monitor` at any time: each window is stored once.
"""

from airflow.sdk import AssetOrTimeSchedule, chain, dag

from tenure.layout import MONITOR_MODEL, dag_id
from tenure.operators.monitoring import DrawOperator, MonitorOperator
from tenure.orchestration import catalog
from tenure.orchestration.assets import monitoring, snapshot
from tenure.orchestration.defaults import dag_settings, schedule


def build(model_name: str, dataset: str, cron: str, settings: dict[str, object]) -> None:
    """Wire the two steps for one model."""

    @dag(
        dag_id=dag_id(model_name, MONITOR_MODEL),
        schedule=AssetOrTimeSchedule(timetable=schedule(cron), assets=[snapshot(dataset)]),
        **settings,
    )
    def monitor_model() -> None:
        chain(
            MonitorOperator(task_id="monitor", model=model_name, outlets=[monitoring(model_name)]),
            DrawOperator(task_id="draw", model=model_name),
        )

    monitor_model()


for model in catalog.models():
    build(
        model.name,
        model.dataset,
        model.schedule,
        dag_settings(stage="monitoring", doc=__doc__, model=model),
    )
