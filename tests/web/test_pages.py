"""The pages as a browser gets them, over a real lifecycle database."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bad_texts import BAD_REASONS
from markupsafe import escape
from page_reader import FakeGuard

from tenure.errors import CanaryRolledBack, GateFailed
from tenure.installation import Installation
from tenure.layout import drawn_key
from tenure.lifecycle.incidents.failure_card import describe
from tenure.usecases.incidents import failure_cards
from tenure.verdicts import Verdict
from tenure.views.tasks import TaskStatus
from tenure.vocabulary import RunRef
from tenure.web.rendering import moment

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow

RUN = RunRef("flight_late__train_model", "manual__2026-01-01T00:00:00+00:00", "evaluate")
CARD = "/card?dag=flight_late__train_model&run=manual__2026-01-01T00:00:00%2B00:00&task=evaluate"
NASTY = '<script>document.title="owned"</script>'


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Say what Airflow knows about the task."""
    from tenure.web import app

    def say(task: TaskStatus | None) -> None:
        monkeypatch.setattr(app, "task_status", lambda *_: task)

    say(None)
    return say


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/card?dag=a&run=b&task=c",
        "/dataset/flights",
        f"/dataset/flights/snapshot/{'a' * 64}",
        "/dataset/flights/workbench",
        "/incident/1",
        "/model/flight_late",
        "/model/flight_late/canary",
        "/model/flight_late/decisions",
        "/model/flight_late/feedback",
        "/model/flight_late/monitoring",
        "/model/flight_late/version/2",
        "/model/flight_late/version/2/approval",
        "/model/flight_late/version/2/evidence.json",
        "/model/flight_late/version/2/lineage",
        f"/report/{'a' * 64}",
        f"/report/{'a' * 64}/drawn",
        "/promise",
        "/reviews",
        "/runbook",
        "/static/tenure.css",
    ],
)
def test_nothing_is_reported_without_a_login(built: FastAPI, path: str) -> None:
    from fastapi.testclient import TestClient

    with TestClient(built) as http:
        assert http.get(path).status_code == 401


def test_the_table_above_holds_every_route(built: FastAPI) -> None:
    paths = sorted(route.path for route in built.routes)  # type: ignore[attr-defined]
    assert paths == [
        "/",
        "/card",
        "/dataset/{name}",
        "/dataset/{name}/snapshot/{digest}",
        "/dataset/{name}/workbench",
        "/dataset/{name}/workbench/note",
        "/dataset/{name}/workbench/preview",
        "/dataset/{name}/workbench/proposal/{number}/preview",
        "/dataset/{name}/workbench/proposal/{number}/{act}",
        "/dataset/{name}/workbench/propose",
        "/dataset/{name}/workbench/quarantine/{judgement}/{cause}/do/{act}",
        "/dataset/{name}/workbench/quarantine/{judgement}/{cause}/plan/{act}",
        "/dataset/{name}/workbench/quarantine/{judgement}/{cause}/rows.csv",
        "/dataset/{name}/workbench/release/{number}/{act}",
        "/dataset/{name}/workbench/{act}",
        "/incident/{number}",
        "/incident/{number}/acknowledge",
        "/incident/{number}/close",
        "/incident/{number}/do/{action}",
        "/incident/{number}/plan/{action}",
        "/incident/{number}/remediate",
        "/incident/{number}/remediated/{entry}",
        "/incident/{number}/snooze",
        "/model/{name}",
        "/model/{name}/canary",
        "/model/{name}/canary/{number}/do/roll_back",
        "/model/{name}/canary/{number}/plan/roll_back",
        "/model/{name}/decisions",
        "/model/{name}/feedback",
        "/model/{name}/feedback",
        "/model/{name}/monitoring",
        "/model/{name}/version/{number}",
        "/model/{name}/version/{number}/approval",
        "/model/{name}/version/{number}/evidence.json",
        "/model/{name}/version/{number}/lineage",
        "/promise",
        "/report/{digest}",
        "/report/{digest}/drawn",
        "/reviews",
        "/reviews/{decision_id}/answer",
        "/reviews/{decision_id}/claim",
        "/runbook",
        "/static/{name}",
    ]


@pytest.mark.parametrize("act", ["acknowledge", "snooze", "close", "remediate", "remediated/1"])
def test_nobody_acts_on_an_incident_without_a_login(built: FastAPI, act: str) -> None:
    from fastapi.testclient import TestClient

    with TestClient(built) as http:
        assert http.post(f"/incident/1/{act}", json={}).status_code == 401


@pytest.mark.parametrize("act", ["claim", "answer"])
def test_nobody_acts_without_a_login(built: FastAPI, act: str) -> None:
    from fastapi.testclient import TestClient

    with TestClient(built) as http:
        assert http.post(f"/reviews/x/{act}", json={"decision": True}).status_code == 401


@pytest.fixture
def waiting(make_life: Callable[..., Any], platform: Installation) -> str:
    """One decision that a person has to look at."""
    from tenure.adapters.sql import reviews

    life = make_life(platform).whole()
    row = {
        "decision_id": "01234567-89ab-7cde-8f01-23456789abcd",
        "model": "flight_late",
        "version": 2,
        "subject": "f" * 32,
        "score": 0.51,
        "decision": True,
        "confidence": 0.51,
        "fallback_level": "model",
        "reason": NASTY,
        "received_at": life.now,
        "expires_at": life.now + timedelta(hours=1),
    }
    with platform.database.begin() as connection:
        reviews.add(connection, [row])
    log(platform, row)
    return str(row["decision_id"])


def log(platform: Installation, row: dict[str, Any]) -> None:
    """The decision in the log, as a gateway ships it."""
    from tenure.adapters.decision_tables import DECISION_FIELDS, decisions_to_parquet
    from tenure.lifecycle.decisions.decision_log import micros, partition

    at = micros(row["received_at"])
    known = row | {"received_at": at, "event_time": at, "f_carrier": "AA", "f_temp": None}
    names = (*DECISION_FIELDS, "f_carrier", "f_temp")
    columns = {name: [known.get(name)] for name in names}
    platform.store.put(
        f"{partition('decisions', row['model'], at)}/gw-1.parquet",
        decisions_to_parquet(columns, numeric=["temp"], categorical=["carrier"]),
    )


def test_a_waiting_decision_is_claimed_and_answered_on_its_page(
    client: TestClient, waiting: str
) -> None:
    assert "1 decision waits for a person" in client.get("/").text
    before = client.get("/reviews").text
    assert waiting in before
    assert 'data-act="claim"' in before
    assert NASTY not in before
    assert client.post(f"/reviews/{waiting}/claim", json={}).json()["state"] == "claimed"
    mine = client.get("/reviews").text
    assert 'data-act="answer"' in mine
    assert "<dt>carrier</dt><dd>AA</dd>" in mine
    assert "<dt>temp</dt><dd>unknown</dd>" in mine
    said = client.post(f"/reviews/{waiting}/answer", json={"decision": False, "note": "seen"})
    assert (said.status_code, said.json()["state"]) == (200, "answered")
    assert "Nothing waits" in client.get("/reviews").text


def test_one_of_several_classes_is_answered_with_a_class(
    client: TestClient, waiting: str, platform: Installation
) -> None:
    from tenure.adapters.sql import reviews

    with platform.database.begin() as connection:
        row = vars(reviews.find(connection, waiting))
        other = waiting[:-1] + "e"
        kept = {name: row[name] for name in row if not name.startswith(("answer", "claim", "note"))}
        of_classes = {"decision_id": other, "version": 99, "decision": None, "predicted": "<low>"}
        reviews.add(connection, [kept | of_classes])
    client.post(f"/reviews/{other}/claim", json={})
    assert '<option value="&lt;low&gt;" selected>' in client.get("/reviews").text
    for wrong in (True, "high", "", 3):
        said = client.post(f"/reviews/{other}/answer", json={"decision": wrong})
        assert said.status_code == 422
    said = client.post(f"/reviews/{other}/answer", json={"decision": "<low>"})
    assert (said.status_code, said.json()["state"]) == (200, "answered")


@pytest.mark.parametrize("kind", ["nul", "override", "surrogate", "escape", "long"])
def test_a_note_that_cannot_be_kept_is_refused(client: TestClient, waiting: str, kind: str) -> None:
    text, said = BAD_REASONS[kind]
    client.post(f"/reviews/{waiting}/claim", json={})
    body = json.dumps({"decision": False, "note": text})
    answer = client.post(
        f"/reviews/{waiting}/answer", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "note")
    if kind != "surrogate":  # pydantic itself says that it is no text
        assert said.replace("1 to 500", "1 to 2,000") in answer.json()["error"]
    assert 'data-act="answer"' in client.get("/reviews").text


@pytest.mark.parametrize("field", ["dag", "run", "task", "map_index"])
@pytest.mark.parametrize("text", ["%00", "a%E2%80%AEb", "x" * 257], ids=["nul", "turn", "long"])
def test_a_card_of_no_name_is_refused(client: TestClient, field: str, text: str) -> None:
    named = {"dag": "a", "run": "b", "task": "c"} | {field: text}
    query = "&".join(f"{name}={value}" for name, value in named.items())
    answer = client.get(f"/card?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    "path", ["/model/%00", "/dataset/a%00", "/report/%00", "/report/%00/drawn"]
)
def test_a_page_of_no_name_is_absent(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_foreign_form_cannot_act(client: TestClient, waiting: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"content-type": kind}
        answer = client.post(f"/reviews/{waiting}/claim", content="{}", headers=headers)
        assert answer.status_code in {415, 422}
    assert 'data-act="claim"' in client.get("/reviews").text


@pytest.mark.parametrize(("who", "status"), [("vera claim", 403), ("olga answer", 409)])
def test_a_refused_act_says_why_and_what_next(
    client: TestClient,
    waiting: str,
    monkeypatch: pytest.MonkeyPatch,
    who: str,
    status: int,
) -> None:
    user, act = who.split()
    monkeypatch.setattr(FakeGuard, "user", user)
    answer = client.post(f"/reviews/{waiting}/{act}", json={"decision": True, "note": ""})
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "still_safe", "next_step"}


def test_reviews_of_hidden_models_are_not_shown(
    client: TestClient, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"flight_late__train_model"}))
    assert waiting not in client.get("/reviews").text
    for act in ("claim", "answer"):
        answer = client.post(f"/reviews/{waiting}/{act}", json={"decision": True, "note": ""})
        assert answer.status_code == 403


def test_what_is_hidden_takes_no_place_on_the_page(
    client: TestClient, platform: Installation, waiting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 decisions of a hidden model expire first, 150 more of ours just before the one."""
    from tenure.adapters.sql import reviews, versions

    with platform.database.begin() as connection:
        versions.register_model(
            connection, name="hidden", owner="ada", risk_tier="limited", purpose="tests"
        )
        row = reviews.find(connection, waiting)
        assert row is not None
        for model in ("hidden", "flight_late"):
            early = [
                asdict(row)
                | {"decision_id": f"{model}-{n}", "model": model}
                | {"expires_at": row.expires_at - timedelta(minutes=30)}
                for n in range(150)
            ]
            reviews.add(connection, early)
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"hidden__train_model"}))
    text = client.get("/reviews").text
    assert "hidden-1" not in text
    assert text.count("<code>flight_late-") == 100
    assert "These are 100 of 151: those that you hold, then those that expire first." in text
    assert waiting not in text
    assert client.post(f"/reviews/{waiting}/claim", json={}).status_code == 200
    assert waiting in client.get("/reviews").text


@pytest.mark.parametrize(
    ("decision_id", "note"),
    [("a%00b", ""), ("01234567-89ab-7cde-8f01-23456789abcd", "a\x00b")],
)
def test_what_no_text_column_holds_is_refused(
    client: TestClient, waiting: str, decision_id: str, note: str
) -> None:
    assert client.post(f"/reviews/{waiting}/claim", json={}).status_code == 200
    body = {"decision": True, "note": note}
    assert client.post(f"/reviews/{decision_id}/answer", json=body).status_code == 422


def test_an_empty_installation_says_what_to_do_next(client: TestClient) -> None:
    text = client.get("/").text
    assert "No model is known yet. Write <code>include/configs/models/" in text
    assert "drop a file into <code>landing/" in text


def test_the_overview_shows_state_share_verdicts_and_incidents(
    client: TestClient, life: Any
) -> None:
    life.whole()
    text = client.get("/").text
    for words in (
        'href="/tenure/model/flight_late"',
        "version 2",
        "version 3</a> at 50%",
        "monitoring of drift: failed</a>",
        "monitoring of performance: passed",
        "authorized until ",
        "1 open incident",
        "0 of 28,834",
    ):
        assert words in text


def test_the_model_page_tells_the_whole_life(client: TestClient, life: Any) -> None:
    life.whole()
    text = client.get("/model/flight_late").text
    for words in (
        "retired, artifact deleted",
        "serves the traffic",
        " is authorized until ",
        "better in June",
        "24 analyses",
        "evidence of harm",
        "1 of 1 items read back and verified",
        "asked by dora, confirmed by grace",
        "wrong labels 31.2% against 26.0%",
        "Decommission record",
        "<svg",
    ):
        assert words in text
    assert re.search(r"ledger event \d+<", text)


@dataclass(frozen=True)
class LaterClock:
    """A clock that is so many days ahead."""

    days: int

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + timedelta(days=self.days)


@pytest.mark.parametrize("path", ["/", "/model/flight_late"])
@pytest.mark.parametrize("ended", [False, True])
def test_a_champion_whose_authorization_ended_is_not_said_to_serve(
    client: TestClient,
    life: Any,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    ended: bool,
) -> None:
    """It lasts 30 days here."""
    life.whole()
    monkeypatch.setitem(life.platform.__dict__, "clock", LaterClock(31 if ended else 29))
    text = client.get(path).text
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", text))
    if path == "/":
        assert ("authorization ended 24 h ago: it does not serve" in words) is ended
        assert ("version 2 authorized until" in words) is not ended
    else:
        assert ("Version 2 does not serve its 100%" in words) is ended
        assert ("does not serve: its authorization ended" in words) is ended
        assert ("serves the traffic" in words) is not ended
        assert ("Version 2 serves 100%" in words) is not ended
        assert ("tenure authorization renew flight_late" in words) is ended
        assert ('class="split ended"' in text) is ended


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            "SELECT 1",
            "Gateways: gw-a at generation 4, gw-b at generation 3 (behind), {nasty} silent "
            "since {day}, gw-c silent since {hour}",
            id="all kinds",
        ),
        pytest.param(
            "UPDATE gateway_ack SET alive_at = now() - interval '30 s' WHERE generation = 3",
            "Gateways: gw-a at generation 4, {nasty} silent since {day}, gw-b silent since {now}, "
            "gw-c silent since {hour}",
            id="a moment later",
        ),
        pytest.param(
            "DELETE FROM gateway_ack WHERE gateway_id ~ '^gw-'",
            "No gateway is alive. Gateways: {nasty} silent since {day}",
            id="none alive",
        ),
        pytest.param(
            "DELETE FROM gateway_ack",
            "No gateway has taken up a plan of this model yet.",
            id="none ever",
        ),
    ],
)
def test_the_model_page_tells_who_serves(
    client: TestClient, life: Any, platform: Installation, change: str, says: str
) -> None:
    life.whole()
    with platform.database.begin() as c:
        c.exec_driver_sql(change)
        row = c.exec_driver_sql("SELECT alive_at FROM gateway_ack WHERE gateway_id = 'gw-b'")
        moved = row.scalar() or life.now
    ages = {"day": timedelta(seconds=90_000), "hour": timedelta(hours=1)}
    moments = {name: moment(life.now - age) for name, age in ages.items()}
    html = client.get("/model/flight_late").text
    told = " ".join(re.sub("<[^>]*>", "", html).split())
    nasty = str(escape(NASTY))
    assert says.format(nasty=nasty, now=moment(moved), **moments) in told


@pytest.mark.parametrize("path", ["/", "/model/flight_late"])
def test_what_strangers_wrote_is_never_run(client: TestClient, life: Any, path: str) -> None:
    life.whole()
    text = client.get(path).text
    assert NASTY not in text
    assert "&lt;script&gt;document.title=" in text


def test_a_report_shows_its_checks_escaped(client: TestClient, life: Any) -> None:
    life.whole()
    digest = life.report("monitoring", Verdict.FAILED, f"3 drifted {NASTY}")
    answer = client.get(f"/report/{digest}")
    assert "0.702 to 0.721" in answer.text
    assert "at most 0.25" in answer.text
    assert NASTY not in answer.text
    assert "Drawn report" not in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_drawn_report_gets_a_sandbox(
    client: TestClient, life: Any, platform: Installation
) -> None:
    life.whole()
    digest = life.report("monitoring", Verdict.FAILED, "3 drifted")
    assert client.get(f"/report/{digest}/drawn").status_code == 404
    platform.store.put(drawn_key(digest), b"<script>1</script>")
    answer = client.get(f"/report/{digest}/drawn")
    assert answer.content == b"<script>1</script>"
    assert answer.headers["content-security-policy"] == (
        "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
        "style-src 'unsafe-inline'; img-src data:; font-src data:"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert f"/tenure/report/{digest}/drawn" in client.get(f"/report/{digest}").text


@pytest.mark.parametrize(
    "path",
    [
        "/model/unknown",
        "/model/a__b",
        "/model/%2e%2e",
        "/model/flight_late/version/9",
        "/model/flight_late/version/0",
        "/model/flight_late/version/%00/approval",
        "/model/flight_late/version/%00/evidence.json",
        "/model/flight_late/version/9/lineage",
        f"/dataset/flights/snapshot/{'0' * 64}",
        f"/report/{'0' * 64}",
        "/report/not-a-digest",
        f"/report/{'0' * 64}/drawn",
        "/static/%2e%2e%2fapp.py",
        "/static/app.py",
        f"/model/{NASTY}",
    ],
)
def test_what_is_not_there_is_a_plain_404(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert NASTY not in answer.text


def test_a_model_that_the_user_may_not_see_is_left_out(
    client: TestClient, life: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.whole()
    digest = life.report("evaluation", Verdict.PASSED, "fine")
    hidden = {"flight_late__train_model", "flight_late__evaluation"}
    monkeypatch.setattr(FakeGuard, "hidden", frozenset(hidden))
    assert "flight_late" not in client.get("/").text
    for path in ("/model/flight_late", CARD, f"/report/{digest}", f"/report/{digest}/drawn"):
        assert client.get(path).status_code == 403


def test_a_failure_card_says_what_is_safe_and_what_to_do(
    client: TestClient, platform: Installation, seen: Callable[..., None]
) -> None:
    error = GateFailed(
        f"AUC 0.58 {NASTY}",
        still_safe="The champion.",
        next_step="Run `tenure x`.",
        evidence="d" * 64,
    )
    failure_cards.save(platform, describe(error, owner="ada", log_url="http://log/1"), RUN)
    seen(TaskStatus("failed", 1))
    text = client.get(CARD).text
    for words in (
        "A gate said no",
        "The champion.",
        "Run <code>tenure x</code>.",
        f'href="/tenure/report/{"d" * 64}"',
        "ada",
        'href="http://log/1"',
    ):
        assert words in text
    assert NASTY not in text


def test_a_rollback_begins_calmly(
    client: TestClient, platform: Installation, seen: Callable[..., None]
) -> None:
    words = "Safe: champion serves 100%; nothing is urgent."
    error = CanaryRolledBack(f"{words} m@2 did harm.", still_safe="m@1.", next_step="Later.")
    failure_cards.save(platform, describe(error), RUN)
    seen(TaskStatus("failed", 1))
    text = client.get(CARD).text
    assert text.index(words) < text.index("What happened") < text.index("m@2 did harm.")


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (TaskStatus("failed", 1), "Killed before it could say anything"),
        (TaskStatus("success", 1), "Done, nothing to judge"),
        (TaskStatus("running", 1), "Airflow says <em>running</em>"),
        (TaskStatus("awaiting_input", 1), "Waits for a person"),
        (TaskStatus("upstream_failed", culprits=("train",)), "<code>train</code>"),
        (TaskStatus("skipped"), "That is no error."),
        (TaskStatus("success", is_ours=False), "Not a task of Tenure"),
        (TaskStatus(None, mapped=((0, "failed"), (1, "success"))), "This task has 2 copies"),
        (None, "There is no such task instance"),
    ],
)
def test_a_task_without_a_report_says_why(
    client: TestClient, seen: Callable[..., None], task: TaskStatus | None, words: str
) -> None:
    seen(task)
    assert words in client.get(CARD).text


@pytest.mark.parametrize("index", ["-1", "{MAP_INDEX}", "undefined", "", "9" * 40])
def test_whatever_airflow_puts_for_the_copy_is_read(
    client: TestClient, seen: Callable[..., None], index: str
) -> None:
    seen(TaskStatus("success", 1))
    answer = client.get(CARD, params={**dict(_query(CARD)), "map_index": index})
    assert answer.status_code == 200


def test_a_database_that_is_down_is_a_card_as_well(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    from dataclasses import replace

    from tenure.web import app

    lost = Installation(replace(settings, database_url="postgresql+psycopg://x@127.0.0.1:9/x"))
    monkeypatch.setattr(app, "platform", lambda: lost)
    answer = client.get("/")
    assert answer.status_code == 503
    assert "A service does not answer" in answer.text
    assert "tenure doctor" in answer.text


def _query(path: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(path.partition("?")[2])
