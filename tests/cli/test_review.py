"""`tenure review list` says how many there are; `tenure decision show` what a person said."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tenure.adapters.decision_tables import DECISION_FIELDS, decisions_to_parquet
from tenure.adapters.sql import reviews, versions
from tenure.cli import app
from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import micros, partition

pytestmark = pytest.mark.service
MODEL = "flight_late"
FIRST = "01234567-89ab-7cde-8f01-000000000000"


@pytest.fixture
def run(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    settings = platform.settings
    for name in ("home", "database_url", "store_url", "include"):
        monkeypatch.setenv(f"TENURE_{name.upper()}", str(getattr(settings, name)))
    with platform.database.begin() as connection:
        versions.register_model(
            connection, name=MODEL, owner="ada", risk_tier="limited", purpose="tests"
        )
        reviews.add(connection, [queued(platform, number) for number in range(150)])
    return lambda *words: CliRunner().invoke(app, [*words])


def queued(platform: Installation, number: int) -> dict[str, Any]:
    now = platform.clock.now()
    return {
        "decision_id": f"{FIRST[:-3]}{number:03d}",
        "model": MODEL,
        "version": 2,
        "subject": "f" * 32,
        "score": 0.51,
        "decision": True,
        "confidence": 0.51,
        "fallback_level": "model",
        "reason": "low confidence",
        "received_at": now,
        "expires_at": now + timedelta(hours=number + 1),
    }


@pytest.mark.parametrize(
    ("words", "lines", "says"),
    [
        ("", 100, "100 of 150 decisions; --limit 150 lists all."),
        (f"--model {MODEL} --limit 149", 149, "149 of 150 decisions; --limit 150 lists all."),
        ("--limit 150", 150, "150 decisions."),
        ("--limit 151", 150, "150 decisions."),
        ("--state answered", 0, "0 decisions."),
    ],
)
def test_how_many_there_are(run: Callable[..., Result], words: str, lines: int, says: str) -> None:
    done = run("review", "list", *words.split())
    assert done.exit_code == 0
    *rows, last = done.stdout.splitlines()
    assert (len(rows), last) == (lines, says)


def test_a_program_gets_a_list_and_the_word_of_more_beside_it(run: Callable[..., Result]) -> None:
    done = run("review", "list", "--json", "--limit", "2")
    assert len(json.loads(done.stdout)) == 2
    assert done.stderr == "2 of 150 decisions; --limit 150 lists all.\n"
    assert run("review", "list", "--json", "--limit", "150").stderr == ""


def log(platform: Installation, row: dict[str, Any]) -> None:
    at = micros(row["received_at"])
    columns = {name: [row.get(name)] for name in DECISION_FIELDS}
    columns |= {"received_at": [at], "event_time": [at]}
    key = f"{partition('decisions', MODEL, at)}/gw-1.parquet"
    platform.store.put(key, decisions_to_parquet(columns, numeric=[], categorical=[]))


def test_what_a_person_said_stands_beside_the_decision(
    run: Callable[..., Result], platform: Installation
) -> None:
    row = queued(platform, 0)
    log(platform, row | {"version_id": 1, "request_id": "r"})

    def shown() -> str:
        text = run("decision", "show", FIRST).stdout
        return next(one for one in text.splitlines() if one.startswith("review: "))

    assert shown().startswith("review: open, until ")
    now = platform.clock.now()
    with platform.database.begin() as connection:
        reviews.claim(connection, FIRST, user="olga", until=now + timedelta(hours=1), now=now)
        reviews.answer(
            connection, FIRST, user="olga", answer=False, note="paper\x1b[2J seen", now=now
        )
    said = shown()
    assert said.startswith("review: negative, by olga at ")
    assert said.endswith(" (paper\\x1b[2J seen)")
    review = json.loads(run("decision", "show", FIRST, "--json").stdout)["review"]
    assert (review["state"], review["answer"], review["answered_by"]) == ("answered", False, "olga")
    assert "answered (olga: negative)" in run("review", "list", "--state", "answered").stdout


def test_a_decision_that_no_person_was_asked_about(
    run: Callable[..., Result], platform: Installation
) -> None:
    other = FIRST[:-3] + "999"
    log(platform, queued(platform, 0) | {"decision_id": other, "version_id": 1, "request_id": "r"})
    assert "review:" not in run("decision", "show", other).stdout
    assert json.loads(run("decision", "show", other, "--json").stdout)["review"] is None
