"""What every task does when its work goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tenure.errors import GateFailed, ServiceUnreachable
from tenure.installation import Installation
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.airflow


def context(platform: Installation | None = None) -> dict[str, Any]:
    task = SimpleNamespace(owner="ada", model="flight_late", dataset=None)
    ti = SimpleNamespace(
        dag_id="flight_late__train_model",
        run_id="manual__1",
        task_id="evaluate",
        map_index=None,
        try_number=1,
        max_tries=2,
        log_url="http://airflow/log",
        task=task,
    )
    return {"ti": ti, "dag_run": SimpleNamespace(triggering_user_name="ada"), "platform": platform}


RUN = RunRef("flight_late__train_model", "manual__1", "evaluate", -1, "ada")


def cards(platform: Installation) -> list[Mapping[str, Any]]:
    from tenure.adapters.sql import reports

    with platform.database.begin() as connection:
        rows = reports.of_run(connection, RUN.dag_id, RUN.run_id)
    return [row.report.facts for row in rows]


def gate_failed() -> GateFailed:
    return GateFailed(
        "flights batch 2013-03: 2 of 14 expectations failed; temp has 3,121 of 28,834 nulls "
        "(limit 2%), and this sentence makes the message longer than one line of the log view.",
        still_safe="Training keeps the snapshot of 2013-02.",
        next_step="Open the report.",
        evidence="d" * 64,
    )


def test_a_gate_that_failed_is_explained_in_the_log_and_on_the_card(
    connected: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    from tenure.operators.base import TaskFailed, explained

    with pytest.raises(TaskFailed) as caught, explained(context()):
        raise gate_failed()
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert lines[0].startswith("GateFailed: flights batch 2013-03: 2 of 14 expectations failed")
    assert "Still safe: Training keeps the snapshot of 2013-02." in lines
    assert "Next step: Open the report." in lines
    assert max(map(len, lines)) <= 100
    assert len(str(caught.value)) <= 100
    (card,) = cards(connected)
    assert (card["kind"], card["owner"], card["model"]) == ("GateFailed", "ada", "flight_late")
    assert (card["log_url"], card["try_number"], card["tries"]) == ("http://airflow/log", 1, 3)


def test_only_what_may_heal_is_tried_again(connected: Installation) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from tenure.operators.base import TaskFailed, TaskMayRetry, explained

    error = ServiceUnreachable("MLflow is down", still_safe="s", next_step="n")
    with pytest.raises(TaskMayRetry) as caught, explained(context()):
        raise error
    assert not isinstance(caught.value, AirflowFailException)
    assert issubclass(TaskFailed, AirflowFailException)
    assert cards(connected)[0]["kind"] == "ServiceUnreachable"


def test_a_bug_keeps_its_traceback_and_gets_a_card(connected: Installation) -> None:
    from tenure.operators.base import explained

    with pytest.raises(KeyError) as caught, explained(context(), dataset="flights"):
        raise KeyError("absent")
    assert caught.value.card.kind == "KeyError"
    (card,) = cards(connected)
    assert card["what"] == "Bug or unexpected error: KeyError: 'absent'"
    assert card["dataset"] == "flights"


def test_a_task_that_ran_out_of_time_leaves_a_card(connected: Installation) -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout

    from tenure.operators.base import explained

    with pytest.raises(AirflowTaskTimeout), explained(context()):
        raise AirflowTaskTimeout("60 s")
    assert cards(connected)[0]["kind"] == "Killed"


def test_signals_of_airflow_pass_without_a_card(connected: Installation) -> None:
    from airflow.sdk.exceptions import AirflowSkipException, TaskAwaitingInput

    from tenure.operators.base import explained

    for signal in (AirflowSkipException(), TaskAwaitingInput(method_name="resume")):
        with pytest.raises(type(signal)), explained(context()):
            raise signal
    assert cards(connected) == []


def test_an_explained_error_is_not_explained_twice(connected: Installation) -> None:
    from tenure.operators.base import TaskFailed, explained

    with pytest.raises(TaskFailed), explained(context()), explained(context()):
        raise gate_failed()
    assert len(cards(connected)) == 1


def test_a_card_that_cannot_be_stored_does_not_hide_the_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tenure.operators.base import TaskFailed, explained

    monkeypatch.setenv("TENURE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    monkeypatch.delenv("AIRFLOW_CONN_TENURE_DATABASE", raising=False)
    with pytest.raises(TaskFailed, match="GateFailed"), explained(context()):
        raise gate_failed()
    assert "The failure card was not stored: ServiceUnreachable" in caplog.text


def test_an_operator_works_with_the_platform_of_the_connections(connected: Installation) -> None:
    from tenure.operators.base import TenureOperator

    class Probe(TenureOperator):
        def work(self, platform: Installation, run: RunRef, context: object) -> object:
            with platform.database.begin():
                return [run, self.model]

    assert Probe(task_id="evaluate", model="flight_late").work(connected, RUN, {}) == [
        RUN,
        "flight_late",
    ]


@pytest.mark.parametrize("width", [99, 100, 101])
def test_lines_are_broken_at_the_width_of_the_log_view(width: int) -> None:
    from tenure.operators.base import log_lines

    lines = log_lines("x" * (width - 2) + " y")
    assert len(lines) == (1 if width <= 100 else 2)
    assert all(len(line) <= 100 for line in log_lines("z" * 250 + "\nnext"))
    assert log_lines("one\ntwo") == ["one", "two"]


def test_a_task_reads_the_form_of_its_dag_and_keeps_what_is_its_own() -> None:
    from airflow.sdk import DAG, Param
    from airflow.sdk.definitions.param import process_params

    from tenure.operators.base import TenureOperator

    form = {"reason": Param("none", type="string"), "rows": Param(5, type="integer")}
    with DAG("d", schedule=None, params=form) as dag:
        plain = TenureOperator(task_id="plain")
        own = TenureOperator(task_id="own", params={"rows": 7})

    def read(task: TenureOperator) -> dict[str, Any]:
        return process_params(dag, task, {"reason": "drift"}, suppress_exception=False)

    assert (list(plain.params), list(own.params)) == ([], ["rows"])
    assert read(plain) == {"reason": "drift", "rows": 5}
    assert read(own) == {"reason": "drift", "rows": 7}
