"""What every DAG must be, asked of Airflow's own parser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenure.settings import REPOSITORY

pytestmark = pytest.mark.airflow

DAGS = REPOSITORY / "dags"
TASKS = {
    "flights__ingest_data": ["discover", "ingest"],
    "flight_late__train_model": ["plan", "train", "evaluate", "audit_bias", "register"],
    "flight_late__promote_model": ["review", "approve", "canary"],
    "flight_late__monitor_model": ["monitor", "draw"],
    "flight_late__decommission_model": [
        "plan",
        "confirm",
        "notify",
        "archive",
        "delete",
        "record",
    ],
    "flight_late__batch_score": ["plan", "score", "finish"],
    "retrain_models": ["decide"],
    "maintain_platform": ["maintain"],
    "new_model": ["write"],
}
FORMS = {
    "flight_late__train_model": {"reason": "string"},
    "flight_late__promote_model": {"version": ["null", "integer"]},
    "flight_late__batch_score": {"snapshot": "string", "shard_rows": "integer"},
    "flight_late__decommission_model": {
        "version": "integer",
        "reason": "string",
        "successor": "string",
    },
    "new_model": {
        **dict.fromkeys(("name", "dataset", "label"), "string"),
        **{
            field: ["null", "string"]
            for field in ("task", "time", "positive", "protected", "subject", "outcomes")
        },
    },
}


def every_task(parsed: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for dag_id, dag in parsed["dags"].items():
        for task_id, task in dag["tasks"].items():
            yield f"{dag_id}.{task_id}", task


def broken(rows: Iterator[tuple[str, Any]], rule: object) -> list[str]:
    return [name for name, value in rows if not rule(value)]  # type: ignore[operator]


def test_every_file_imports_cleanly(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}


def test_ids_are_those_of_the_design(parsed: dict[str, Any]) -> None:
    assert {name: list(dag["tasks"]) for name, dag in parsed["dags"].items()} == TASKS


def test_forms_ask_for_what_the_design_says_and_nothing_else(parsed: dict[str, Any]) -> None:
    forms = {name: dag["params"] for name, dag in parsed["dags"].items() if dag["params"]}
    assert forms == FORMS


@pytest.mark.parametrize(
    ("setting", "value"), [("catchup", False), ("max_active_runs", 1), ("paused", False)]
)
def test_settings_that_all_dags_share(parsed: dict[str, Any], setting: str, value: object) -> None:
    assert broken(parsed["dags"].items(), lambda dag: dag[setting] == value) == []


def test_tags_name_subject_stage_and_tier(parsed: dict[str, Any]) -> None:
    def tagged(dag: dict[str, Any]) -> bool:
        tags = dag["tags"]
        whose = [t for t in tags if t == "platform" or t.startswith(("model:", "dataset:"))]
        stage = [t for t in tags if t.startswith("stage:")]
        tier = [t for t in tags if t.startswith("tier:")]
        return len(whose) == len(stage) == len(tier) == 1

    assert broken(parsed["dags"].items(), tagged) == []


def test_docs_end_with_what_to_do_when_it_fails(parsed: dict[str, Any]) -> None:
    def helps(dag: dict[str, Any]) -> bool:
        head, mark, tail = dag["doc"].partition("**If this fails**")
        return bool(mark and len(head) > 80 and len(tail) > 80 and "\n## " not in tail)

    assert broken(parsed["dags"].items(), helps) == []


def test_somebody_owns_every_task(parsed: dict[str, Any]) -> None:
    assert broken(every_task(parsed), lambda t: t["owner"] not in {"", "airflow"}) == []


def test_every_task_tells_when_it_fails(parsed: dict[str, Any]) -> None:
    assert broken(every_task(parsed), lambda t: t["notified"]) == []


def test_retries_have_back_off(parsed: dict[str, Any]) -> None:
    def heals(task: dict[str, Any]) -> bool:
        return task["retries"] > 0 and task["backoff"] > 1

    assert broken(every_task(parsed), heals) == []


def test_a_form_belongs_to_its_dag_and_is_not_copied_into_every_task(
    parsed: dict[str, Any],
) -> None:
    copies = {
        (dag_id, task_id)
        for dag_id, dag in parsed["dags"].items()
        for task_id, task in dag["tasks"].items()
        if task["params"]
    }
    mapped = {("flight_late__batch_score", "score"), ("flight_late__promote_model", "review")}
    assert copies <= mapped  # Airflow builds these from the DAG itself


def test_every_task_links_to_its_evidence(parsed: dict[str, Any]) -> None:
    assert broken(every_task(parsed), lambda t: {"Report", "MLflow run"} <= set(t["links"])) == []


def test_no_templated_field_holds_a_template(parsed: dict[str, Any]) -> None:
    assert broken(every_task(parsed), lambda t: t["templates"] == []) == []


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda p: p.name)
def test_no_run_conf_and_no_shell(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    templated = r"\{\{[^}]*(?:conf|params)"
    assert re.findall(rf"dag_run\.conf|{templated}|BashOperator|PythonOperator", source) == []


@pytest.mark.parametrize("path", sorted(DAGS.glob("*.py")), ids=lambda p: p.name)
def test_dag_files_only_wire(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 90
