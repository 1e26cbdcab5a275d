"""Answers as Airflow 3.3 gives them, from a small server; the end-to-end test asks the real one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from tenure.adapters.airflow_rest import AirflowRest
from tenure.errors import NotPermitted, ServiceUnreachable, StateConflict

SINCE = datetime(2026, 11, 22, tzinfo=UTC)


@dataclass
class Server:
    """What the API answers with."""

    url: str = ""
    failed: int = 0
    active: int = 0
    status: int = 200
    login_status: int = 201
    paused: bool = False
    pools: int = 1
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    started: list[dict[str, object]] = field(default_factory=list)

    def answer(self, path: str, query: dict[str, list[str]]) -> dict[str, object]:
        self.queries.append(query)
        if path == "/api/v2/dags/~/dagRuns/~/taskInstances":
            start, most = int(query["offset"][0]), int(query["limit"][0])
            numbers = range(start, min(start + most, self.failed))
            return {"task_instances": [task(n) for n in numbers], "total_entries": self.failed}
        if path == "/api/v2/dags/m__train_model":
            return {"is_paused": self.paused}
        if path == "/api/v2/dags/m__train_model/dagRuns/r":
            return {"state": "running"}
        if path == "/api/v2/dags/m__train_model/dagRuns/r/taskInstances":
            start = int(query["offset"][0])
            numbers = range(start, min(start + 100, self.failed))
            return {"task_instances": [mapped(n) for n in numbers]}
        return self.whole(path, query)

    def whole(self, path: str, query: dict[str, list[str]]) -> dict[str, object]:
        if path == "/api/v2/importErrors":
            error = {"import_error_id": 1, "filename": "dags/a.py", "stack_trace": "KeyError: 'x'"}
            return {"import_errors": [error], "total_entries": 1}
        if path == "/api/v2/pools":
            start = int(query["offset"][0])
            numbers = range(start, min(start + int(query["limit"][0]), self.pools))
            return {"pools": [{"name": f"pool{n}", "slots": n - 1} for n in numbers]}
        assert path == "/api/v2/dags/m__train_model/dagRuns"
        return {"dag_runs": [{}] * min(self.active, 1)}


def task(number: int) -> dict[str, object]:
    return {
        "dag_id": "m__train_model",
        "dag_run_id": f"r{number}",
        "task_id": "train",
        "map_index": -1,
        "end_date": "2026-11-22T02:24:19.888768Z" if number else None,
        "try_number": 3,
    }


def mapped(number: int) -> dict[str, object]:
    label = f"landing/m/{number}.csv" if number else None
    told = {"state": "running", "max_tries": 2, "rendered_map_index": label}
    return task(number) | {"map_index": number - 1} | told


@pytest.fixture
def server() -> Iterator[Server]:
    kept = Server()

    class Handler(BaseHTTPRequestHandler):
        def reply(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            login = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/auth/token":
                kept.started.append(login)
                self.reply(kept.status, {"dag_run_id": "r"})
                return
            assert login == {"username": "watchdog", "password": "secret"}
            self.reply(kept.login_status, {"access_token": "t"})

        def do_GET(self) -> None:
            assert self.headers["Authorization"] == "Bearer t"
            parts = urlsplit(self.path)
            self.reply(kept.status, kept.answer(parts.path, parse_qs(parts.query)))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        kept.url = f"http://127.0.0.1:{http.server_address[1]}"
        Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield kept
        http.shutdown()


def reader(server: Server) -> AirflowRest:
    return AirflowRest(server.url, "watchdog", "secret", timeout_seconds=5)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_every_page_is_read(server: Server, count: int) -> None:
    server.failed = count
    found = reader(server).failed_tasks(SINCE)
    assert [one.run_id for one in found] == [f"r{n}" for n in range(count)]


def test_a_task_as_it_is_reported(server: Server) -> None:
    server.failed = 2
    without_end, told = reader(server).failed_tasks(SINCE)
    assert without_end.ended_at is None
    assert told.key == ("m__train_model", "r1", "train", -1)
    assert told.ended_at == datetime(2026, 11, 22, 2, 24, 19, 888768, tzinfo=UTC)
    assert told.tries == 3
    assert server.queries[0]["state"] == ["failed"]
    assert server.queries[0]["end_date_gte"] == ["2026-11-22T00:00:00+00:00"]


def test_no_more_are_read_than_asked_for(server: Server) -> None:
    server.failed = 1_000
    assert len(reader(server).failed_tasks(SINCE, most=200)) == 200


def test_why_files_are_not_imported(server: Server) -> None:
    assert reader(server).import_errors() == {"dags/a.py": "KeyError: 'x'"}


@pytest.mark.parametrize("count", [1, 100, 101])
def test_slots_of_all_pools(server: Server, count: int) -> None:
    server.pools = count
    assert reader(server).pools() == {f"pool{n}": n - 1 for n in range(count)}


@pytest.mark.parametrize(("active", "found"), [(0, False), (1, True), (5, True)])
def test_whether_a_dag_runs(server: Server, active: int, found: bool) -> None:
    server.active = active
    assert reader(server).has_active_run("m__train_model") is found
    assert server.queries[0]["state"] == ["queued", "running"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_needs_a_person(server: Server, status: int) -> None:
    server.login_status = status
    with pytest.raises(NotPermitted, match=f"refuses the login of watchdog \\({status}\\)"):
        reader(server).failed_tasks(SINCE)


def test_what_is_down_can_be_tried_again(server: Server) -> None:
    server.status = 500
    with pytest.raises(ServiceUnreachable, match="500 at /dags/~"):
        reader(server).failed_tasks(SINCE)
    server.login_status = 503
    with pytest.raises(ServiceUnreachable, match="503 at login"):
        reader(server).has_active_run("m__train_model")
    with pytest.raises(ServiceUnreachable, match="ConnectError at login"):
        AirflowRest("http://127.0.0.1:9", "u", "p").failed_tasks(SINCE)


def test_a_run_is_started_and_looked_at(server: Server) -> None:
    server.failed = 101
    with reader(server).session() as session:
        assert session.trigger("m__train_model", {"reason": "why"}) == "r"
        assert session.run_state("m__train_model", "r") == "running"
        tasks = session.tasks("m__train_model", "r")
    assert server.started == [{"logical_date": None, "conf": {"reason": "why"}}]
    assert [t.name for t in tasks[:2]] == ["train", "train landing/m/1.csv"]
    assert len(tasks) == 101
    assert (tasks[1].state, tasks[1].tries, tasks[1].max_tries) == ("running", 3, 2)


def test_a_paused_dag_is_not_started(server: Server) -> None:
    server.paused = True
    with (
        reader(server).session() as session,
        pytest.raises(StateConflict, match="m__train_model is paused"),
    ):
        session.trigger("m__train_model", {})
    assert server.started == []


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (403, NotPermitted, "does not let watchdog do this with m__train_model"),
        (404, StateConflict, "has no DAG m__train_model"),
        (500, ServiceUnreachable, "500 at /dags/m__train_model"),
    ],
)
def test_a_run_that_cannot_be_started(
    server: Server, status: int, error: type[Exception], words: str
) -> None:
    server.status = status
    with reader(server).session() as session, pytest.raises(error, match=words):
        session.trigger("m__train_model", {})


@pytest.mark.parametrize(("status", "there"), [(200, True), (404, False), (500, True)])
def test_whether_there_is_a_dag(server: Server, status: int, there: bool) -> None:
    server.status = status
    with reader(server).session() as session:
        assert session.has("m__train_model") == there


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(AirflowRest("http://x", "watchdog", "secret"))
