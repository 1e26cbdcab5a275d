"""What an approver reads: the version beside the champion, what changed, and where to answer."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from filled_site import ASKED_BY, FilledSite, window
from page_reader import FakeGuard
from shop import Shop
from sqlalchemy import delete

from tenure.adapters.sql import tables as t
from tenure.adapters.sql import versions
from tenure.installation import Installation
from tenure.settings import REPOSITORY
from tenure.views.approval_page import ASKING_TASK, OpenWindow, window_path
from tenure.views.version_changes import DataWindow, SettingChange, VersionChanges

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow
PAGE = "/model/flight_late/version/5/approval"


@pytest.fixture
def filled(
    life: Any, platform: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FilledSite:
    from tenure.web import app

    made = FilledSite(life, Shop(platform, tmp_path))
    made.fill()
    monkeypatch.setattr(app, "open_windows", lambda *_: [window(life.now)])
    monkeypatch.setattr(app, "task_status", made.tasks)
    return made


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_the_page_says_all_that_an_approver_asks(client: TestClient, filled: FilledSite) -> None:
    html = client.get(PAGE).text
    text = words(html)
    for said in (
        "May flight_late@5 serve?",
        "0 of 1 approved (limited risk)",
        "Answer in Airflow : closes in 3 d",
        "and so does Approve : a gate asks less than before",
        "lowered Since flight_late@2 (the last champion) the gate was lowered: bias: "
        "max_difference 0.25, now 0.3",
        "same bytes flight_late@3 has the same bytes and was rejected by",
        ": It calls on-time flights of EV late twice as often.",
        "roc auc 0.7124 [0.7021, 0.7218] 0.7011 0.0113 [0.0041, 0.0185]",
        "Batches added 2013-04 Batches removed 2013-01",
        "Features added precip, visib Features removed gust",
        "3 batches, 82,115 rows, 2013-02-01 00:00 UTC to 2013-04-28 23:00 UTC",
        "bias.max_difference 0.25 0.3",
        "Other bytes code, lock and suite are the same",
        "The worst first. Pale groups are too small to be judged.",
        "Who uses the answers passenger_app",
    ):
        assert said in text, said
    run = ASKED_BY.replace(":", "%3A").replace("+", "%2B")
    place = f"/dags/flight_late__promote_model/runs/{run}/tasks/review/mapped/0/required_actions"
    assert f'href="{place}" data-airflow' in html
    groups = html[html.index("False positive rate by carrier") :]
    order = [groups.index(f">{name}<") for name in ("DL", "EV", "B6", "UA", "HA")]
    assert order == sorted(order)


def test_a_page_of_another_version_has_no_window(client: TestClient, filled: FilledSite) -> None:
    text = words(client.get("/model/flight_late/version/2/approval").text)
    assert "No window is open for it now. What was answered stands on" in text
    assert "It is the champion itself." in text
    assert "was lowered" not in text


def test_a_waiting_task_leads_to_the_page(client: TestClient, filled: FilledSite) -> None:
    waiting = client.get(filled.paths["card-waiting"]).text
    assert f'href="/tenure{PAGE}"' in waiting
    assert f'href="/tenure{PAGE}"' in client.get("/model/flight_late/version/5").text


def test_what_is_not_kept_is_said(client: TestClient, filled: FilledSite) -> None:
    with filled.platform.database.begin() as connection:
        for table in ("report", "config_revision"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.execute(delete(t.report).where(t.report.c.stage.in_(["evaluation", "bias"])))
        connection.execute(delete(t.config_revision).where(t.config_revision.c.kind == "model"))
    text = words(client.get(PAGE).text)
    for said in (
        "The evaluation report cannot be found: do not approve without it.",
        "The bias audit cannot be found: do not approve without it.",
        "The configs cannot be compared",
        "one of both cannot be read: its gates cannot be compared",
        "who uses the answers is not known",
    ):
        assert said in text, said


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/model/flight_late/version/99/approval", 404),
        ("/model/flight_late/version/x/approval", 404),
        ("/model/No/version/1/approval", 404),
    ],
)
def test_what_is_not_there(client: TestClient, life: Any, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_who_may_not_see_the_model_may_not_read_it(
    client: TestClient, filled: FilledSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"flight_late__train_model"}))
    assert client.get(PAGE).status_code == 403


def test_changes_without_time() -> None:
    before, now = DataWindow(("a", "b"), 5, None, None), DataWindow(("b", "c"), 7, None, None)
    found = VersionChanges(now, before, (), (), (SettingChange("k", None, "1"),), ())
    assert (found.batches_added, found.batches_removed) == (("c",), ("a",))


def test_a_window_that_is_not_mapped(life: Any) -> None:
    one = OpenWindow("r/1", "review", -1, life.now, None)
    assert (
        window_path("m", one) == "/dags/m__promote_model/runs/r%2F1/tasks/review/required_actions"
    )


def test_airflow_is_asked_which_windows_are_open() -> None:
    """Over Airflow's own tables: not what was answered, of another DAG, or a canary that holds."""
    from airflow.models.base import Base
    from airflow.models.dagrun import DagRun
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import Trigger
    from sqlalchemy import create_engine, insert
    from sqlalchemy.orm import Session

    from tenure.web.security import open_windows

    asked, until = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 4))
    rows = [  # DAG, task, map index, state, answered
        ("m__promote_model", "review", 1, "awaiting_input", None),
        ("m__promote_model", "review", 0, "awaiting_input", None),
        ("m__promote_model", "review", 2, "awaiting_input", until),
        ("m__promote_model", "review", 3, "success", until),
        ("m__promote_model", "canary", -1, "awaiting_input", None),
        ("m2__promote_model", "review", 0, "awaiting_input", None),
    ]
    engine = create_engine("sqlite://")
    kinds: list[Any] = [TaskInstance, HITLDetail, DagRun, Trigger]
    Base.metadata.create_all(engine, tables=[kind.__table__ for kind in kinds])
    with Session(engine) as session:
        assert open_windows(session, "m__promote_model") == []
        for dag, task, index, state, answered in rows:
            one = {"id": uuid4(), "dag_id": dag, "run_id": "r", "task_id": task, "state": state}
            more = {"map_index": index, "trigger_timeout": until, "pool": "p", "pool_slots": 1}
            session.execute(insert(TaskInstance.__table__).values(**one, **more))
            window = {"options": ["Approve"], "subject": "?", "created_at": asked, "params": {}}
            window |= {"ti_id": one["id"], "responded_at": answered, "params_input": {}}
            session.execute(insert(HITLDetail.__table__).values(**window))
        found = open_windows(session, "m__promote_model")
    engine.dispose()
    assert found == [OpenWindow("r", "review", index, asked, until) for index in (0, 1)]


def test_the_task_that_asks_has_its_name_in_the_dag() -> None:
    text = (REPOSITORY / "dags" / "promote_model.py").read_text(encoding="utf-8")
    assert f'ReviewOperator.partial(task_id="{ASKING_TASK}"' in text


def test_a_version_that_is_not_trained_is_no_trouble(
    client: TestClient, filled: FilledSite
) -> None:
    with filled.platform.database.begin() as connection:
        versions.create_draft(
            connection, model_name="flight_late", trained_by="ada", training_key="draft"
        )
    text = words(client.get("/model/flight_late/version/6/approval").text)
    assert "May flight_late@6 serve?" in text
    assert "The evaluation report cannot be found: do not approve without it." in text
    assert "The two cannot be compared" in text
