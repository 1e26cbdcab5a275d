"""Notices reach a real receiver, and no receiver can hurt a task."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tenure.adapters.sql import data, incidents, reports
from tenure.errors import GateFailed, ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.audit.reconciliation import FailedTask
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.airflow


class Receiver(BaseHTTPRequestHandler):
    """Answers with the status that it is asked for in the path."""

    got: ClassVar[list[tuple[str, str, dict[str, Any]]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(int(self.path.rsplit("/", 1)[-1]))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[int]:
    Receiver.got.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def connect(monkeypatch: pytest.MonkeyPatch, port: int, path: str) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_TENURE_ALERTS",
        json.dumps(
            {
                "conn_type": "http",
                "host": "127.0.0.1",
                "port": port,
                "schema": path,
                "password": "hunter2",
            }
        ),
    )


def context(error: object) -> Any:
    ti = SimpleNamespace(
        dag_id="flights__ingest_data",
        run_id="manual__1",
        task_id="ingest",
        map_index=2,
        log_url="http://airflow/log",
    )
    return {"ti": ti, "exception": error}


MAINTENANCE = RunRef("maintain_platform", "scheduled__1", "maintain")
NOWHERE = '{"conn_type": "postgres", "host": "127.0.0.1", "port": 9, "schema": "x"}'


class FailedIngestion:
    """Airflow, as far as the watchdog asks it: `context`'s task failed some minutes ago."""

    def failed_tasks(self, since: datetime) -> list[FailedTask]:
        ended = datetime.now(UTC) - timedelta(minutes=5)
        return [FailedTask("flights__ingest_data", "manual__1", "ingest", 2, ended, 1)]

    def has_active_run(self, dag_id: str) -> bool:
        return False

    def import_errors(self) -> dict[str, str]:
        return {}


@pytest.fixture
def watched(connected: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation whose dataset is known, and whose watchdog sees `FailedIngestion`."""
    from tenure.operators.maintenance import MaintainOperator

    with connected.database.begin() as connection:
        data.register_dataset(
            connection, name="flights", owner="ada", steward="sam", sensitivity="internal"
        )
    monkeypatch.setattr(MaintainOperator, "_airflow", lambda *_: FailedIngestion())
    monkeypatch.setitem(connected.__dict__, "mlflow", NoAliases())
    return connected


class NoAliases:
    """MLflow without any model."""

    def get_aliases(self, model: str) -> dict[str, int]:
        return {}


def cards(platform: Installation) -> list[Mapping[str, Any]]:
    with platform.database.begin() as connection:
        rows = reports.of_run(connection, "flights__ingest_data", "manual__1")
    return [row.report.facts for row in rows if row.stage == "failure"]


def failed() -> GateFailed:
    return GateFailed("2 of 14 failed", still_safe="Training.", next_step="Open the report.")


def standing(platform: Installation) -> list[incidents.Incident]:
    with platform.database.begin() as connection:
        return incidents.unclosed(connection)


def test_a_failure_opens_an_incident_and_is_announced_with_its_link(
    monkeypatch: pytest.MonkeyPatch, receiver: int, connected: Installation
) -> None:
    from tenure.notifications.alerts import FailureNotifier

    monkeypatch.setenv("TENURE_AIRFLOW_URL", "http://airflow")
    connect(monkeypatch, receiver, "hooks/200")
    for _ in range(2):
        FailureNotifier()(context(failed()))
    ((path, authorization, body),) = Receiver.got
    (one,) = standing(connected)
    assert (path, authorization) == ("/hooks/200", "Bearer hunter2")
    assert body.pop("message_id")
    assert body == {
        "incident": one.id,
        "event": "opened",
        "kind": "GateFailed",
        "subject": "flights: ingest",
        "severity": "sev2",
        "title": "SEV2 opened: A gate said no (flights: ingest)",
        "text": "2 of 14 failed\nStill safe: Training.\nNext step: Open the report.\n"
        f"Buttons on the incident page: Clear the failed task.\nhttp://airflow/tenure/incident/{one.id}",
        "cause": "2 of 14 failed",
        "still_safe": "Training.",
        "next_step": "Open the report.",
        "owner": "",
        "members": 1,
        "url": f"http://airflow/tenure/incident/{one.id}",
    }
    assert one.seen == 1  # the same card twice is one failure


def test_the_card_of_the_operator_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, receiver: int, connected: Installation
) -> None:
    """Also when it expected another try: this callback comes after the last one only."""
    from tenure.lifecycle.incidents.failure_card import describe
    from tenure.notifications.alerts import FailureNotifier
    from tenure.operators.base import TaskFailed

    connect(monkeypatch, receiver, "200")
    soon = datetime.now(UTC) + timedelta(seconds=10)
    error = TaskFailed("short", describe(failed(), owner="ada", next_try_at=soon))
    FailureNotifier()(context(error))
    ((_, _, body),) = Receiver.got
    assert (body["owner"], body["cause"]) == ("ada", "2 of 14 failed")


def test_a_green_task_repairs_and_tells_what_it_opened(
    monkeypatch: pytest.MonkeyPatch, receiver: int, connected: Installation
) -> None:
    from tenure.notifications.alerts import FailureNotifier, GreenNotifier
    from tenure.usecases.incidents.open_incident import open_incident

    connect(monkeypatch, receiver, "200")
    FailureNotifier()(context(failed()))
    open_incident(connected, "drift:m", "drift_failed", "m@1", "PSI 2.1")
    GreenNotifier()(context(None))
    assert [f"{body['kind']} {body['event']}" for _, _, body in Receiver.got] == [
        "GateFailed opened",
        "GateFailed closed",
        "drift_failed opened",
    ]
    assert [one.kind for one in standing(connected)] == ["drift_failed"]


def test_a_green_task_is_green_without_the_database(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tenure.notifications.alerts import GreenNotifier

    monkeypatch.setenv("AIRFLOW_CONN_TENURE_DATABASE", NOWHERE)
    GreenNotifier()(context(None))
    assert "incidents=not-repaired reason=ServiceUnreachable" in caplog.text


def test_whatever_was_raised_becomes_an_incident_and_its_card_is_stored(
    monkeypatch: pytest.MonkeyPatch, receiver: int, connected: Installation
) -> None:
    from tenure.notifications.alerts import FailureNotifier

    connect(monkeypatch, receiver, "200")
    FailureNotifier()(context(SystemExit(1)))
    assert Receiver.got[0][2]["cause"].startswith("Bug or unexpected error: SystemExit: 1")
    assert [card["kind"] for card in cards(connected)] == ["SystemExit"]


@pytest.mark.parametrize("error", [None, "heartbeat timeout"])
def test_a_killed_task_has_one_card_and_one_alert(
    monkeypatch: pytest.MonkeyPatch, receiver: int, watched: Installation, error: object
) -> None:
    """Airflow calls back, then the watchdog finds it: the second one has nothing to say."""
    from tenure.notifications.alerts import FailureNotifier
    from tenure.operators.maintenance import MaintainOperator

    connect(monkeypatch, receiver, "200")
    FailureNotifier()(context(error))
    for _ in range(2):
        MaintainOperator(task_id="maintain").work(watched, MAINTENANCE, {})

    (card,) = cards(watched)
    ((_, _, body),) = Receiver.got
    assert (card["kind"], body["kind"]) == ("Killed", "Killed")
    assert card["what"] == body["cause"]
    assert body["cause"].startswith("Try 1 of 1 of ingest[2] ended without a word")
    assert ("Airflow says: heartbeat timeout" in body["cause"]) is (error is not None)
    (incident,) = standing(watched)
    assert (incident.kind, incident.summary) == ("Killed", card["what"])


def test_a_killed_task_whose_card_cannot_be_stored_is_left_to_the_watchdog(
    monkeypatch: pytest.MonkeyPatch, receiver: int, watched: Installation
) -> None:
    from tenure.notifications.alerts import FailureNotifier
    from tenure.operators.maintenance import MaintainOperator

    connect(monkeypatch, receiver, "200")
    with monkeypatch.context() as away:
        away.setenv("AIRFLOW_CONN_TENURE_DATABASE", NOWHERE)
        FailureNotifier()(context(None))
    assert Receiver.got == []
    MaintainOperator(task_id="maintain").work(watched, MAINTENANCE, {})
    assert [body["kind"] for _, _, body in Receiver.got] == ["Killed"]
    assert [card["kind"] for card in cards(watched)] == ["Killed"]


def test_a_failure_whose_card_cannot_be_stored_is_posted_all_the_same(
    monkeypatch: pytest.MonkeyPatch, receiver: int
) -> None:
    from tenure.notifications.alerts import FailureNotifier

    connect(monkeypatch, receiver, "200")
    monkeypatch.setenv("AIRFLOW_CONN_TENURE_DATABASE", NOWHERE)
    FailureNotifier()(context(failed()))
    assert [body["kind"] for _, _, body in Receiver.got] == ["GateFailed"]


def test_what_a_receiver_does_not_take_is_sent_again_by_maintenance_under_the_same_id(
    monkeypatch: pytest.MonkeyPatch, receiver: int, watched: Installation
) -> None:
    from tenure.notifications.alerts import FailureNotifier
    from tenure.operators.maintenance import MaintainOperator

    connect(monkeypatch, receiver, "500")
    FailureNotifier()(context(None))
    connect(monkeypatch, receiver, "200")
    for _ in range(2):
        MaintainOperator(task_id="maintain").work(watched, MAINTENANCE, {})
    ids = [body["message_id"] for _, _, body in Receiver.got]
    assert [path for path, _, _ in Receiver.got] == ["/500", "/200"]
    assert len(set(ids)) == 1


def test_without_the_connection_nothing_is_sent_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from tenure.notifications.alerts import post

    with caplog.at_level("INFO", logger="tenure.alerts"):
        assert post({"task": "x"}) is False
    assert "reason=no-connection connection=tenure_alerts" in caplog.text


@pytest.mark.parametrize("status", ["199", "302", "404", "500"])
def test_a_receiver_that_refuses_hurts_nobody(
    monkeypatch: pytest.MonkeyPatch, receiver: int, status: str
) -> None:
    from tenure.notifications.alerts import post

    connect(monkeypatch, receiver, status)
    assert post({"task": "x"}) is False


def test_a_receiver_that_is_gone_hurts_nobody_and_its_address_stays_out_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from tenure.notifications.alerts import post

    connect(monkeypatch, 9, "secret-path")
    assert post({"task": "x"}) is False
    assert "alert=lost reason=ServiceUnreachable" in caplog.text
    assert "secret-path" not in caplog.text
    assert "hunter2" not in caplog.text


def test_a_hundred_failures_and_a_killed_task_while_nobody_listens_are_two_alerts_in_all(
    monkeypatch: pytest.MonkeyPatch, receiver: int, watched: Installation
) -> None:
    """The acceptance of T63, over PostgreSQL, the outbox and HTTP: each is delivered once."""
    from tenure.notifications.alerts import FailureNotifier
    from tenure.operators.maintenance import MaintainOperator

    connect(monkeypatch, receiver, "503")
    error = ServiceUnreachable("http://mlflow:5000 is away", still_safe="s", next_step="n")
    for number in range(100):
        found = context(error)
        found["ti"].dag_id, found["ti"].run_id = "flights__ingest_data", f"manual__f{number}"
        FailureNotifier()(found)
    for _ in range(2):  # the watchdog finds the killed one
        MaintainOperator(task_id="maintain").work(watched, MAINTENANCE, {})
    assert {path for path, _, _ in Receiver.got} == {"/503"}
    tried = {body["message_id"] for _, _, body in Receiver.got}
    Receiver.got.clear()

    connect(monkeypatch, receiver, "200")
    for _ in range(3):
        MaintainOperator(task_id="maintain").work(watched, MAINTENANCE, {})
    told = sorted((body["kind"], body["event"]) for _, _, body in Receiver.got)
    assert told == [("Killed", "opened"), ("ServiceUnreachable", "opened")]
    assert {body["message_id"] for _, _, body in Receiver.got} == tried
    assert {one.kind: one.seen for one in standing(watched)} == {
        "Killed": 1,
        "ServiceUnreachable": 100,
    }
