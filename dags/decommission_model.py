"""Retire a model version for good: two people, a notice, a proven archive, then deletion.

`plan` registers the request of the person who triggered the run, `confirm` asks a second person,
`notify` notifies the consumers. After the notice period `archive` refuses access (HTTP 410),
archives everything and reads it back; after the retention period `delete` deletes exactly what the
archive's manifest marks, and `record` issues the decommission record. A step that is not due yet is
skipped (green) and names its date; `maintain_platform` continues when the date has come.

**If this fails**

1. Open the red task and its tab *Tenure*. Nothing is deleted before the archive has been read back.
2. `plan` red: the version still serves, or this person may not ask for it. Promote a successor, or
   have an operator, a decommissioner or the owner trigger the run.
3. `confirm` red: the wrong person answered. Clear it, and the question is asked again.
4. `archive` or `delete` red with *ArchiveIncomplete*: clear `archive`; it copies again from the
   originals, which are still there.
5. Clearing any task is safe: work that was done is found and not done twice.
"""

from airflow.sdk import Param, chain, dag

from tenure.layout import DECOMMISSION_MODEL, dag_id
from tenure.operators.decommission import (
    ConfirmDecommissionOperator,
    DecommissionOperator,
    RequestDecommissionOperator,
)
from tenure.orchestration.catalog import models
from tenure.orchestration.defaults import dag_settings
from tenure.vocabulary import PLAIN

FORM = {
    "version": Param(
        type="integer",
        minimum=1,
        title="Version",
        description="Number of the version to retire; it must serve nobody.",
    ),
    "reason": Param(
        type="string",
        minLength=3,
        maxLength=500,
        pattern=PLAIN,
        title="Reason",
        description="Sent to the consumers and kept in the decommission record.",
    ),
    "successor": Param(
        "",
        type="string",
        maxLength=200,
        pattern=PLAIN,
        title="Successor",
        description="What consumers should use instead, for example flight_late@2.",
    ),
}


def build(model: str, settings: dict[str, object]) -> None:
    """Wire the six tasks for one model; arguments of the DAG function would become its params."""

    @dag(dag_id=dag_id(model, DECOMMISSION_MODEL), schedule=None, params=FORM, **settings)
    def decommission_model() -> None:
        chain(
            RequestDecommissionOperator(task_id="plan", model=model),
            ConfirmDecommissionOperator(task_id="confirm", model=model),
            *(
                DecommissionOperator(task_id=step, step=step, model=model)
                for step in ("notify", "archive", "delete", "record")
            ),
        )

    decommission_model()


for config in models():
    build(config.name, dag_settings(stage="decommission", model=config, doc=__doc__))
