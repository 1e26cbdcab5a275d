"""`tenure incident`: who is on call sees what is open, and closes what nobody else will."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import select, text
from typer.testing import CliRunner

from tenure.adapters.sql import incidents, versions
from tenure.adapters.sql.tables import incident, ledger_event
from tenure.cli import app
from tenure.errors import NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.usecases.incidents.alerts import promise
from tenure.vocabulary import Role

pytestmark = pytest.mark.service

NOW = datetime(2026, 5, 1, 3, 12, tzinfo=UTC)
BY_OLGA = ("--reason", "gw-b is gone for good", "--actor", "olga")
Run = Callable[..., Result]


@pytest.fixture
def run(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command over three open incidents."""
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setattr("tenure.cli.arguments.login_name", lambda: "olga")
    with platform.database.begin() as c:
        versions.register_model(c, name="m", owner="ada", risk_tier="limited", purpose="t")
        for kind, subject, times in (
            ("artifact_refused", "m@1", 2),
            ("log_waiting", "gw-b", 1),
            ("canary_stopped", "m@2", 1),
        ):
            for _ in range(times):
                incidents.open_incident(
                    c,
                    dedupe_key=f"{kind}:{subject}",
                    kind=kind,
                    subject=subject,
                    summary=f"{subject}: \x1b[2Jwhy",
                    at=NOW,
                )
    return lambda *words: CliRunner().invoke(app, ["incident", *words])


def number(platform: Installation, kind: str) -> str:
    with platform.database.begin() as c:
        return str(c.execute(select(incident.c.id).where(incident.c.kind == kind)).scalar_one())


def test_what_is_open_newest_first(run: Run, platform: Installation) -> None:
    said = run("list")
    assert said.exit_code == 0
    *lines, count = said.stdout.splitlines()
    assert count == "3 open."
    first = number(platform, "artifact_refused")
    assert lines[-1] == (
        f"{first}  2026-05-01 03:12 UTC  sev2  artifact_refused  m@1 (2 times)  m@1: \\x1b[2Jwhy"
    )
    assert "\x1b" not in said.stdout


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        ((), ["canary_stopped", "log_waiting", "artifact_refused"]),
        (("--model", "m"), ["canary_stopped", "artifact_refused"]),
    ],
)
def test_json(run: Run, words: Sequence[str], kinds: list[str]) -> None:
    assert [one["kind"] for one in json.loads(run("list", *words, "--json").stdout)] == kinds


def test_one_in_full(run: Run, platform: Installation) -> None:
    which = number(platform, "artifact_refused")
    said = run("show", which).stdout
    for words in (
        "sev2 open: A gateway cannot load a version (m@1)\n",
        "m@1: \\x1b[2Jwhy\n",
        "Still safe: The plan in force stays",
        "Next step: Roll back; or put the artifact into the store",
        "Seen 2 times",
        "Taken by nobody.",
        "2026-05-01 03:12 UTC  opened by postgres\n",
    ):
        assert words in said
    assert "\x1b" not in said
    whole = json.loads(run("show", which, "--json").stdout)
    assert [one["kind"] for one in whole["timeline"]] == ["opened"]
    assert (whole["members"], whole["seen"]) == ([], 2)
    assert isinstance(run("show", "77").exception, StateConflict)


def test_a_person_takes_one_and_has_it_silent(run: Run, platform: Installation) -> None:
    which = number(platform, "artifact_refused")
    said = run("ack", which, "--actor", "olga")
    assert said.stdout == f"Incident {which} is olga's: artifact_refused m@1.\n"
    said = run("snooze", which, "--hours", "2", "--actor", "olga")
    assert said.stdout.startswith(f"Incident {which} is olga's and silent until ")
    assert "[olga]" in run("list").stdout
    assert run("snooze", which, "--hours", "169").exit_code == 2
    assert isinstance(refused(run("ack", which, "--actor", "mallory")), NotPermitted)


def test_alerts_that_nobody_took_are_counted(run: Run, platform: Installation) -> None:
    promise(platform)
    *_, last = run("list").stdout.splitlines()
    assert last.startswith("3 alerts wait to be delivered since ")


def test_a_model_that_nobody_knows_is_a_mistake(run: Run) -> None:
    assert run("list", "--model", "ghost").exit_code == 2


def test_a_person_closes_one_and_says_why(run: Run, platform: Installation) -> None:
    which = number(platform, "artifact_refused")
    said = run("close", which, *BY_OLGA)
    assert (said.exit_code, said.stdout) == (
        0,
        f"Closed incident {which}: artifact_refused m@1.\n",
    )
    with platform.database.begin() as c:
        (event,) = c.execute(select(ledger_event)).mappings()
        state = select(incident.c.state, incident.c.closed_at).where(incident.c.id == int(which))
        closed = c.execute(state).one()
    assert (closed.state, closed.closed_at is not None) == ("closed", True)
    assert (event["subject"], event["actor"]) == (f"incident:{which}", "olga")
    assert event["body"] == {
        "model": "m",
        "kind": "artifact_refused",
        "about": "m@1",
        "summary": "m@1: \x1b[2Jwhy",
        "reason": "gw-b is gone for good",
    }
    assert len(json.loads(run("list", "--json").stdout)) == 2


def test_one_of_a_gateway_is_of_no_model(run: Run, platform: Installation) -> None:
    run("close", number(platform, "log_waiting"), *BY_OLGA)
    with platform.database.begin() as c:
        assert "model" not in c.execute(select(ledger_event.c.body)).scalar_one()


def test_it_says_when_by_the_clock_of_everybody(run: Run, platform: Installation) -> None:
    which = number(platform, "log_waiting")
    run("close", which, *BY_OLGA)
    with platform.database.begin() as c:
        query = "UPDATE incident SET closed_at = '2026-05-01 23:30:00-04' WHERE state = 'closed'"
        c.execute(text(query))
    error = refused(run("close", which, *BY_OLGA))
    assert error.what == f"Incident {which} was closed at 2026-05-02 03:30 UTC."


def test_who_closes_does_not_hold_up_who_rolls_back(run: Run, platform: Installation) -> None:
    """Both take the ledger's turn first, then the incident; else PostgreSQL kills one of them."""
    which = number(platform, "artifact_refused")
    waits = text(
        "SELECT count(*) FROM pg_locks WHERE relation = 'ledger_head'::regclass AND NOT granted"
    )
    with ThreadPoolExecutor(1) as pool, platform.database.begin() as move:
        platform.ledger.take_turn(move)
        closing = pool.submit(run, "close", which, *BY_OLGA)
        while not move.execute(waits).scalar_one():
            assert not closing.done(), closing.result()
            time.sleep(0.01)
        incidents.close_incidents_of(move, version="m@1", at=NOW)
        move.commit()
        error = refused(closing.result(30))
    assert isinstance(error, StateConflict)
    assert f"Incident {which} was closed at" in error.what


def test_what_holds_still_opens_again(run: Run, platform: Installation) -> None:
    run("close", number(platform, "artifact_refused"), *BY_OLGA)
    with platform.database.begin() as c:
        incidents.open_incident(
            c,
            dedupe_key="artifact_refused:m@1",
            kind="artifact_refused",
            subject="m@1",
            summary="again",
            at=NOW,
        )
    assert "m@1  again" in run("list").stdout


def refused(result: Result) -> Any:
    return result.exception


def test_who_may_not(run: Run, platform: Installation) -> None:
    which = number(platform, "artifact_refused")
    error = refused(run("close", which, "--reason", "x", "--actor", "mallory"))
    assert isinstance(error, NotPermitted)
    assert error.what == (
        "mallory may not act on incidents: that needs the role operator, or steward for one about "
        "a dataset."
    )
    assert len(json.loads(run("list", "--json").stdout)) == 3


def test_who_acts_for_another_is_named_beside_her(
    run: Run, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = number(platform, "artifact_refused")
    config = platform.config.model_copy(update={"roles": {Role.OPERATOR: ("olga", "otto")}})
    monkeypatch.setattr("tenure.config.load_platform", lambda _include: config)
    said = run("close", which, "--reason", "she asked me to", "--actor", "otto")
    assert said.exit_code == 0, said.output
    with platform.database.begin() as c:
        event = c.execute(select(ledger_event).order_by(ledger_event.c.seq.desc())).first()
    assert event is not None
    assert (event.actor, event.body["on_behalf_of"]) == ("olga", "otto")


def test_who_is_no_operator_acts_for_nobody(
    run: Run, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a name on the command line were all that it takes."""
    monkeypatch.setattr("tenure.cli.arguments.login_name", lambda: "mallory")
    which = number(platform, "artifact_refused")
    error = refused(run("close", which, *BY_OLGA))
    assert isinstance(error, NotPermitted)
    assert error.what == "mallory may not act on behalf of olga: that needs the role operator."
    assert len(json.loads(run("list", "--json").stdout)) == 3


def test_the_order_to_roll_a_canary_back_is_not_taken_away(
    run: Run, platform: Installation
) -> None:
    which = number(platform, "canary_stopped")
    error = refused(run("close", which, *BY_OLGA))
    assert isinstance(error, StateConflict)
    assert error.what == (
        f"Incident {which} orders that the canary m@2 be rolled back; it closes when that is done."
    )
    assert len(json.loads(run("list", "--json").stdout)) == 3


def test_nothing_to_close(run: Run, platform: Installation) -> None:
    which = number(platform, "log_waiting")
    assert json.loads(run("close", which, *BY_OLGA, "--json").stdout)["state"] == "closed"
    error = refused(run("close", which, *BY_OLGA))
    assert isinstance(error, StateConflict)
    assert error.what.startswith(f"Incident {which} was closed at 2")
    assert refused(run("close", "99999", *BY_OLGA)).what == "There is no incident 99999."


def test_a_reason_is_needed(run: Run, platform: Installation) -> None:
    which = number(platform, "log_waiting")
    assert run("close", which, "--reason", "  ", "--actor", "olga").exit_code == 2
    assert run("close", which, "--actor", "olga").exit_code == 2


def test_a_sev1_is_over_when_it_is_remediated(run: Run, platform: Installation) -> None:
    with platform.database.begin() as c:
        which = str(
            incidents.open_incident(
                c,
                dedupe_key="monitoring:m:fairness",
                kind="fairness_failed",
                subject="m@1",
                summary="0.31 against 0.52",
                at=NOW,
            )
        )
    error = refused(run("close", which, *BY_OLGA))
    assert isinstance(error, StateConflict)
    assert "tenure incident remediate" in error.next_step
    with platform.database.begin() as c:
        incidents.close_incident(c, dedupe_key="monitoring:m:fairness", at=NOW)
    listed = run("list").stdout
    assert "m@1  [restored; remediation which nobody wrote]  0.31 against 0.52" in listed
    assert "3 open, 1 wait for remediation." in listed
    due = f"{datetime.now(UTC) + timedelta(days=7):%Y-%m-%d}"
    words = ("--action", "Train without the postcode.", "--owner", "ada", "--due")
    assert run("remediate", which, *words, "tomorrow", "--actor", "olga").exit_code == 2
    said = run("remediate", which, *words, due, "--actor", "olga", "--json")
    number = json.loads(said.stdout)["remediation"]
    said = run("remediate", which, *words, due, "--actor", "olga")
    assert said.stdout.startswith(f"Remediation {number + 1} of incident {which} is ada's, due on ")
    assert f"[restored; remediation due on {due}]" in run("list").stdout
    assert isinstance(refused(run("remediated", which, "--note", "x")), StateConflict)
    done = ("--note", "m@2 has none.")
    said = run("remediated", which, *done, "--remediation", str(number))
    assert said.stdout == f"Remediation {number} is done; incident {which} is restored.\n"
    shown = run("show", which).stdout
    assert f"Remediation {number} of ada: Train without the postcode.; done by olga 2" in shown
    assert f"Remediation {number + 1} of ada: Train without the postcode.; due on {due}" in shown
    assert "Next step: Service is restored." in shown
    assert json.loads(run("remediated", which, *done, "--json").stdout)["state"] == "closed"
    assert "3 open." in run("list").stdout
    whole = json.loads(run("show", which, "--json").stdout)
    assert [one["done_note"] for one in whole["remediations"]] == ["m@2 has none."] * 2
