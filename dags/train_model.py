"""Train a model for a retrain request and let it pass its gates, or reject it.

`plan` takes the open request (or files one when a person triggers the run) and fixes data, config
and seed. `train` splits by time, fits, scores the holdout, stores and signs. `evaluate` and
`audit_bias` judge the version by the gates of the model's YAML. `register` mirrors it in MLflow and
makes it `validated`, which wakes `promote_model`. With nothing to train, the run is skipped.

**If this fails**

1. `plan` red: too few batches are published, a column changed, or a YAML is broken. The request
   stays open: correct it, then clear `plan`.
2. `train` red: data, columns or estimator do not fit, or MLflow does not answer (then the task
   tries again).
3. `evaluate` or `audit_bias` red: the version is rejected and takes no traffic; the champion stays.
   The tab *Tenure* of the task shows the checks. Change what is wrong, then trigger a new run.
4. Clearing any task is safe: work that was done is found and not done twice.
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
from tenure.vocabulary import PLAIN

REASON = Param(
    "",
    type="string",
    maxLength=500,
    pattern=PLAIN,
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
