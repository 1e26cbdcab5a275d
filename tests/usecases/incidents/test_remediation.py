"""An incident of severity 1 is over when service is right and its cause is remedied; not before."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pager import Clock, Pager
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from tenure.adapters.sql import incident_timeline, incidents, remediations
from tenure.adapters.sql.tables import ledger_event
from tenure.errors import NotPermitted, StateConflict, TextRefused
from tenure.installation import Installation
from tenure.lifecycle.incidents.kinds import REMEDIATE_WITHIN, SEV1
from tenure.usecases.incidents.alerts import deliver_alerts, escalate
from tenure.usecases.incidents.close_incident import close_by_person, close_incident, close_item
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.incidents.remediation import LONGEST, finish, remediate
from tenure.usecases.incidents.respond import acknowledge, snooze

pytestmark = pytest.mark.service

TODAY = datetime.now(UTC).date()
SOON = TODAY + timedelta(days=7)
KEY = "monitoring:m:fairness"


def opened(platform: Installation, subject: str = "m@1", kind: str = "fairness_failed") -> int:
    """As a bias alert does."""
    return open_incident(platform, KEY, kind, subject, "0.31 against 0.52", member="one")


def state(platform: Installation, number: int) -> incidents.Incident:
    with platform.database.begin() as connection:
        found = incidents.find(connection, number)
    assert found is not None
    return found


def timeline(platform: Installation, number: int) -> list[str]:
    with platform.database.begin() as connection:
        events = incident_timeline.of_incident(connection, number)
    return [one.kind for one in events if one.kind not in {"joined", "alerted"}]


def plan(platform: Installation, number: int, *, user: str = "olga", **more: Any) -> int:
    asked = {"action": "Train without the postcode.", "owner": "ada", "due": SOON} | more
    return remediate(platform, number, user=user, **asked).remediation


def green_run(platform: Installation) -> None:
    close_incident(platform, KEY)


def last_member(platform: Installation) -> None:
    with platform.database.begin() as connection:
        close_item(connection, KEY, "one", platform.clock.now())


def version_loads(platform: Installation) -> None:
    with platform.database.begin() as connection:
        connection.execute(text("UPDATE incident SET kind = 'artifact_refused'"))
        incidents.close_after_load(
            connection,
            model="m",
            version=1,
            before=platform.clock.now() + timedelta(minutes=1),
            is_as_asked=True,
            at=platform.clock.now(),
        )


def version_leaves(platform: Installation) -> None:
    with platform.database.begin() as connection:
        incidents.close_incidents_of(connection, version="m@1", at=platform.clock.now())


@pytest.mark.parametrize("over", [green_run, last_member, version_loads, version_leaves])
def test_whatever_ends_the_trouble_restores_service_and_closes_nothing(
    platform: Installation, over: Callable[[Installation], None]
) -> None:
    pager, number = Pager(), opened(platform)
    deliver_alerts(platform, pager)
    over(platform)
    for _ in range(2):
        deliver_alerts(platform, pager)
    found = state(platform, number)
    assert (found.severity, found.state, found.closed_at) == (SEV1, "restored", None)
    assert found.restored_at is not None
    assert [one.split()[1] for one in pager.events] == ["opened", "restored"]
    assert "Next step: Service is restored. Write on the" in str(pager.taken[-1]["text"])
    assert timeline(platform, number) == ["opened", "restored"]


def test_from_the_alert_to_the_end(platform: Installation) -> None:
    pager, number = Pager(), opened(platform)
    deliver_alerts(platform, pager)
    close_incident(platform, KEY)
    deliver_alerts(platform, pager)
    first = plan(platform, number)
    second = plan(platform, number, action="Watch it weekly.", owner="sam")
    assert state(platform, number).remediation_due == SOON
    done = finish(platform, number, user="ada", note="m@2 has no postcode.", remediation=first)
    assert done.state == "restored"
    done = finish(platform, number, user="olga", note="In the calendar.")
    assert (done.state, done.remediation) == ("closed", second)
    deliver_alerts(platform, pager)
    assert [one.split()[1] for one in pager.events] == ["opened", "restored", "closed"]
    assert "In the calendar. Closed by olga." in str(pager.taken[-1]["text"])
    assert timeline(platform, number) == [
        *("opened", "restored", "remediation", "remediation"),
        *("remediated", "remediated", "closed"),
    ]
    with platform.database.begin() as connection:
        query = select(ledger_event.c.actor, ledger_event.c.body).order_by(ledger_event.c.seq)
        said = [(row.actor, row.body) for row in connection.execute(query)]
    assert [actor for actor, _ in said] == ["olga", "olga", "ada", "olga"]
    assert said[0][1] | {"due": ""} == {
        "model": "m",
        "kind": "fairness_failed",
        "about": "m@1",
        "summary": "0.31 against 0.52",
        "remediation": first,
        "action": "Train without the postcode.",
        "owner": "ada",
        "due": "",
    }
    assert said[2][1]["done"] == "m@2 has no postcode."


def test_what_is_remedied_before_service_is_restored_closes_with_the_green_run(
    platform: Installation,
) -> None:
    number = opened(platform)
    plan(platform, number)
    assert finish(platform, number, user="ada", note="done").state == "open"
    close_incident(platform, KEY)
    assert state(platform, number).state == "closed"


@pytest.mark.parametrize(
    ("written", "is_restored", "why"),
    [
        pytest.param(False, False, "nobody wrote what is done about its cause", id="nothing"),
        pytest.param(True, False, f"it is due on {SOON}", id="under way"),
        pytest.param(False, True, "nobody wrote what is done about its cause", id="restored"),
        pytest.param(True, True, f"it is due on {SOON}", id="restored, under way"),
    ],
)
def test_a_person_does_not_close_it_before(
    platform: Installation, *, written: bool, is_restored: bool, why: str
) -> None:
    number = opened(platform)
    if written:
        plan(platform, number)
    if is_restored:
        close_incident(platform, KEY)
    with pytest.raises(StateConflict, match="is of severity 1") as refused:
        close_by_person(platform, number, user="olga", reason="It was nothing.")
    assert why in refused.value.what
    assert state(platform, number).state == ("restored" if is_restored else "open")


def test_a_person_closes_what_no_program_sees_the_end_of_once_it_is_remedied(
    platform: Installation,
) -> None:
    number = opened(platform)
    plan(platform, number)
    finish(platform, number, user="ada", note="done")
    plan(platform, number, action="And one more.")
    with pytest.raises(StateConflict):
        close_by_person(platform, number, user="olga", reason="x")
    finish(platform, number, user="ada", note="done")
    close_by_person(platform, number, user="olga", reason="x")
    assert state(platform, number).closed_by == "olga"


def test_less_grave_ones_close_as_they_did(platform: Installation) -> None:
    number = opened(platform, kind="drift_failed")
    with pytest.raises(StateConflict, match="is sev3: it is over with its trouble"):
        plan(platform, number)
    close_incident(platform, KEY)
    assert state(platform, number).state == "closed"


def test_the_database_refuses_to_close_it_whoever_asks(platform: Installation) -> None:
    number = opened(platform)
    one = plan(platform, number)
    close = "UPDATE incident SET state = 'closed', closed_at = now()"
    with pytest.raises((IntegrityError, StateConflict)), platform.database.begin() as connection:
        connection.execute(text(close))
    finish(platform, number, user="ada", note="done")
    for change in ("action = 'less'", "done_at = NULL, done_by = NULL, done_note = NULL"):
        query = text(f"UPDATE remediation SET {change} WHERE id = {one}")
        refused = pytest.raises(StateConflict, match="it can only be done, once")
        with refused, platform.database.begin() as connection:
            connection.execute(query)
    with platform.database.begin() as connection:
        connection.execute(text(close))


def test_what_comes_back_before_it_is_remedied_is_the_same_incident_and_is_announced(
    platform: Installation,
) -> None:
    pager, number = Pager(), opened(platform)
    deliver_alerts(platform, pager)
    close_incident(platform, KEY)
    plan(platform, number)
    deliver_alerts(platform, pager)
    for _ in range(2):
        assert opened(platform) == number
        deliver_alerts(platform, pager)
    assert [one.split()[1] for one in pager.events] == ["opened", "restored", "escalated"]
    assert "It came back: service had been restored at" in str(pager.taken[-1]["text"])
    found = state(platform, number)
    assert (found.state, found.seen, found.restored_at) == ("open", 3, None)
    assert found.remediation_due == SOON
    finish(platform, number, user="ada", note="done")
    close_incident(platform, KEY)
    assert state(platform, number).state == "closed"
    assert opened(platform) != number


def test_what_comes_back_with_another_version_is_another_incident(platform: Installation) -> None:
    number = opened(platform)
    close_incident(platform, KEY)
    other = opened(platform, "m@2")
    assert other != number
    assert opened(platform, "m@2") == other
    assert opened(platform, "m@1") == other  # the open one of the key counts, as ever
    assert state(platform, number).state == "restored"


@pytest.mark.parametrize(
    ("after", "due", "told"),
    [
        pytest.param(REMEDIATE_WITHIN - timedelta(minutes=1), None, 0, id="not written, below"),
        pytest.param(REMEDIATE_WITHIN, None, 1, id="not written, at"),
        pytest.param(timedelta(0), TODAY, 0, id="due today"),
        pytest.param(timedelta(days=1), TODAY + timedelta(days=1), 0, id="on the last day"),
        pytest.param(timedelta(days=2), TODAY + timedelta(days=1), 1, id="the day after"),
    ],
)
def test_what_is_overdue_is_announced_once(
    platform: Installation, clock: Clock, after: timedelta, due: date | None, told: int
) -> None:
    pager, number = Pager(), opened(platform)
    acknowledge(platform, number, user="olga")
    close_incident(platform, KEY)
    if due is not None:
        plan(platform, number, due=due)
        plan(platform, number, action="Later.", due=due + timedelta(days=30))
    deliver_alerts(platform, pager)
    clock.by = after
    assert [escalate(platform), escalate(platform)] == [told, 0]
    deliver_alerts(platform, pager)
    assert pager.events[1:] == ["fairness_failed escalated"] * told
    if told:
        words = "The remediation of ada was due" if due else "nobody wrote what is done"
        assert words in str(pager.taken[-1]["text"])
    now = platform.clock.now()
    assert state(platform, number).needs_person(now) is (told == 1 or due is None)


def test_the_second_one_that_is_overdue_is_announced_when_the_first_is_done(
    platform: Installation, clock: Clock
) -> None:
    number = opened(platform)
    close_incident(platform, KEY)
    first = plan(platform, number, due=TODAY)
    plan(platform, number, action="The other.", due=TODAY)
    clock.by = timedelta(days=1)
    assert [escalate(platform), escalate(platform)] == [1, 0]
    finish(platform, number, user="ada", note="done", remediation=first)
    assert [escalate(platform), escalate(platform)] == [1, 0]
    assert "The other." in str(state(platform, number).escalation)


def test_a_snoozed_one_is_announced_when_the_snooze_ends(
    platform: Installation, clock: Clock
) -> None:
    number = opened(platform)
    close_incident(platform, KEY)
    plan(platform, number, due=TODAY)
    snooze(platform, number, user="olga", until=datetime.now(UTC) + timedelta(days=3))
    clock.by = timedelta(days=2)
    assert escalate(platform) == 0
    clock.by = timedelta(days=4)
    assert escalate(platform) == 2  # the snooze, and what it hid
    assert "was due on" in str(state(platform, number).escalation)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        pytest.param({"user": "mallory"}, NotPermitted, id="no operator"),
        pytest.param({"due": TODAY - timedelta(days=1)}, StateConflict, id="a day that is past"),
        pytest.param({"due": TODAY}, None, id="today"),
        pytest.param({"due": TODAY + LONGEST}, None, id="the last day"),
        pytest.param({"due": TODAY + LONGEST + timedelta(days=1)}, StateConflict, id="too far"),
        pytest.param({"action": "x" * 501}, TextRefused, id="too many words"),
        pytest.param({"owner": "a" * 251}, TextRefused, id="no name"),
    ],
)
def test_who_may_write_and_what(
    platform: Installation, change: dict[str, Any], error: type[Exception] | None
) -> None:
    number = opened(platform)
    if error is None:
        plan(platform, number, **change)
        return
    with pytest.raises(error):
        plan(platform, number, **change)
    with platform.database.begin() as connection:
        assert remediations.of_incident(connection, number) == []


def test_who_may_say_that_it_is_done(platform: Installation) -> None:
    number = opened(platform)
    with pytest.raises(StateConflict, match="0 remediations are not done: none"):
        finish(platform, number, user="olga", note="x")
    one = plan(platform, number)
    with pytest.raises(NotPermitted, match="its owner ada"):
        finish(platform, number, user="mallory", note="x")
    with pytest.raises(StateConflict, match="and 99 is not one of them"):
        finish(platform, number, user="ada", note="x", remediation=99)
    plan(platform, number, action="More.")
    with pytest.raises(StateConflict, match="2 remediations are not done"):
        finish(platform, number, user="ada", note="x")
    finish(platform, number, user="ada", note="x", remediation=one)
    with pytest.raises(StateConflict, match=f"and {one} is not one of them"):
        finish(platform, number, user="ada", note="x", remediation=one)


def test_nothing_is_written_about_what_is_closed_or_never_was(platform: Installation) -> None:
    number = opened(platform, kind="drift_failed")
    close_incident(platform, KEY)
    for act in (lambda n: plan(platform, n), lambda n: finish(platform, n, user="olga", note="x")):
        with pytest.raises(StateConflict, match="was closed at"):
            act(number)
        with pytest.raises(StateConflict, match="There is no incident 77"):
            act(77)
