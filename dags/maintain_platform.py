"""Keep the platform in order, every five minutes, from whatever state it is in.

Delivers pending notices, makes MLflow's aliases follow the lifecycle database, resumes retirements
whose date has come, reports canaries without a controller, finds tasks that were killed before they
could report it, closes retrain requests that no run works on, and verifies the ledger.

**If this fails**

1. Only a broken ledger makes `maintain` red at once: promote nothing, run `tenure ledger verify`,
   and compare its output with a backup of the lifecycle database. A killed try is tried again.
2. A part that failed for another reason (MLflow is down, say) is an open incident on the Tenure
   page; it closes automatically when the part works again.
3. `tenure reconcile` does the same from a terminal, even while Airflow is stopped.
"""

from airflow.sdk import dag

from tenure.layout import MAINTAIN_PLATFORM
from tenure.operators.maintenance import MaintainOperator
from tenure.orchestration.defaults import dag_settings, schedule


@dag(
    dag_id=MAINTAIN_PLATFORM,
    schedule=schedule("*/5 * * * *"),
    **dag_settings(stage="maintenance", doc=__doc__),
)
def maintain_platform() -> None:
    """One task: each is a fresh process, and the parts share its connections."""
    MaintainOperator(task_id="maintain")


maintain_platform()
