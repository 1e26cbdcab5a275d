"""An action on an incident: a dry run that changes nothing, a deed that is done once."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tenure.adapters.sql import incident_timeline, incidents, outbox
from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.lifecycle.audit.reconciliation import TaskProgress
from tenure.lifecycle.incidents.actions import ASK, CLEAR, RELOAD, RETRY, ROLL_BACK, IncidentAction
from tenure.lifecycle.incidents.failure_card import describe
from tenure.settings import Settings
from tenure.usecases.incidents.failure_cards import save
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.incidents.outbox import deliver
from tenure.usecases.operations.action_plans import runs_to_clear
from tenure.usecases.operations.broken_files import report_configs
from tenure.usecases.operations.incident_actions import act, plan
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service
DAG = "flight_late__train_model"


@dataclass
class Airflow:
    """Tasks that are failed, by run; a cleared one is failed no more."""

    failed: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    cleared: list[tuple[str, tuple[str, int]]] = field(default_factory=list)

    def clear(
        self, dag_id: str, run_id: str, tasks: Sequence[tuple[str, int]], *, dry_run: bool
    ) -> list[TaskProgress]:
        if run_id not in self.failed:
            raise StateConflict("no such run", still_safe="all", next_step="none")
        found = [TaskProgress(name, -1, "", "failed", 1, 2) for name in self.failed[run_id]]
        if not dry_run:
            self.failed[run_id] = []
            self.cleared += [(run_id, task) for task in tasks]
        return found

    def import_errors(self) -> dict[str, str]:
        return self.broken


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Configs that may be written."""
    include = tmp_path / "include"
    shutil.copytree(settings.include, include)
    return Settings(**(vars(settings) | {"include": include}))


def red(platform: Installation, *runs: str) -> int:
    for run in runs:
        save(platform, describe(KeyError("x"), owner="ada"), RunRef(DAG, run, "train"))
    return only_open(platform).id


def only_open(platform: Installation) -> incidents.Incident:
    with platform.database.begin() as connection:
        (one,) = incidents.unclosed(connection)
    return one


def acted(platform: Installation, number: int) -> list[tuple[str | None, str]]:
    with platform.database.begin() as connection:
        events = incident_timeline.of_incident(connection, number)
    return [(one.actor, one.note) for one in events if one.kind == "acted"]


def in_ledger(platform: Installation, number: int) -> int:
    query = "SELECT count(*) FROM ledger_event WHERE subject = %s"
    with platform.database.begin() as connection:
        return int(connection.exec_driver_sql(query, (f"incident:{number}",)).scalar_one())


def do(platform: Installation, number: int, action: IncidentAction, airflow: Airflow) -> str:
    seen = plan(platform, number, action, user="olga", airflow=airflow).seen
    return act(platform, number, action, user="olga", airflow=airflow, seen=seen)


def test_of_a_task_only_the_newest_run_is_cleared_once(platform: Installation) -> None:
    number = red(platform, "r1", "r2", "r3")
    airflow = Airflow({"r3": ["train", "register"], "r1": ["train"]})
    dry = plan(platform, number, CLEAR, user="olga", airflow=airflow)
    assert dry.sentence == (
        "Airflow would run 2 task instances again (register, train) in 1 run; a green run repairs "
        "3 red members of this incident."
    )
    assert (airflow.cleared, acted(platform, number)) == ([], [])
    done = act(platform, number, CLEAR, user="olga", airflow=airflow, seen=dry.seen)
    assert done == "2 task instances cleared: register, train."
    assert airflow.cleared == [("r3", ("train", -1))]
    with pytest.raises(StateConflict, match="None of the 3 red members is failed"):
        act(platform, number, CLEAR, user="olga", airflow=airflow, seen=dry.seen)
    assert acted(platform, number) == [("olga", f"Clear the failed task: {done}")]
    assert (in_ledger(platform, number), len(airflow.cleared)) == (1, 1)


def test_a_run_that_airflow_forgot_is_counted(platform: Installation) -> None:
    number = red(platform, "r1")
    dry = plan(platform, number, CLEAR, user="olga", airflow=Airflow())
    assert not dry.changes
    assert "1 runs are unknown to Airflow." in dry.sentence


def test_copies_are_cleared_by_their_item_or_one_by_one() -> None:
    tasks = [(RunRef("d", f"r{n}", "t", n), item) for n, item in enumerate(["a", "a", "", ""])]
    assert runs_to_clear(tasks) == {
        ("d", "r0"): [("t", 0)],
        ("d", "r2"): [("t", 2)],
        ("d", "r3"): [("t", 3)],
    }


def test_a_broken_file_is_over_only_when_it_is_right(platform: Installation) -> None:
    path = platform.settings.configs / "models" / "flight_late.yaml"
    right = path.read_text(encoding="utf-8")
    path.write_text(right + "nonsense: 1\n", encoding="utf-8")
    report_configs(platform)
    number = only_open(platform).id
    dry = plan(platform, number, RELOAD, user="olga", airflow=Airflow())
    assert "still has 1 problem: " in dry.sentence
    assert "nonsense" in dry.sentence
    with pytest.raises(StateConflict):
        act(platform, number, RELOAD, user="olga", airflow=Airflow(), seen=dry.seen)
    path.write_text(right, encoding="utf-8")
    assert "is right" in do(platform, number, RELOAD, Airflow())
    with platform.database.begin() as connection:
        assert incidents.unclosed(connection) == []
    assert len(acted(platform, number)) == in_ledger(platform, number) == 1


def test_a_dag_file_is_over_when_airflow_imports_it(platform: Installation) -> None:
    number = open_incident(platform, "import:dags/a.py", "dag_import_error", "dags/a.py", "x")
    airflow = Airflow(broken={"dags/a.py": "boom"})
    assert not plan(platform, number, RELOAD, user="olga", airflow=airflow).changes
    airflow.broken.clear()
    assert "is over" in do(platform, number, RELOAD, airflow)


def test_messages_are_sent_again_and_counted(platform: Installation) -> None:
    body = {"webhook": "http://127.0.0.1:9/x", "consumer": "desk"}
    with platform.database.begin() as connection:
        platform.ledger.enqueue(connection, topic="notice", body=body, op_key="k" * 64)
    deliver(platform)
    number = only_open(platform).id
    assert do(platform, number, RETRY, Airflow()) == "0 of 1 message taken by the receiver."
    assert "tried 2 times" in plan(platform, number, RETRY, user="olga", airflow=Airflow()).sentence


def test_the_owner_is_asked_once_for_the_same(platform: Installation) -> None:
    number = red(platform, "r1", "r2")
    assert do(platform, number, ASK, Airflow()).startswith("ada is asked")
    again = plan(platform, number, ASK, user="olga", airflow=Airflow())
    assert (again.changes, again.sentence[:18]) == (False, "ada was asked this")
    with platform.database.begin() as connection:
        (message,) = outbox.pending_alerts(connection)
        sent = outbox.claim(connection, message)
    assert sent is not None
    assert sent.body["title"] == f"For ada: Bug or unexpected error ({only_open(platform).subject})"
    assert sent.body["members"] == 2
    assert str(sent.body["text"]).startswith("olga asks: Please do what the next step says")


@pytest.mark.parametrize(
    ("user", "action", "error", "says"),
    [
        ("vera", CLEAR, NotPermitted, "vera may not act on incidents"),
        (
            "sam",
            ROLL_BACK,
            NotPermitted,
            "sam may not do “Roll back”: that needs the role operator",
        ),
        ("olga", ROLL_BACK, StateConflict, "does not offer “Roll back”"),
    ],
)
def test_who_may_not_or_what_makes_no_sense(
    platform: Installation,
    user: str,
    action: IncidentAction,
    error: type[Exception],
    says: str,
) -> None:
    card = describe(KeyError("x"), dataset="flights", owner="sam")
    save(platform, card, RunRef("flights__ingest_data", "r", "ingest"))
    with pytest.raises(error, match=says):
        plan(platform, only_open(platform).id, action, user=user, airflow=Airflow())
