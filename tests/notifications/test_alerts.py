"""Notices reach a real receiver, and no receiver can hurt a task."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tenure.errors import GateFailed

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


def failed() -> GateFailed:
    return GateFailed("2 of 14 failed", still_safe="Training.", next_step="Open the report.")


def test_a_failure_is_posted_whole(monkeypatch: pytest.MonkeyPatch, receiver: int) -> None:
    from tenure.notifications.alerts import FailureNotifier

    connect(monkeypatch, receiver, "hooks/200")
    FailureNotifier()(context(failed()))
    ((path, authorization, body),) = Receiver.got
    assert (path, authorization) == ("/hooks/200", "Bearer hunter2")
    assert body == {
        "dag": "flights__ingest_data",
        "run": "manual__1",
        "task": "ingest",
        "map_index": 2,
        "kind": "GateFailed",
        "cause": "2 of 14 failed",
        "still_safe": "Training.",
        "next_step": "Open the report.",
        "owner": "",
        "url": "http://airflow/log",
    }


def test_the_card_of_the_operator_is_taken_over(
    monkeypatch: pytest.MonkeyPatch, receiver: int
) -> None:
    from tenure.notifications.alerts import FailureNotifier
    from tenure.operators.base import TaskFailed
    from tenure.usecases.incidents.failure_cards import describe

    connect(monkeypatch, receiver, "200")
    error = TaskFailed("short", describe(failed(), owner="ada", log_url="http://airflow/own"))
    FailureNotifier()(context(error))
    ((_, _, body),) = Receiver.got
    assert (body["owner"], body["cause"], body["url"]) == (
        "ada",
        "2 of 14 failed",
        "http://airflow/own",
    )


@pytest.mark.parametrize("error", [None, "killed", SystemExit(1)], ids=["none", "text", "exit"])
def test_whatever_was_raised_becomes_a_notice(
    monkeypatch: pytest.MonkeyPatch, receiver: int, error: object
) -> None:
    from tenure.notifications.alerts import FailureNotifier

    connect(monkeypatch, receiver, "200")
    FailureNotifier()(context(error))
    assert Receiver.got[0][2]["cause"].startswith("Bug or unexpected error")


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
    assert "alert=lost reason=ConnectError" in caplog.text
    assert "secret-path" not in caplog.text
    assert "hunter2" not in caplog.text
