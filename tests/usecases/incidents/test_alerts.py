"""One cause is one incident; of each opening, escalation and closing people are told once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from pager import Clock, Pager
from sqlalchemy import text

from tenure.adapters.sql import incident_members, incident_timeline
from tenure.adapters.sql.incidents import Incident, find, unclosed
from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.lifecycle.audit.reconciliation import FailedTask
from tenure.lifecycle.incidents.failure_card import describe, killed_card
from tenure.lifecycle.incidents.kinds import ESCALATE_AFTER, SEV1, SEV3
from tenure.lifecycle.incidents.restart import TOGETHER
from tenure.usecases.incidents.alerts import NO_RECEIVER, AlertCounts, deliver_alerts, escalate
from tenure.usecases.incidents.close_incident import close_incident
from tenure.usecases.incidents.failure_cards import repaired, save
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.incidents.respond import acknowledge, snooze
from tenure.usecases.operations import maintain as maintenance
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

WATCHDOG = RunRef("maintain_platform", "r1", "maintain")
KILLED = RunRef("flights__ingest_data", "manual__7", "ingest", 3)


def standing(platform: Installation) -> list[Incident]:
    with platform.database.begin() as connection:
        return unclosed(connection)


def timeline(platform: Installation, number: int) -> list[str]:
    with platform.database.begin() as connection:
        events = incident_timeline.of_incident(connection, number)
    return [one.kind for one in events if one.kind != "joined"]


def fail(platform: Installation, number: int, **more: object) -> RunRef:
    """A task fails for good since MLflow is away, as tasks of a hundred models would."""
    run = RunRef(f"m{number}__train_model", "scheduled__1", "train")
    error = ServiceUnreachable(
        f"MLflow does not answer: http://mlflow:5000/api/{number} refused after {number} s.",
        still_safe="Gateways do not use MLflow.",
        next_step="Start MLflow.",
    )
    save(platform, describe(error, model=f"m{number}", tries=3, **more), run)  # type: ignore[arg-type]
    return run


def test_a_hundred_failures_of_one_cause_and_a_killed_task_while_the_receiver_is_away(
    platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T63: two incidents; what was promised in the outage is delivered after it, each once."""
    pager = Pager(is_away=True)
    failed = [fail(platform, number) for number in range(100)]
    dead = FailedTask(*_key(KILLED), datetime.now(UTC) - timedelta(minutes=5), 1)
    with platform.database.begin() as connection:
        connection.execute(text("INSERT INTO dataset VALUES ('flights', 'ada', 'sam', 'public')"))

    class Airflow:
        def failed_tasks(self, since: datetime) -> list[FailedTask]:
            return [dead]

    for _ in range(2):
        maintenance._watch(platform, Airflow())  # type: ignore[arg-type]
        found = deliver_alerts(platform, pager)
        assert (found.delivered, found.failed) == (0, 2)
    killed, outage = standing(platform)
    assert (killed.kind, killed.subject) == ("Killed", "flights__ingest_data.ingest")
    assert (outage.kind, outage.subject) == ("ServiceUnreachable", "http://mlflow:5000")
    with platform.database.begin() as connection:
        assert len(incident_members.of_incident(connection, outage.id)) == 100
        assert incident_timeline.waiting_alerts(connection).number == 2

    pager.is_away = False
    assert deliver_alerts(platform, pager) == AlertCounts(delivered=2)
    assert deliver_alerts(platform, pager) == AlertCounts()
    assert pager.events == ["ServiceUnreachable opened", "Killed opened"]
    (first, second) = pager.taken
    assert first["members"] == 100
    assert first["url"] == f"{platform.settings.airflow_url}/tenure/incident/{outage.id}"
    assert str(second["title"]).startswith("SEV2 opened: Killed before it could say anything")
    assert "Next step: Start MLflow." in str(first["text"])

    for run in failed[1:]:
        assert repaired(platform, run) == 0
    assert repaired(platform, failed[0]) == 1
    assert repaired(platform, KILLED) == 1
    assert standing(platform) == []
    assert deliver_alerts(platform, pager) == AlertCounts(promised=2, delivered=2)
    assert pager.events[2:] == ["ServiceUnreachable closed", "Killed closed"]
    assert timeline(platform, outage.id) == ["opened", "alerted", "closed", "alerted"]


def kill(platform: Installation, number: int, seconds: float = 0, host: str = "w1") -> RunRef:
    """A task of its own DAG is killed, so long after noon."""
    run = RunRef(f"m{number}__train_model", "scheduled__1", "train")
    noticed = datetime(2026, 5, 1, 12, tzinfo=UTC) + timedelta(seconds=seconds)
    save(platform, killed_card(run, host=host, noticed_at=noticed), run)
    return run


def test_tasks_that_a_restart_killed_are_one_incident_and_one_alert(
    platform: Installation,
) -> None:
    """The callbacks of Airflow's dag-processor come at once, and from several processes."""
    pager = Pager()
    killed = [kill(platform, 0)]
    deliver_alerts(platform, pager)
    with ThreadPoolExecutor(8) as pool:
        killed += pool.map(lambda n: kill(platform, n, n / 2), range(1, 40))
    deliver_alerts(platform, pager)
    assert pager.events == ["Killed opened"]
    (one,) = standing(platform)
    assert (one.kind, one.seen, one.model) == ("Killed", 40, None)
    assert one.subject == "tasks on w1: 2026-05-01 12:00:00 UTC"
    assert one.dedupe_key == "Killed:tasks on w1:2026-05-01 12:00:00 UTC"
    assert one.summary.startswith("40 tasks on w1 ended without a word within 20 s")
    assert "`tenure status`" in one.next_step
    with platform.database.begin() as connection:
        assert len(incident_members.of_incident(connection, one.id)) == 40
    for run in killed:
        repaired(platform, run)
    deliver_alerts(platform, pager)
    assert pager.events == ["Killed opened", "Killed closed"]


def test_what_was_killed_alone_is_an_incident_of_its_own(platform: Installation) -> None:
    kill(platform, 1)
    kill(platform, 1, 20)  # the same task, again: not a restart
    kill(platform, 2, 20 + TOGETHER.total_seconds() + 1)
    kill(platform, 3, 20, host="w2")
    kill(platform, 4, 20, host="")
    assert {one.subject: one.seen for one in standing(platform)} == {
        "m1__train_model.train": 2,
        "m2__train_model.train": 1,
        "m3__train_model.train": 1,
        "m4__train_model.train": 1,
    }


def test_a_restart_of_today_does_not_join_a_kill_of_yesterday(platform: Installation) -> None:
    day = timedelta(days=1).total_seconds()
    kill(platform, 1)
    for number in (2, 3, 1):
        kill(platform, number, day + number)
    kill(platform, 2, 3 * day)  # and killed alone later: not what the restart did
    assert {one.subject: one.seen for one in standing(platform)} == {
        "m1__train_model.train": 1,
        "tasks on w1: 2026-05-02 12:00:01 UTC": 3,
        "m2__train_model.train": 1,
    }


def _key(run: RunRef) -> tuple[str, str, str, int]:
    return run.dag_id, run.run_id, run.task_id, run.map_index


def test_a_failure_that_airflow_tries_again_pages_nobody(platform: Installation) -> None:
    pager, soon = Pager(), datetime.now(UTC) + timedelta(seconds=20)
    fail(platform, 1, next_try_at=soon)
    assert (standing(platform), deliver_alerts(platform, pager)) == ([], AlertCounts())
    run = fail(platform, 1, try_number=3)
    deliver_alerts(platform, pager)
    assert pager.events == ["ServiceUnreachable opened"]
    fail(platform, 1, try_number=4)  # cleared, and red again: the same cause
    (one,) = standing(platform)
    assert (one.seen, deliver_alerts(platform, pager)) == (2, AlertCounts())
    assert repaired(platform, run) == 1


@pytest.mark.parametrize(
    ("green", "closes"),
    [
        pytest.param(RunRef("d", "r2", "t", 0), "a.csv", id="the same file in another run"),
        pytest.param(RunRef("d", "r1", "t", 5), "", id="the same copy"),
        pytest.param(RunRef("d", "r2", "t", 0), "b.csv", id="another file"),
        pytest.param(RunRef("d", "r2", "t", 5), "", id="a copy of another run"),
        pytest.param(RunRef("d", "r1", "u", 5), "a.csv", id="another task"),
    ],
)
def test_a_copy_of_a_task_is_repaired_by_itself_or_by_its_item(
    platform: Installation, green: RunRef, closes: str, request: pytest.FixtureRequest
) -> None:
    save(platform, describe(KeyError("x")), RunRef("d", "r1", "t", 5), item="a.csv")
    expected = request.node.callspec.id in {"the same file in another run", "the same copy"}
    assert repaired(platform, green, item=closes) == expected
    assert (standing(platform) == []) is expected


def test_nobody_to_tell_is_said_on_the_incident(platform: Installation) -> None:
    fail(platform, 1)
    assert deliver_alerts(platform, None) == AlertCounts(promised=1, for_nobody=1)
    (one,) = standing(platform)
    with platform.database.begin() as connection:
        events = incident_timeline.of_incident(connection, one.id)
    assert (events[-1].kind, events[-1].note) == ("not_alerted", NO_RECEIVER)
    assert deliver_alerts(platform, Pager()) == AlertCounts()


def test_what_opens_and_closes_unseen_is_one_message(platform: Installation) -> None:
    pager = Pager()
    open_incident(platform, "log_waiting:g", "log_waiting", "g", "store is down")
    close_incident(platform, "log_waiting:g")
    assert deliver_alerts(platform, pager) == AlertCounts(promised=1, delivered=1)
    assert pager.events == ["log_waiting closed"]


def test_a_task_tries_only_what_nobody_tried_before(platform: Installation) -> None:
    pager = Pager(is_away=True)
    for key in "abc":
        open_incident(platform, key, "alias_moved", key, "x")
    deliver_alerts(platform, pager, only_new=True)
    assert pager.asked == 2  # two failures in a row: the receiver is left alone
    deliver_alerts(platform, pager, only_new=True)
    deliver_alerts(platform, pager, only_new=True)
    assert pager.asked == 3
    pager.is_away = False
    assert deliver_alerts(platform, pager).delivered == 3


def test_that_it_is_closed_is_not_told_before_that_it_is_open(platform: Installation) -> None:
    pager = Pager(is_away=True)
    open_incident(platform, "a", "alias_moved", "m", "x")
    deliver_alerts(platform, pager)
    close_incident(platform, "a")
    deliver_alerts(platform, pager)
    assert pager.asked == 2
    pager.is_away = False
    deliver_alerts(platform, pager)
    assert pager.events == ["alias_moved opened", "alias_moved closed"]


def test_two_senders_do_not_send_an_alert_at_once(platform: Installation) -> None:
    fail(platform, 1)
    deliver_alerts(platform, Pager(is_away=True))
    other = Installation(platform.settings)
    try:
        with other.database.begin() as c:
            c.execute(text("SELECT id FROM outbox FOR UPDATE"))
            assert deliver_alerts(platform, Pager()) == AlertCounts()
    finally:
        other.database.dispose()
    assert deliver_alerts(platform, Pager()).delivered == 1


@pytest.mark.parametrize(
    ("after", "answer", "told"),
    [
        pytest.param(ESCALATE_AFTER[SEV1] - timedelta(seconds=1), "", 0, id="below"),
        pytest.param(ESCALATE_AFTER[SEV1] + timedelta(seconds=1), "", 1, id="above"),
        pytest.param(timedelta(hours=9), "", 1, id="once"),
        pytest.param(timedelta(hours=9), "acknowledged", 0, id="acknowledged"),
        pytest.param(timedelta(hours=9), "sev3", 0, id="nothing grave"),
    ],
)
def test_what_nobody_acknowledges_is_announced_once_more(
    platform: Installation, clock: Clock, after: timedelta, answer: str, told: int
) -> None:
    pager = Pager()
    kind = "drift_failed" if answer == "sev3" else "performance_failed"
    number = open_incident(platform, "k", kind, "m@1", "AUC 0.58, at least 0.60")
    deliver_alerts(platform, pager)
    if answer == "acknowledged":
        acknowledge(platform, number, user="olga")
    clock.by = after
    assert [escalate(platform), escalate(platform)] == [told, 0]
    deliver_alerts(platform, pager)
    assert pager.events[1:] == [f"{kind} escalated"] * told
    if told:
        assert "within 30 minutes" in str(pager.taken[-1]["text"])


def test_one_that_became_graver_or_reached_another_stage_is_announced_once_more(
    platform: Installation,
) -> None:
    pager = Pager()

    def found(kind: str, stage: str) -> None:
        open_incident(platform, "k", kind, "m@1", "x", facts={"stage": stage})
        deliver_alerts(platform, pager)

    for kind, stage in [
        *[("drift_failed", "7 days")] * 2,
        *[("drift_failed", "1 day")] * 2,
        *[("performance_failed", "1 day")] * 2,
        ("drift_failed", "1 day"),
    ]:
        found(kind, stage)
    said = [str(one["text"]).splitlines()[0] for one in pager.taken]
    assert said == ["x", "1 day", "It became graver: sev3 → sev1."]
    (one,) = standing(platform)
    assert (one.severity, one.seen) == (SEV1, 7)
    assert SEV3 > SEV1


def test_a_snoozed_one_is_silent_until_its_moment_and_its_end_is_told(
    platform: Installation, clock: Clock
) -> None:
    pager = Pager()
    number = open_incident(platform, "k", "performance_failed", "m@1", "x")
    deliver_alerts(platform, pager)
    snooze(platform, number, user="olga", until=datetime.now(UTC) + timedelta(hours=2))
    clock.by = timedelta(hours=1)
    assert escalate(platform) == 0
    clock.by = timedelta(hours=3)
    assert [escalate(platform), escalate(platform)] == [1, 0]
    deliver_alerts(platform, pager)
    assert "It was snoozed until" in str(pager.taken[-1]["text"])
    with platform.database.begin() as connection:
        one = find(connection, number)
    assert one is not None
    assert (one.snoozed_until, one.owner) == (None, "olga")
