"""Trains a model for a retrain request and lets it pass its gates, or rejects it.

*plan* takes the open request (by hand: files one) and fixes data, config and seed. *train* splits
by time, fits, scores the holdout, stores and signs. *evaluate* and *audit_bias* judge against the
gates of the model's YAML. *register* mirrors the version in MLflow and makes it `validated`, which
wakes `promote_model`. Nothing to train is a green skip.

**If this fails**

- *plan* red: too few published batches, or a YAML that is broken. The request stays open: publish,
  then clear *plan*.
- *train* red: data, columns or estimator do not fit, or MLflow does not answer (it tries again).
- *evaluate* or *audit_bias* red: the version is rejected and takes no traffic; the champion stays.
  The tab *Tenure* of the task shows the checks. Change what is wrong, then trigger a new run.
- Clearing any task is safe: what was done is found and not done twice.
"""

from airflow.sdk import Param, chain, dag

from tenure.layout import TRAIN_MODEL, dag_id
from tenure.operators.bias import BiasAuditOperator
from tenure.operators.training import (
    EvaluateOperator,
    PlanTrainingOperator,
    RegisterOperator,
    TrainOperator,
)
from tenure.orchestration.assets import retrain_request, validated
from tenure.orchestration.catalog import models
from tenure.orchestration.defaults import dag_settings

REASON = Param(
    "",
    type="string",
    maxLength=500,
    title="Reason",
    description="Why a new version is wanted; kept with the retrain request and the version.",
)


def build(model: str, settings: dict[str, object]) -> None:
    """Wire the five tasks for one model; arguments of the DAG function would become its params."""

    @dag(
        dag_id=dag_id(model, TRAIN_MODEL),
        schedule=[retrain_request(model)],
        params={"reason": REASON},
        **settings,
    )
    def train_model() -> None:
        chain(
            PlanTrainingOperator(task_id="plan", model=model),
            TrainOperator(task_id="train", model=model),
            EvaluateOperator(task_id="evaluate", model=model),
            BiasAuditOperator(task_id="audit_bias", model=model),
            RegisterOperator(task_id="register", model=model, outlets=[validated(model)]),
        )

    train_model()


for config in models():
    build(config.name, dag_settings(stage="training", model=config, doc=__doc__))
