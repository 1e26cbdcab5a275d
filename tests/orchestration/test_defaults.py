"""Cron with seconds, docs, tags: what DAG files take for granted."""

import re
from datetime import UTC, datetime

import pytest

from tenure.settings import REPOSITORY

pytestmark = pytest.mark.airflow


@pytest.mark.parametrize(
    ("cron", "after", "then"),
    [
        ("* * * * * */20", datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC), "2026-01-01T00:00:20"),
        ("0 6 * * *", datetime(2026, 1, 1, 7, tzinfo=UTC), "2026-01-02T06:00:00"),
    ],
)
def test_five_and_six_fields_are_scheduled(cron: str, after: datetime, then: str) -> None:
    import pendulum
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import DataInterval, TimeRestriction

    from tenure.orchestration.defaults import START, schedule

    timetable = coerce_to_core_timetable(schedule(cron))
    timetable.validate()
    following = timetable.next_dagrun_info(
        last_automated_data_interval=DataInterval.exact(pendulum.instance(after)),
        restriction=TimeRestriction(earliest=START, latest=None, catchup=True),
    )
    assert following.run_after.isoformat().startswith(then)


@pytest.mark.parametrize(
    ("doc", "tail"),
    [
        ("What it does.", "one heading for each kind of error."),
        ("Does.\n\n**If this fails**\n\nAsk.", "Does.\n\n**If this fails**\n\nAsk."),
    ],
)
def test_docs_end_with_one_section_about_failing(doc: str, tail: str) -> None:
    from tenure.orchestration.defaults import doc_md

    text = doc_md(doc)
    assert text.endswith(tail)
    assert text.count("**If this fails**") == 1


@pytest.mark.parametrize(
    ("stage", "placed"),
    [
        ("training", {"pool": "heavy", "pool_slots": 2, "queue": "large_memory"}),
        ("batch_scoring", {"pool_slots": 1}),
        ("monitoring", {}),
    ],
)
def test_heavy_stages_run_where_the_yaml_says(stage: str, placed: dict[str, object]) -> None:
    from tenure.orchestration.catalog import ConfigView
    from tenure.orchestration.defaults import PRIORITY, dag_settings

    heavy = {"pool": "heavy", "slots": 2, "queue": "large_memory"}
    workers = {"training": heavy, "batch_scoring": {"pool": None, "slots": 1, "queue": None}}
    model = ConfigView({"name": "m", "owner": "ada", "risk_tier": "high", "workers": workers})
    found = dag_settings(stage=stage, doc=None, model=model)["default_args"]  # type: ignore[arg-type]
    assert {k: v for k, v in found.items() if k in {"pool", "pool_slots", "queue"}} == placed
    assert (found["priority_weight"], found["weight_rule"]) == (PRIORITY[stage], "absolute")


def test_what_an_older_tenure_remembered_runs_anywhere() -> None:
    from tenure.orchestration.catalog import ConfigView
    from tenure.orchestration.defaults import dag_settings

    model = ConfigView({"name": "m", "owner": "ada", "risk_tier": "high"})
    found = dag_settings(stage="training", doc=None, model=model)["default_args"]  # type: ignore[arg-type]
    assert "pool" not in found


def test_each_stage_has_its_priority() -> None:
    from tenure.orchestration.defaults import PRIORITY

    files = (REPOSITORY / "dags").glob("*.py")
    stages = {name for path in files for name in re.findall(r'stage="(\w+)"', path.read_text())}
    assert stages == set(PRIORITY)


def test_what_people_on_call_wait_for_gets_the_next_slot() -> None:
    from tenure.orchestration.defaults import PRIORITY

    order = ["maintenance", "canary", "monitoring", "ingestion", "training"]
    assert sorted(order, key=lambda stage: -PRIORITY[stage]) == order
