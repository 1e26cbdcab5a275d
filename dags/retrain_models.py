"""Decide for every model whether to retrain, and say why or why not.

It is woken hourly, by every monitoring result and by every published batch, and reads from the
lifecycle database what there is to do. It files at most one open request a model and wakes the
training of the models that it chose, and of those whose earlier request nobody picked up.

**If this fails**

1. Open the red task and its tab *Tenure*: it says what happened and the next step.
2. Serving and running trainings do not depend on this DAG.
3. Clear `decide` at any time: a request is filed once. If a model cannot wait, train it by hand
   with the form of its `train_model` DAG.
"""

from airflow.sdk import AssetAny, AssetOrTimeSchedule, dag

from tenure.layout import RETRAIN_MODELS
from tenure.operators.retraining import RetrainingOperator
from tenure.orchestration import catalog
from tenure.orchestration.assets import monitoring, retrain_request, retrain_requests, snapshot
from tenure.orchestration.defaults import dag_settings, schedule

HOURLY = "17 * * * *"

models = catalog.model_names()
wakers = [monitoring(name) for name in models]
wakers += [snapshot(name) for name in catalog.dataset_names()]


@dag(
    dag_id=RETRAIN_MODELS,
    schedule=AssetOrTimeSchedule(timetable=schedule(HOURLY), assets=AssetAny(*wakers))
    if wakers
    else schedule(HOURLY),
    **dag_settings(stage="retraining", doc=__doc__),
)
def retrain_models() -> None:
    """Wire the one step."""
    RetrainingOperator(
        task_id="decide",
        alias=retrain_requests(),
        requests={name: retrain_request(name) for name in models},
    )


retrain_models()
