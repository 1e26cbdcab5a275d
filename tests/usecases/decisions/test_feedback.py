"""Feedback finds its decision, counts once a person, and goes with the person it is about."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tenure.adapters.decision_tables import DECISION_FIELDS, decisions_to_parquet
from tenure.adapters.sql import feedback as table
from tenure.adapters.sql import subject_keys, versions
from tenure.adapters.sql.database import Database
from tenure.errors import NotPermitted, StateConflict, TenureError, TextRefused
from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import micros, partition
from tenure.lifecycle.decisions.feedback import FeedbackSum, FeedbackVerdict
from tenure.usecases.decisions import feedback
from tenure.usecases.decisions.feedback import FeedbackCounts

pytestmark = pytest.mark.service
MODEL = "loan_ok"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ID = "01234567-89ab-7cde-8f01-00000000000{}"
SHOP, BANK = "s" * 32, "b" * 32
ACCEPT, OVERRIDE, WRONG = FeedbackVerdict


class Clock:
    """Stands where it was put."""

    moment = NOON

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log(platform: Installation, clock: Clock) -> Installation:
    """Decisions 0 to 2 are requests of their own, 3 and 4 are rows of one; olga is an operator."""
    platform.__dict__["clock"] = clock
    platform.__dict__["config"] = type(platform.config)(roles={"operator": ("olga", "otto")})
    with platform.database.begin() as connection:
        for name in (MODEL, "other"):
            versions.register_model(
                connection, name=name, owner="ada", risk_tier="limited", purpose="tests"
            )
    for number, request in enumerate(("r0", "r1", "r2", "r3", "r3")):
        ship(platform, number, request)
    return platform


def ship(platform: Installation, number: int, request: str, caller: str = SHOP) -> None:
    columns: dict[str, Any] = {name: [None] for name in DECISION_FIELDS}
    columns |= {"decision_id": [ID.format(number)], "request_id": [request], "caller": [caller]}
    columns |= {"model": [MODEL], "version": [1], "version_id": [11], "decision": [True]}
    columns |= {"subject": [f"{number}" * 32]}
    columns |= {"received_at": [micros(NOON)], "event_time": [micros(NOON)]}
    key = f"{partition('decisions', MODEL, micros(NOON))}/d-{number}.parquet"
    platform.store.put(key, decisions_to_parquet(columns, numeric=[], categorical=[]))


def send(platform: Installation, **fields: Any) -> str:
    """As a gateway keeps it; returns its id."""
    piece = platform.ids.new()
    row: dict[str, Any] = {
        "feedback_id": piece,
        "model": MODEL,
        "decision_id": None,
        "request_id": None,
        "caller": None,
        "given_by": "key:shop",
        "person": "",
        "verdict": "wrong",
        "reason": "it snowed",
        "answer": None,
        "received_at": platform.clock.now(),
    }
    with platform.database.begin() as connection:
        for _ in range(2):  # a segment may be shipped twice
            table.add(connection, [row | fields])
    return piece


def rows(platform: Installation) -> list[dict[str, Any]]:
    with platform.database.begin() as connection:
        found = connection.execute(text("SELECT * FROM feedback ORDER BY decision_id, feedback_id"))
        return [dict(row) for row in found.mappings()]


def sums(platform: Installation) -> FeedbackSum:
    with platform.database.begin() as connection:
        return table.sums(connection, MODEL)


def incidents(platform: Installation, state: str = "open") -> list[str]:
    with platform.database.begin() as connection:
        query = f"SELECT summary FROM incident WHERE state = '{state}'"
        return list(connection.execute(text(query)).scalars())


def test_it_is_joined_to_its_decision_by_id_and_by_request(log: Installation) -> None:
    send(log, decision_id=ID.format(0))
    send(log, request_id="r1", caller=SHOP)
    send(log, request_id="r2")
    assert feedback.join(log) == FeedbackCounts(joined=3, waiting=0, unmatched=0)
    assert feedback.join(log) == FeedbackCounts(0, 0, 0)
    assert [row["decision_id"] for row in rows(log)] == [ID.format(n) for n in range(3)]
    first = rows(log)[0]
    assert (first["state"], first["version"], first["version_id"]) == ("joined", 1, 11)
    assert (first["answered"], first["decided_at"], first["subject"]) == (True, NOON, "0" * 32)
    assert sums(log) == FeedbackSum(counted=3)
    assert incidents(log) == []


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ({"decision_id": ID.format(9)}, f"the decision log has no decision {ID.format(9)}"),
        ({"decision_id": ID.format(0), "model": "other"}, f"{ID.format(0)} is one of loan_ok"),
        ({"request_id": "r9"}, "no request r9 of this caller"),
        ({"request_id": "r1", "caller": BANK}, "no request r1 of this caller"),
        ({"request_id": "r3"}, "2 decisions have the request id r3: name the decision id"),
    ],
)
def test_what_means_no_one_decision_waits_then_tells_the_owner_once(
    log: Installation, clock: Clock, named: dict[str, Any], why: str
) -> None:
    send(log, **named)
    assert feedback.join(log) == FeedbackCounts(0, waiting=1, unmatched=0)
    assert incidents(log) == []
    clock.moment = NOON + timedelta(hours=1)
    assert feedback.join(log) == FeedbackCounts(0, 0, unmatched=1)
    for hours in (2, 3, 9):
        clock.moment = NOON + timedelta(hours=hours)
        assert feedback.join(log) == FeedbackCounts(0, 0, 0)
    assert rows(log)[0]["state"] == "unmatched"
    assert why in rows(log)[0]["why"]
    (told,) = incidents(log)
    assert told.startswith("No one decision is meant by 1 piece of feedback about")
    assert why in told
    assert "key:shop" in told


def test_a_decision_that_is_shipped_late_is_still_found(log: Installation, clock: Clock) -> None:
    send(log, decision_id=ID.format(7))
    clock.moment = NOON + timedelta(hours=2)
    feedback.join(log)
    assert sums(log) == FeedbackSum(unmatched=1)
    ship(log, 7, "r7")
    clock.moment = NOON + timedelta(hours=5)
    assert feedback.join(log).joined == 1
    assert sums(log) == FeedbackSum(counted=1)
    assert incidents(log) == []
    assert len(incidents(log, "closed")) == 1


def test_two_callers_of_one_request_id_are_told_apart(log: Installation) -> None:
    ship(log, 5, "r1", BANK)
    send(log, request_id="r1", caller=BANK)
    send(log, request_id="r1")
    assert feedback.join(log) == FeedbackCounts(joined=1, waiting=1, unmatched=0)
    joined, waiting = rows(log)
    assert joined["decision_id"] == ID.format(5)
    assert waiting["why"] == "2 callers have the request id r1: name the decision id"


def test_the_newest_of_one_person_counts(log: Installation) -> None:
    same = {"decision_id": ID.format(0)}
    send(log, **same, verdict="accept", reason="")
    send(log, **same, received_at=NOON + timedelta(minutes=1))
    send(log, **same, received_at=NOON + timedelta(minutes=1))
    send(log, **same, person="p" * 32, verdict="accept", reason="")
    send(log, **same, given_by="key:bank", verdict="override", received_at=NOON)
    feedback.join(log)
    assert sums(log) == FeedbackSum(counted=3, replaced=2)
    with log.database.begin() as connection:
        objections = table.objections(connection, 11)
        accepted = table.accepted(connection, 11, after=NOON - timedelta(hours=1), until=NOON)
    assert sorted((one.given_by, one.verdict) for one in objections) == [
        ("key:bank", "override"),
        ("key:shop", "wrong"),
    ]
    assert accepted == 1


def test_a_person_of_the_pages_gives_it_at_once(log: Installation) -> None:
    same = {"model": MODEL, "user": "olga", "verdict": OVERRIDE, "reason": "paper file seen"}
    for answer in ("true", "false"):
        feedback.give(log, ID.format(0), **same, answer=answer)
    assert sums(log) == FeedbackSum(counted=1, replaced=1)
    newest = rows(log)[-1]
    assert (newest["state"], newest["given_by"], newest["answer"]) == ("joined", "user:olga", False)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"user": "vera"}, NotPermitted, "vera may not give feedback"),
        ({"reason": ""}, TextRefused, "reason has 0 characters"),
        ({"reason": "\x00"}, TextRefused, "reason has U"),
        ({"answer": "perhaps"}, TextRefused, "'perhaps' is no answer of loan_ok"),
        ({"verdict": ACCEPT, "answer": "true"}, TextRefused, "has no other answer"),
        ({"decision_id": ID.format(9)}, StateConflict, "has no decision"),
        ({"model": "other"}, StateConflict, "has no decision"),
    ],
)
def test_what_a_page_refuses(
    log: Installation, changes: dict[str, Any], error: type[TenureError], said: str
) -> None:
    asked = {
        "decision_id": ID.format(0),
        "model": MODEL,
        "user": "olga",
        "verdict": WRONG,
        "reason": "no",
    }
    asked |= changes
    with pytest.raises(error, match=said):
        feedback.give(log, asked.pop("decision_id"), **asked)
    assert rows(log) == []


def test_what_is_about_an_erased_person_says_nothing_more(log: Installation) -> None:
    send(log, decision_id=ID.format(0), answer=True)
    send(log, decision_id=ID.format(1))
    feedback.join(log)
    with log.database.begin() as connection:
        assert table.forget(connection, ["0" * 32], at=NOON) == 1
        assert table.forget(connection, ["0" * 32], at=NOON) == 0
        subject_keys.destroy(connection, "2" * 32, at=NOON)
    send(log, decision_id=ID.format(2), reason="she moved to Bern")
    feedback.join(log)
    assert [row["reason"] for row in rows(log)] == ["", "it snowed", ""]
    assert [row["answer"] for row in rows(log)] == [None, None, None]
    assert sums(log) == FeedbackSum(counted=3)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE feedback SET verdict = 'accept'",
        "UPDATE feedback SET reason = 'fine'",
        "UPDATE feedback SET reason = ''",
        "UPDATE feedback SET answer = 'true'",
        "UPDATE feedback SET given_by = 'key:bank'",
        "UPDATE feedback SET received_at = now()",
        "UPDATE feedback SET decision_id = 'x'",
        "UPDATE feedback SET version = 2",
        "UPDATE feedback SET state = 'unmatched'",
        "DELETE FROM feedback",
        "TRUNCATE feedback",
    ],
)
def test_what_was_given_stays(log: Installation, change: str) -> None:
    send(log, decision_id=ID.format(0))
    feedback.join(log)
    refused = pytest.raises(StateConflict, match=r"stays as it was given|is append-only")
    with refused, log.database.begin() as connection:
        connection.execute(text(change))


@pytest.fixture
def as_gateway(log: Installation) -> Iterator[Database]:
    url = log.settings.database_url.replace("postgres@", "tenure_gateway@")
    made = Database(url)
    yield made
    made.dispose()


def test_a_gateway_keeps_feedback_and_nothing_else(log: Installation, as_gateway: Database) -> None:
    row = {
        "feedback_id": ID.format(8),
        "model": MODEL,
        "decision_id": ID.format(0),
        "request_id": None,
        "caller": None,
        "given_by": "key:shop",
        "person": "",
        "verdict": "accept",
        "reason": "",
        "answer": None,
        "received_at": NOON,
    }
    for _ in range(2):
        with as_gateway.begin() as connection:
            table.add(connection, [row, row | {"feedback_id": ID.format(9)}])
    assert len(rows(log)) == 2
    for statement in (
        "SELECT * FROM feedback",
        "UPDATE feedback SET reason = ''",
        "INSERT INTO feedback (feedback_id, state) VALUES ('x', 'joined')",
        "DELETE FROM feedback",
    ):
        denied = pytest.raises(DBAPIError, match="permission denied")
        with denied, as_gateway.begin() as connection:
            connection.execute(text(statement))
