"""Prints as JSON what Airflow makes of a folder of DAG files. Run by the fixtures beside it."""

import json
import os
import sys
import time

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager

HEAVY = ("numpy", "scipy", "pandas", "sklearn", "mlflow", "great_expectations", "evidently", "ibis")


def main(folder: str, dag_id: str) -> None:
    """Parse, then print."""
    opened = record_opened(os.environ["TENURE_INCLUDE"])
    before = set(sys.modules)
    began = time.process_time()
    with _airflow_parsing_context_manager(dag_id=dag_id or None):
        bag = DagBag(folder)
    seconds = time.process_time() - began
    loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
    sys.stdout.write(
        json.dumps(
            {
                "errors": {str(path): text for path, text in bag.import_errors.items()},
                "dags": {name: describe(dag) for name, dag in bag.dags.items()},
                "heavy": sorted(loaded & set(HEAVY)),
                "opened": sorted(opened),
                "seconds": seconds,
            }
        )
    )


def record_opened(folder: str) -> set[str]:
    """Names, from now on, of the files under a folder that this process opens."""
    opened: set[str] = set()

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(f"{folder}/"):
            opened.add(str(arguments[0]).removeprefix(f"{folder}/"))

    sys.addaudithook(hook)
    return opened


def describe(dag: "DAG") -> dict[str, object]:
    """What the policy speaks about."""
    return {
        "file": dag.fileloc,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md or "",
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "paused": dag.is_paused_upon_creation,
        "params": {name: dag.params.get_param(name).schema.get("type") for name in dag.params},
        "tasks": {task.task_id: task_of(task) for task in dag.tasks},
    }


def task_of(task: object) -> dict[str, object]:
    """A task, mapped or not."""
    given = getattr(task, "partial_kwargs", {})
    templated = {field: getattr(task, field, given.get(field)) for field in task.template_fields}
    return {
        "owner": task.owner,
        "retries": task.retries,
        "backoff": task.retry_exponential_backoff,
        "notified": bool(task.on_failure_callback),
        "links": sorted(link.name for link in task.operator_extra_links),
        "templates": [f for f, value in templated.items() if "{{" in repr(value)],
        "type": task.task_type,
        "params": sorted(task.params),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
