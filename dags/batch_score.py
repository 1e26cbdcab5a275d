"""Score a whole snapshot with the champion, in shards; by hand, with a form.

`plan` fixes the version and the snapshot of the run. `score` runs once for each shard. It uses the
same artifact, checked by digest and signature, that the gateways serve; its decisions go to the
same log, and a table with the dataset's key, score, decision and confidence is written to
`scores/<model>/<run>/`. `finish` checks that there is exactly one decision a row.

**If this fails**

1. `plan` red: the model has no champion, or the named snapshot does not exist.
2. `score` red: its number is the shard. Clear it, or all failed ones: shards that are done are not
   scored again, and no decision is duplicated.
3. `finish` red: shards are missing (clear them), or the count is wrong (do not use the scores).
4. Gateways do not depend on this DAG.
"""

from airflow.sdk import Param, dag

from tenure.layout import BATCH_SCORE, dag_id
from tenure.operators.batch_scoring import (
    FinishBatchOperator,
    PlanBatchOperator,
    ScoreShardOperator,
)
from tenure.orchestration.catalog import models
from tenure.orchestration.defaults import dag_settings
from tenure.vocabulary import PLAIN

FORM = {
    "snapshot": Param(
        "",
        type="string",
        maxLength=100,
        pattern=PLAIN,
        title="Snapshot",
        description="Batch or digest of the snapshot; empty for the newest one.",
    ),
    "shard_rows": Param(
        100_000,
        type="integer",
        minimum=1,
        maximum=5_000_000,
        title="Rows in a shard",
        description="Each shard is a task; a retry repeats one shard.",
    ),
}


def build(model: str, settings: dict[str, object]) -> None:
    """Wire the three steps for one model; arguments of the DAG function would become its params."""

    @dag(dag_id=dag_id(model, BATCH_SCORE), schedule=None, params=FORM, **settings)
    def batch_score() -> None:
        planned = PlanBatchOperator(task_id="plan", model=model)
        scored = ScoreShardOperator.partial(
            task_id="score", model=model, max_active_tis_per_dagrun=4
        ).expand(number=planned.output)
        scored >> FinishBatchOperator(task_id="finish", model=model)

    batch_score()


for config in models():
    build(config.name, dag_settings(stage="batch_scoring", model=config, doc=__doc__))
