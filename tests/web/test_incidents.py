"""The page of an incident: all that is known about it, and what a person may do there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tenure.adapters.sql import incidents, remediations
from tenure.adapters.sql.tables import incident_member
from tenure.installation import Installation
from tenure.lifecycle.incidents.failure_card import describe
from tenure.usecases.incidents.alerts import deliver_alerts
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.failure_cards import repaired, save
from tenure.usecases.incidents.open_incident import open_incident
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow

NASTY = '<script>document.title="owned"</script>'
RUN = RunRef("flight_late__train_model", "manual__1", "train")


def failed(platform: Installation, number: int) -> RunRef:
    run = RunRef(RUN.dag_id, f"manual__{number}", RUN.task_id)
    save(platform, describe(KeyError(NASTY), model="flight_late", owner="ada"), run)
    return run


def state(platform: Installation, number: int) -> incidents.Incident:
    with platform.database.begin() as connection:
        found = incidents.find(connection, number)
    assert found is not None
    return found


@pytest.fixture
def number(life: Any, platform: Installation) -> int:
    """Seven tries of one task failed for one cause; people were told, and the first is green."""
    life.whole()
    runs = [failed(platform, n) for n in range(7)]
    deliver_alerts(platform, None)
    with platform.database.begin() as connection:
        one = next(i for i in incidents.unclosed(connection) if i.kind == "KeyError")
        connection.execute(  # as if only the first had been cleared
            incident_member.update()
            .where(incident_member.c.run_id == runs[0].run_id)
            .values(repaired_at=datetime.now(UTC))
        )
    return one.id


def test_the_page_says_what_happened_what_is_safe_and_what_to_do(
    client: TestClient, number: int
) -> None:
    text = client.get(f"/incident/{number}").text
    for words in (
        '<article class="card sev2"',
        "Bug or unexpected error: KeyError",
        "Changes of state are single transactions",
        "Clear the task once",
        "7 times, the last one",
        "7 members, 6 not green again",
        "<details>",
        "green again",
        "/tenure/card?dag=flight_late__train_model&amp;run=manual__3&amp;task=train",
        "<strong>joined</strong>: 7 members",
        "There is no Airflow connection tenure_alerts: nobody was told.",
        'href="/tenure/model/flight_late"',
        "<dt>Answers for it</dt><dd>ada</dd>",
        'data-act="acknowledge"',
        'data-act="snooze"',
        'data-act="close"',
    ):
        assert words in text
    assert "<script>document" not in text


@pytest.fixture
def unknown_to_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    from tenure.web import app

    monkeypatch.setattr(app, "task_status", lambda *_: None)


@pytest.mark.usefixtures("unknown_to_airflow")
def test_lists_and_the_card_of_a_member_lead_to_it(client: TestClient, number: int) -> None:
    link = f'href="/tenure/incident/{number}"'
    card = f"/card?dag={RUN.dag_id}&run=manual__3&task={RUN.task_id}"
    for page in ("/", "/model/flight_late", card):
        assert link in client.get(page).text


def test_a_person_takes_it_snoozes_it_and_closes_it(
    client: TestClient, number: int, platform: Installation
) -> None:
    assert client.post(f"/incident/{number}/acknowledge", json={}).json()["state"] == "open"
    text = client.get(f"/incident/{number}").text
    assert 'data-act="acknowledge"' not in text
    assert "<dd>olga, " in text
    assert client.post(f"/incident/{number}/snooze", json={"hours": 4}).status_code == 200
    until = state(platform, number).snoozed_until
    assert until is not None
    assert timedelta(hours=3) < until - datetime.now(UTC) <= timedelta(hours=4)
    assert "silent until" in client.get(f"/incident/{number}").text
    said = client.post(f"/incident/{number}/close", json={"reason": f" rolled back {NASTY} "})
    assert said.json() == {"state": "closed", "incident": number}
    found = state(platform, number)
    assert (found.closed_by, found.closed_reason) == ("olga", f"rolled back {NASTY}")
    text = client.get(f"/incident/{number}").text
    assert "by olga</strong>: rolled back &lt;script" in text
    assert "data-act=" not in text
    assert client.post(f"/incident/{number}/acknowledge", json={}).status_code == 409


@pytest.mark.parametrize(
    ("act", "body"),
    [
        pytest.param("snooze", {"hours": 0}, id="no hour"),
        pytest.param("snooze", {"hours": 169}, id="more than seven days"),
        pytest.param("snooze", {"hours": "4"}, id="not a number"),
        pytest.param("close", {"reason": ""}, id="no reason"),
        pytest.param("close", {"reason": "  "}, id="an empty reason"),
        pytest.param("close", {"reason": "x" * 501}, id="a reason that is too long"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    client: TestClient,
    number: int,
    platform: Installation,
    act: str,
    body: dict[str, Any],
) -> None:
    before = state(platform, number)
    assert client.post(f"/incident/{number}/{act}", json=body).status_code == 422
    assert state(platform, number) == before


ACTS: list[tuple[str, dict[str, Any]]] = [
    ("acknowledge", {}),
    ("snooze", {"hours": 1}),
    ("close", {"reason": "x"}),
]


@pytest.mark.parametrize("action", ACTS, ids=lambda action: action[0])
def test_only_json_of_who_may_counts(
    client: TestClient,
    number: int,
    platform: Installation,
    monkeypatch: pytest.MonkeyPatch,
    action: tuple[str, dict[str, Any]],
) -> None:
    act, body = action
    path, before = f"/incident/{number}/{act}", state(platform, number)
    form = client.post(path, content="{}", headers={"content-type": "text/plain"})
    assert form.status_code in {415, 422}
    monkeypatch.setattr("page_reader.FakeGuard.user", "vera")
    answer = client.post(path, json=body)
    assert answer.status_code == 403
    assert "vera may not act on incidents" in answer.json()["error"]
    page = client.get(f"/incident/{number}").text
    assert "data-act=" not in page
    assert "vera may read this incident." in page
    monkeypatch.setattr("page_reader.FakeGuard.user", "olga")
    monkeypatch.setattr("page_reader.FakeGuard.hidden", frozenset({RUN.dag_id}))
    assert client.get(f"/incident/{number}").status_code == 403
    assert client.post(path, json=body).status_code == 403
    assert state(platform, number) == before


def test_a_steward_acts_on_what_is_about_a_dataset(
    client: TestClient, life: Any, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.whole()
    number = open_incident(
        platform, "k", "landing_not_read", "flights", "2 links", facts={"dataset": "flights"}
    )
    monkeypatch.setattr("page_reader.FakeGuard.user", "sam")
    assert 'data-act="close"' in client.get(f"/incident/{number}").text
    assert client.post(f"/incident/{number}/acknowledge", json={}).status_code == 200
    monkeypatch.setattr("page_reader.FakeGuard.hidden", frozenset({"flights__ingest_data"}))
    assert client.get(f"/incident/{number}").status_code == 403


@pytest.mark.parametrize("number", ["77", str(2**63 - 1)])
def test_one_that_never_was_is_not_found(client: TestClient, number: str) -> None:
    assert client.get(f"/incident/{number}").status_code == 404
    assert client.post(f"/incident/{number}/acknowledge", json={}).status_code == 409


@pytest.mark.parametrize("number", ["x", "-1", str(2**63)])
def test_a_number_that_cannot_be_one_is_refused(client: TestClient, number: str) -> None:
    assert client.get(f"/incident/{number}").status_code == 422


@pytest.mark.usefixtures("unknown_to_airflow")
def test_the_card_of_a_task_that_was_green_later_says_so(
    client: TestClient, life: Any, platform: Installation
) -> None:
    life.whole()
    run = failed(platform, 1)
    repaired(platform, RunRef(run.dag_id, "manual__9", run.task_id))
    text = client.get(f"/card?dag={run.dag_id}&run={run.run_id}&task={run.task_id}").text
    assert "closed; this task was green again" in text


def test_a_card_says_when_the_next_try_comes(
    client: TestClient, life: Any, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.views.tasks import TaskStatus
    from tenure.web import app

    life.whole()
    due = datetime(2026, 5, 1, 3, 12, 40, tzinfo=UTC)
    save(platform, describe(KeyError("x"), try_number=1, tries=3, next_try_at=due), RUN)
    status = TaskStatus(state="up_for_retry", try_number=1, max_tries=2)
    monkeypatch.setattr(app, "task_status", lambda *_: status)
    text = client.get(f"/card?dag={RUN.dag_id}&run={RUN.run_id}&task={RUN.task_id}").text
    assert "due by 03:12:40 UTC; nobody is paged before the last try" in text


@pytest.fixture
def failed_in_airflow(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Airflow has the newest run as failed, until it is cleared; says which calls were dry runs."""
    from tenure.lifecycle.audit.reconciliation import TaskProgress
    from tenure.usecases.operations import incident_actions

    calls: list[bool] = []

    class Airflow:
        def clear(self, *_: object, dry_run: bool) -> list[TaskProgress]:
            found = [] if False in calls else [TaskProgress("train", -1, "", "failed", 1, 2)]
            calls.append(dry_run)
            return found

    monkeypatch.setattr(incident_actions, "airflow_as", lambda *_: Airflow())
    monkeypatch.setattr("tenure.web.incidents.send_alerts", lambda _: None)
    return calls


def test_a_deed_is_first_a_sentence_then_a_line_of_the_timeline(
    client: TestClient, number: int, failed_in_airflow: list[bool]
) -> None:
    text = client.get(f"/incident/{number}").text
    assert text.index('data-plan="clear_task"') < text.index('data-plan="ask_owner"')
    dry = client.post(f"/incident/{number}/plan/clear_task", json={"note": ""}).json()
    assert dry["sentence"].startswith("Airflow would run 1 task instance again (train) in 1 run")
    assert failed_in_airflow == [True]
    stale = client.post(f"/incident/{number}/do/clear_task", json={"seen": "other"})
    assert (stale.status_code, failed_in_airflow) == (409, [True, True])
    done = client.post(f"/incident/{number}/do/clear_task", json={"seen": dry["seen"]})
    assert done.json() == {"done": "1 task instance cleared: train."}
    again = client.post(f"/incident/{number}/do/clear_task", json={"seen": dry["seen"]})
    assert "Nothing would change" in again.json()["error"]
    text = client.get(f"/incident/{number}").text
    assert text.count("<strong>acted</strong> by olga: Clear the failed task: 1 task") == 1
    assert "data-refresh" in text


@pytest.mark.parametrize(
    ("user", "path", "status", "says"),
    [
        pytest.param("vera", "plan/clear_task", 403, "vera may not act on incidents", id="role"),
        pytest.param("olga", "plan/roll_back", 409, "does not offer “Roll back”", id="not offered"),
        pytest.param("olga", "plan/clear_task", 503, "Airflow's REST API", id="Airflow is away"),
    ],
)
def test_why_not_is_a_sentence(  # noqa: PLR0917 -- a row of the table
    client: TestClient,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
    path: str,
    status: int,
    says: str,
) -> None:
    monkeypatch.setattr("page_reader.FakeGuard.user", user)
    answer = client.post(f"/incident/{number}/{path}", json={})
    assert (answer.status_code, says in answer.json()["error"]) == (status, True)


def test_a_button_that_a_role_does_not_allow_is_a_sentence(
    client: TestClient, life: Any, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.whole()
    number = open_incident(platform, "k", "drift_failed", "flight_late@2", "temp has PSI 2.1")
    monkeypatch.setattr("page_reader.FakeGuard.user", "vera")
    text = client.get(f"/incident/{number}").text
    assert "<strong>Roll back</strong> needs the role operator." in text
    assert "data-plan" not in text


def test_a_sev1_is_remediated_on_its_page(
    client: TestClient, life: Any, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.whole()
    number = open_incident(platform, "k", "fairness_failed", "flight_late@2", "0.31 against 0.52")
    page = f"/incident/{number}"
    text = client.get(page).text
    assert "Nobody wrote yet what is done about the cause." in text
    assert 'data-act="remediate" data-fields' in text
    assert 'data-act="close"' not in text
    answer = client.post(f"{page}/close", json={"reason": "It was nothing."})
    assert answer.status_code == 409
    assert "is of severity 1" in answer.json()["error"]
    close_incident(platform, "k")
    text = client.get(page).text
    for words in (
        "service <strong>restored",
        "It waits for its remediation.",
        "Write on the incident page",
    ):
        assert words in text
    assert "1 waits for remediation" in client.get("/").text
    assert "service restored" in client.get("/model/flight_late").text
    due = str(datetime.now(UTC).date() + timedelta(days=7))
    body = {"action": f"No postcode {NASTY}", "owner": "vera", "due": due}
    for wrong in ({"due": "soon"}, {"due": ""}, {"action": " "}):
        assert client.post(f"{page}/remediate", json=body | wrong).status_code in {409, 422}
    assert client.post(f"{page}/remediate", json=body).json()["state"] == "restored"
    with platform.database.begin() as connection:
        (entry,) = remediations.of_incident(connection, number)
    done = f"{page}/remediated/{entry.id}"
    monkeypatch.setattr("page_reader.FakeGuard.user", "grace")
    assert f"due on {due}" in client.get(page).text
    assert "data-act=" not in client.get(page).text
    assert client.post(f"{page}/remediate", json=body).status_code == 403
    assert client.post(done, json={"note": "x"}).status_code == 403
    monkeypatch.setattr("page_reader.FakeGuard.user", "vera")
    assert f'data-act="remediated/{entry.id}" data-fields' in client.get(page).text
    assert client.post(done, json={"note": "Trained."}).json()["state"] == "closed"
    text = client.get(page).text
    assert "Its remediation is done: Trained." in text
    assert "<script>document" not in text
