"""Take what lands in `landing/<dataset>/`: judge it, set bad rows aside, publish a snapshot.

`discover` lists the files that have not been judged by the present contract and suite, or that came
back after another file under the same name. `ingest` runs once for each: first the contract, then
the expectations; bad rows go to quarantine with their reasons, and the good rows become a snapshot
named by its content. When nothing is new, the run is green.

**If this fails**

1. Open the red `ingest` (its name is the file) and its tab *Tenure*: it names the column, what was
   observed and what is allowed. Nothing of that batch was published; other batches and all models
   in service are not affected.
2. The source is wrong: its owner drops the repaired file under the same name, and the next run
   takes it. The red task stays as history; clearing it gives the same answer.
3. A rule is wrong: the steward edits the suite or the dataset's YAML and runs `tenure check`; the
   next run judges every landed file again.
4. `discover` red: a YAML or suite is broken (`tenure check`), or the store or the database does not
   answer.
"""

from airflow.sdk import dag

from tenure.layout import INGEST_DATA, dag_id
from tenure.operators.ingestion import DiscoverOperator, IngestOperator
from tenure.orchestration import catalog
from tenure.orchestration.assets import snapshot
from tenure.orchestration.defaults import dag_settings, schedule


def build(dataset: str, cron: str, settings: dict[str, object]) -> None:
    """Wire the two steps for one dataset."""

    @dag(dag_id=dag_id(dataset, INGEST_DATA), schedule=schedule(cron), **settings)
    def ingest_data() -> None:
        found = DiscoverOperator(task_id="discover", dataset=dataset)
        IngestOperator.partial(
            task_id="ingest",
            dataset=dataset,
            outlets=[snapshot(dataset)],
            max_active_tis_per_dagrun=2,
            map_index_template="{{ task.source_key }}",
        ).expand(source_key=found.output)

    ingest_data()


for config in catalog.datasets():
    build(
        config.name,
        config.schedule,
        dag_settings(stage="ingestion", doc=__doc__, dataset=config),
    )
