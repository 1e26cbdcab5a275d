"""The robot on call: faults at random; who reads only the page and presses only its buttons.

`make oncall-test`. A real PostgreSQL, store and web server; Airflow is a server that runs a cleared
task at once by calling its use case, as the scheduler would. Owners act when a message asks them.
"""

import json
import os
import random
import re
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oncall_robot import Reading, answer_call
from page_reader import FakeGuard, with_airflow

from tenure.adapters.sql import incidents
from tenure.errors import DataRejected, GateFailed, ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.incidents import actions
from tenure.lifecycle.incidents.actions import CLEAR
from tenure.lifecycle.incidents.failure_card import describe, killed_card
from tenure.lifecycle.serving import CanaryStop
from tenure.settings import Settings
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.incidents.alerts import deliver_alerts
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.failure_cards import repaired, save
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.incidents.outbox import deliver
from tenure.usecases.incidents.remediation import finish, remediate
from tenure.usecases.operations.broken_files import report_configs, report_imports
from tenure.usecases.promotion import approval, traffic
from tenure.usecases.serving.gateway_incidents import GatewayIncidents
from tenure.vocabulary import RunRef, State

pytestmark = [pytest.mark.oncall, pytest.mark.service, pytest.mark.airflow]
MODEL = "flight_late"
ROUNDS, ENOUGH = 20, 18
SEED = "TENURE_ONCALL_SEED"
TINY = """\
name: tiny
description: Numbers for tests.
owner: ada
steward: sam
time_column: at
suite: tiny
source: {settle_seconds: 0}
quality: {max_quarantined: 0.5, min_rows: 1}
contract:
  key: [id]
  columns:
    id: {type: string, nullable: false}
    at: {type: timestamp, nullable: false}
    x: {type: number}
"""
SUITE = {
    "name": "tiny",
    "expectations": [
        {
            "type": "expect_column_values_to_not_be_null",
            "kwargs": {"column": "x", "mostly": 0.9},
            "severity": "critical",
        }
    ],
}


@dataclass
class Airflow:
    """What the API server of Airflow answers; a cleared task runs at once."""

    failed: dict[tuple[str, str], tuple[str, Callable[[], None]]] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    platform: Any = None
    items: dict[tuple[str, str], str] = field(default_factory=dict)

    def clear(self, dag: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody

        asked = ClearTaskInstancesBody.model_validate(body)
        key = (dag, str(asked.dag_run_id))
        if key not in self.failed:
            return []
        task, work = self.failed[key]
        at = next((t[1] for t in asked.task_ids or () if not isinstance(t, str)), -1)
        row = {"task_id": task, "map_index": at, "state": "failed", "try_number": 1}
        if not asked.dry_run:
            self._run(key, RunRef(*key, task, at), work)
        return [row | {"max_tries": 2}]

    def _run(self, key: tuple[str, str], run: RunRef, work: Callable[[], None]) -> None:
        item = self.items.get(key, "")
        try:
            work()
        except Exception as error:  # its card, as the operator stores it
            card = describe(error, dataset="tiny" if item else None, owner="ada")
            save(self.platform, card, run, item=item)
            return
        del self.failed[key]
        repaired(self.platform, run, item=item)


@pytest.fixture
def airflow() -> Iterator[tuple[Airflow, str]]:
    kept = Airflow()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Authorization"] == "Bearer token"
            dag = self.path.split("/")[4]
            self._say({"task_instances": kept.clear(dag, body)})

        def do_GET(self) -> None:
            rows = [{"filename": n, "stack_trace": s} for n, s in kept.imports.items()]
            self._say({"import_errors": rows})

        def _say(self, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield kept, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def settings(settings: Settings, airflow: tuple[Airflow, str]) -> Settings:
    return replace(settings, airflow_url=airflow[1])


@dataclass
class Ward:
    """The installation on which faults are injected; `owner_acts` when a message asks."""

    life: Any
    airflow: Airflow
    receiver: Any
    count: int = 0
    owner_acts: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)

    @property
    def platform(self) -> Installation:
        found: Installation = self.life.platform
        return found

    def send(self, body: Mapping[str, object], *, message_id: str) -> None:
        """The receiver of alerts: hands questions to their owner."""
        if body["event"] == "asked":
            self.asked.append(str(body["owner"]))
            self.owner_acts()

    def run(self, dag: str, task: str, map_index: int = -1) -> RunRef:
        self.count += 1
        return RunRef(dag, f"manual__{self.count}", task, map_index)

    def fail(self, run: RunRef, error: Exception, work: Callable[[], None], item: str = "") -> None:
        card = describe(error, dataset="tiny" if item else None, owner="ada")
        self.red(run, card, work, item)

    def red(self, run: RunRef, card: Any, work: Callable[[], None], item: str = "") -> None:
        key = (run.dag_id, run.run_id)
        self.airflow.failed[key] = (run.task_id, work)
        self.airflow.items[key] = item
        save(self.platform, card, run, item=item)

    def drop(self, name: str, xs: list[float | None]) -> str:
        path = self.platform.settings.home / "store/landing/tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        start = 1_400_000_000_000_000 + self.count * 10_000
        at = pa.array([start + i for i in range(len(xs))], pa.timestamp("us", "UTC"))
        ids = [f"{name}-{i}" for i in range(len(xs))]
        table = pa.table({"x": pa.array(xs, pa.float64()), "at": at, "id": ids})
        draft = path.with_name(f".{name}")
        pq.write_table(table, draft)
        draft.rename(path)
        return f"landing/tiny/{name}"

    def canary(self) -> Any:
        version = self.life.approved()
        policy = approval.load_model(self.platform.settings.include, MODEL)[0].canary
        traffic.start_canary(self.platform, version.id, policy, actor="test")
        return self.life.now(version)

    def open(self) -> list[Any]:
        with self.platform.database.begin() as connection:
            return [one for one in incidents.unclosed(connection) if one.state == "open"]

    def settle(self) -> None:
        """Close whatever is left, and say of the gravest that their cause is remedied."""
        for left in self.open():
            close_incident(self.platform, left.dedupe_key)
        with self.platform.database.begin() as connection:
            restored = incidents.unclosed(connection)
        today = self.platform.clock.now().date()
        for one in restored:
            said = {"user": "olga", "action": "none", "owner": "olga", "due": today}
            remediate(self.platform, one.id, **said)
            finish(self.platform, one.id, user="olga", note="none")


@dataclass(frozen=True)
class Truth:
    """What was injected: what the page must say of it, and when it is truly over."""

    cause: str
    safe: str
    next_step: str
    is_well: Callable[[], bool]


def taken(ward: Ward) -> bool:
    return ingestion(ward.platform, "tiny").discover() == []


def killed(ward: Ward) -> Truth:
    run = ward.run("tiny__ingest_data", "ingest", 0)
    key = ward.drop(f"k{ward.count}.parquet", [1.0, 2.0])
    work = lambda: ingestion(ward.platform, "tiny").ingest(key, run)  # noqa: E731
    ward.red(run, killed_card(run, owner="ada"), work, key)
    words = ("without a word: it was killed", "happened whole or not at all", "clear this task")
    return Truth(*words, lambda: taken(ward))


def rejected(ward: Ward) -> Truth:
    run = ward.run("tiny__ingest_data", "ingest", 0)
    name = f"r{ward.count}.parquet"
    key = ward.drop(name, [None, 1.0, 2.0])

    def work() -> None:
        ingestion(ward.platform, "tiny").ingest(key, run)

    with pytest.raises(DataRejected) as found:
        work()
    ward.owner_acts = lambda: ward.drop(name, [1.0, 2.0, 3.0]) and None
    ward.fail(run, found.value, work, key)
    return Truth(
        "1 of 3",
        "Nothing of this batch was published",
        "drop the repaired file",
        lambda: taken(ward),
    )


def unreachable(ward: Ward) -> Truth:
    error = ServiceUnreachable(
        f"MLflow at http://mlflow-{ward.count} gave no answer in 20 s.",
        still_safe="Serving does not need MLflow.",
        next_step="Bring it back, then clear the task.",
    )
    ward.fail(ward.run(f"{MODEL}__train_model", "train"), error, lambda: None)
    return Truth("gave no answer in 20 s", "Serving does not need MLflow", "clear", lambda: True)


def bug(ward: Ward) -> Truth:
    ward.fail(ward.run(f"{MODEL}__train_model", "evaluate"), KeyError("temp"), lambda: None)
    words = ("KeyError: 'temp'", "Gateways keep serving", "Clear the task once")
    return Truth(*words, lambda: True)


def many(ward: Ward) -> Truth:
    for _ in range(30):
        ward.fail(ward.run(f"{MODEL}__monitor_model", "monitor"), OSError("disk"), lambda: None)
    return Truth("OSError: disk", "nothing is half done", "Clear the task once", lambda: True)


def gate(ward: Ward) -> Truth:
    mended: list[bool] = []
    ward.owner_acts = lambda: mended.append(True)
    error = GateFailed(
        "roc_auc is 0.58, at least 0.60 is asked.",
        still_safe="The champion serves 100%.",
        next_step="Ask the owner; clear the task after the data are right.",
    )

    def work() -> None:
        if not mended:
            raise error

    ward.fail(ward.run(f"{MODEL}__train_model", "evaluate"), error, work)
    words = ("0.58, at least 0.60", "champion serves 100%", "Ask the owner")
    return Truth(*words, lambda: bool(mended))


def config(ward: Ward) -> Truth:
    path = ward.platform.settings.configs / "models" / f"{MODEL}.yaml"
    right = path.read_text(encoding="utf-8")
    path.write_text(right + "nonsense: 1\n", encoding="utf-8")
    ward.owner_acts = lambda: path.write_text(right, encoding="utf-8") and None
    report_configs(ward.platform)
    words = ("nonsense", "keep its last valid form", "Correct the lines")
    return Truth(*words, lambda: report_configs(ward.platform).broken == 0)


def dag_file(ward: Ward) -> Truth:
    ward.airflow.imports = {"dags/own.py": "ImportError: no module named y"}

    class Seen:
        def import_errors(self) -> dict[str, str]:
            return dict(ward.airflow.imports)

    report_imports(ward.platform, Seen())
    ward.airflow.imports = {}  # somebody mended it meanwhile
    words = ("no module named y", "Other files are not affected", "mend the file")
    return Truth(*words, lambda: True)


def receiver_down(ward: Ward) -> Truth:
    ward.receiver.answers.append(503)
    ward.count += 1
    body = {"webhook": ward.receiver.url, "consumer": "desk"}
    with ward.platform.database.begin() as connection:
        ward.platform.ledger.enqueue(
            connection, topic="notice", body=body, op_key=f"m{ward.count}" * 9
        )
    before = len(ward.receiver.ids)
    deliver(ward.platform)
    words = ("answered 503", "stays in the outbox", "ask the owner of the receiver")
    return Truth(*words, lambda: len(ward.receiver.ids) == before + 2)


def of_canary(kind: str, cause: str, safe: str, step: str) -> Callable[[Ward], Truth]:
    def inject(ward: Ward) -> Truth:
        version = ward.canary()
        gateway = GatewayIncidents(ward.platform, "g1")
        gateway.report_failure(MODEL, version.version, kind, cause)
        over = lambda: ward.life.now(version).state is State.ROLLED_BACK  # noqa: E731
        return Truth(cause, safe, step, over)

    return inject


def stopped(ward: Ward) -> Truth:
    version = ward.canary()
    GatewayIncidents(ward.platform, "g1").stop_canary(
        CanaryStop(MODEL, version.version, version.id, "desk", "odd", ward.platform.clock.now())
    )
    over = lambda: ward.life.now(version).state is State.ROLLED_BACK  # noqa: E731
    return Truth("was stopped at gateway g1", "the champion answers", "roll", over)


def monitored(kind: str, cause: str) -> Callable[[Ward], Truth]:
    def inject(ward: Ward) -> Truth:
        version = ward.life.promoted()
        open_incident(
            ward.platform,
            f"monitoring:{MODEL}:{kind}",
            f"{kind}_failed",
            version.name,
            cause,
            facts={"model": MODEL},
        )
        over = lambda: ward.life.now(version).state is State.ROLLED_BACK  # noqa: E731
        return Truth(cause, "serves as before", "roll", over)

    return inject


def asked(  # noqa: PLR0917 -- a row of the table
    kind: str, key: str, subject: str, cause: str, safe: str, step: str
) -> Any:
    """What only its owner can end: asked, the owner does, and what watches sees that it is over."""

    def inject(ward: Ward) -> Truth:
        done: list[bool] = []

        def owner() -> None:
            done.append(True)
            close_incident(ward.platform, key)

        ward.owner_acts = owner
        open_incident(ward.platform, key, kind, subject, cause, facts={"owner": "sam"})
        return Truth(cause, safe, step, lambda: bool(done))

    return inject


def unread(ward: Ward) -> Truth:
    folder = ward.platform.settings.home / "store/landing/tiny"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "x.parquet"
    link.symlink_to("/nowhere")

    def owner() -> None:
        link.unlink(missing_ok=True)
        ingestion(ward.platform, "tiny").discover()

    ward.owner_acts = owner
    ingestion(ward.platform, "tiny").discover()
    words = ("1 things in landing/tiny/", "Batches beside them are taken", "steward removes")
    return Truth(*words, lambda: not link.is_symlink())


FAULTS: dict[str, Callable[[Ward], Truth]] = {
    "killed task": killed,
    "rejected batch": rejected,
    "service away": unreachable,
    "bug": bug,
    "thirty tasks, one cause": many,
    "gate": gate,
    "broken config": config,
    "broken DAG file": dag_file,
    "receiver down": receiver_down,
    "canary crashes": of_canary("model_crashed", "signal 11", "Every request is answered", "roll"),
    "canary does not load": of_canary("artifact_refused", "SHA-256", "who served before", "roll"),
    "canary stopped at a gateway": stopped,
    "quality down": monitored("performance", "log loss 0.81 against 0.60 (35% worse)"),
    "group treated worse": monitored("fairness", "selection rate 0.31 against 0.52"),
    "drift": asked(
        "drift_failed",
        f"monitoring:{MODEL}:drift",
        MODEL,
        "temp PSI 2.1",
        "serves as before",
        "ask",
    ),
    "partly usable batch": asked(
        "partly_usable", "partly_usable:tiny", "tiny", "lost x", "batch is published", "Ask"
    ),
    "authorization ended": asked(
        "authorization_ended", f"authorization:{MODEL}", MODEL, "ended at", "answered", "renew"
    ),
    "links in landing": unread,
}


@dataclass
class Score:
    """How the robot did at one fault."""

    fault: str
    is_back: bool
    reads_right: bool
    """What the page says of cause, safe and next step is what was injected."""
    reading: Reading | None
    seconds: float

    @property
    def line(self) -> str:
        """For the report; with all that was read where it is not right."""
        pressed = self.reading.pressed if self.reading else []
        said = f"{self.fault}: back={self.is_back} read={self.reads_right} pressed={pressed}"
        return said if self.reads_right else f"{said}\n  {self.reading}"


@pytest.fixture
def ward(world: Callable[..., Any], airflow: tuple[Airflow, str], receiver: Any) -> Ward:
    life = world()
    include: Path = life.platform.settings.include
    people = include / "configs" / "platform.yaml"
    people.write_text(people.read_text() + "  steward: [sam]\nwebhook_hosts: [127.0.0.1]\n")
    (include / "configs/datasets/tiny.yaml").write_text(TINY)
    (include / "expectations/tiny.json").write_text(json.dumps(SUITE))
    airflow[0].platform = life.platform
    found = Ward(life, airflow[0], receiver)
    life.champion()
    return found


@pytest.fixture
def http(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the real application behind a real server; olga is logged in."""
    import httpx
    import uvicorn
    from airflow.api_fastapi.common.db.common import _get_session
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import FastAPI

    from tenure.web import app, security
    from tenure.web import incidents as pages

    monkeypatch.setattr(app, "platform", lambda: ward.platform)
    monkeypatch.setattr(pages, "send_alerts", lambda found: deliver_alerts(found, ward))
    with_airflow(monkeypatch)
    built, outer = app.build(), FastAPI()
    built.dependency_overrides |= {
        get_user: lambda: "reader",
        security.Guard: FakeGuard,
        _get_session: lambda: None,
    }
    outer.mount("/tenure", built)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(outer, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        headers = {"Authorization": "Bearer token"}
        with httpx.Client(base_url=url, headers=headers, timeout=120) as client:
            yield client
        server.should_exit = True
        thread.join(20)


def meet(ward: Ward, http: Any, fault: str) -> Score:
    """Inject, let the robot work, judge by what is true; then clean up whatever it left."""
    ward.owner_acts = lambda: None
    truth = FAULTS[fault](ward)
    began = time.monotonic()
    readings = answer_call(http)
    seconds = time.monotonic() - began
    is_back = ward.open() == [] and truth.is_well() and violations(ward) == []
    right = len(readings) == 1 and is_right(readings[0], truth)
    ward.owner_acts()
    ward.settle()
    ward.airflow.failed.clear()
    return Score(fault, is_back, right, readings[0] if readings else None, seconds)


def violations(ward: Ward) -> list[str]:
    found = verify_ledger(ward.platform, invariants=True)
    return [str(one) for one in found.invariants if one.breaches] + (
        [str(found.broken)] if found.broken else []
    )


def is_right(reading: Reading, truth: Truth) -> bool:
    pairs = (
        (reading.cause, truth.cause),
        (reading.safe, truth.safe),
        (reading.next_step, truth.next_step),
    )
    return all(re.search(re.escape(words), text, re.IGNORECASE) for text, words in pairs)


@pytest.mark.timeout(900)
def test_the_robot_brings_it_back_from_the_page_alone(ward: Ward, http: Any) -> None:
    seed = int(os.environ.get(SEED) or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)
    names = [*FAULTS, *dice.choices([*FAULTS], k=ROUNDS - len(FAULTS))]
    dice.shuffle(names)
    scores = [meet(ward, http, name) for name in names]
    back = sum(one.is_back for one in scores)
    read = sum(one.reads_right for one in scores)
    median = statistics.median(one.seconds for one in scores)
    lines = [one.line for one in scores]
    said = f"{SEED}={seed}: {back} of {ROUNDS} back, {read} read right, median {median:.1f} s"
    sys.stdout.write("\n".join(["", *lines, said, ""]))
    assert back >= ENOUGH
    assert read == ROUNDS


def test_without_a_button_it_does_not(
    ward: Ward, http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The robot can fail: what its score rests on is the button, not the test around it."""
    less = {kind: tuple(a for a in row if a is not CLEAR) for kind, row in actions.ACTIONS.items()}
    monkeypatch.setattr(actions, "ACTIONS", less)
    monkeypatch.setattr(actions, "_TASK", tuple(a for a in actions._TASK if a is not CLEAR))
    scores = [meet(ward, http, name) for name in ("killed task", "bug", "receiver down")]
    assert [one.is_back for one in scores] == [False, False, True]
