"""Promote a version: people review it, then live traffic does.

`review` asks one approver for each seat in Airflow's required actions, `approve` closes the
question, and `canary` gives the version a small share of live traffic, judges it against the
champion at each analysis, and promotes it or rolls it back. A model's first version becomes
champion directly. The run is about the newest version that waits, unless the form names one. When
the form names the champion, `review` asks approvers to renew its authorization, and that is all.

**If this fails**

1. Open the red task and its tab *Tenure*. "Safe: champion serves 100%" means that nothing is
   urgent.
2. `review` or `approve` red: the wrong person answered, or an approval expired. Clear `review`, and
   the question is asked again. A *Reject* without a reason is asked again by itself, twice.
3. `canary` red after a rollback: the version cannot serve again. Train a new one, or retire it.
4. `canary` red for another reason: clear it, and it continues at the share it had; until then the
   lease has ended and the champion serves 100%.
5. Airflow is stopped and traffic must go back now: `tenure rollback MODEL --reason "..."` needs
   only the lifecycle database and the object store.
"""

from airflow.sdk import Param, chain, dag

from tenure.layout import PROMOTE_MODEL, dag_id
from tenure.operators.approval import ApproveOperator, ReviewOperator, seats
from tenure.operators.canary import CanaryOperator
from tenure.orchestration import catalog
from tenure.orchestration.assets import validated
from tenure.orchestration.defaults import dag_settings

VERSION = Param(
    None,
    type=["null", "integer"],
    minimum=1,
    title="Version",
    description="Number of the version; empty for the newest that waits.",
)


def build(model_name: str, risk_tier: str, ask_hours: int, settings: dict[str, object]) -> None:
    """Wire the three steps for one model."""

    @dag(
        dag_id=dag_id(model_name, PROMOTE_MODEL),
        schedule=validated(model_name),
        params={"version": VERSION},
        **settings,
    )
    def promote_model() -> None:
        chain(
            ReviewOperator.partial(task_id="review", model=model_name, ask_hours=ask_hours).expand(
                seat=seats(risk_tier)
            ),
            ApproveOperator(task_id="approve", model=model_name),
            CanaryOperator(task_id="canary", model=model_name, ask_hours=ask_hours),
        )

    promote_model()


for model in catalog.models():
    build(
        model.name,
        model.risk_tier,
        model.approval.ask_hours,
        dag_settings(stage="canary", doc=__doc__, model=model),
    )
