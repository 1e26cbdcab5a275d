"""What the shipper of a gateway does to the lifecycle database, on a real PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from tenure.adapters.sql import versions
from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import Trouble
from tenure.usecases.serving import gateway as serving
from tenure.usecases.serving.gateway import GatewayInstallation

pytestmark = pytest.mark.service

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def gateway(platform: Installation) -> Iterator[GatewayInstallation]:
    with platform.database.begin() as connection:
        versions.register_model(
            connection, name="loan_ok", owner="ada", risk_tier="limited", purpose="tests"
        )
    made = GatewayInstallation(platform, "gw-a")
    yield made
    made.source.close()


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "decision_id": f"d{number}",
            "model": "loan_ok",
            "version": 1,
            "subject": "s" * 32,
            "score": 0.5,
            "decision": False,
            "confidence": 0.5,
            "fallback_level": "review",
            "reason": "champion: timeout",
            "received_at": NOW,
        }
        for number in range(count)
    ]


def test_any_number_of_decisions_of_one_segment_is_queued_once(
    gateway: GatewayInstallation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 requests of 1,000 rows in a second: more than one statement has parameters for."""
    for at_once in (5_999, 6_000, 4_000):  # the rest of an earlier try, then all, in pieces
        monkeypatch.setattr(serving, "_ROWS_AT_ONCE", at_once)
        gateway.enqueue_reviews(rows(6_000))
    with gateway.platform.database.begin() as connection:
        query = text("SELECT count(*), min(expires_at), max(expires_at) FROM review")
        count, first, last = connection.execute(query).one()
    assert count == 6_000
    assert first == last == datetime(2026, 1, 4, 12, tzinfo=UTC)


def incidents(gateway: GatewayInstallation) -> list[tuple[str, str, str, str]]:
    query = text("SELECT kind, state, subject, summary FROM incident ORDER BY id")
    with gateway.platform.database.begin() as connection:
        return [(r.kind, r.state, r.subject, r.summary) for r in connection.execute(query)]


def test_trouble_of_a_log_is_one_incident_a_kind_until_it_is_over(
    gateway: GatewayInstallation,
) -> None:
    two = Trouble(("1-a.wal", "2-b.wal"), "1-a.wal: DataError: {a brace} and NUL")
    source = gateway.source
    source.report_log("decisions", {"log_unshippable": Trouble(), "log_waiting": Trouble()})
    assert incidents(gateway) == []
    source.report_log("decisions", {"log_unshippable": Trouble(("1-a.wal",), "x")})
    source.report_log(
        "decisions", {"log_unshippable": two, "log_waiting": Trouble(("3.wal",), "y")}
    )
    source.report_log("outcomes", {"log_damaged": Trouble(("9-z.wal",), "")})
    gateway.source.report_log("decisions", {"log_unshippable": Trouble((), "x")})
    assert incidents(gateway) == [
        (
            "log_unshippable",
            "closed",
            "gw-a",
            "Gateway gw-a, log of decisions: cannot be stored, kept in wal/decisions/unshippable "
            "and tried again every ten minutes and at each start: 1-a.wal and 1 more. "
            "1-a.wal: DataError: {a brace} and NUL",
        ),
        (
            "log_waiting",
            "open",
            "gw-a",
            "Gateway gw-a, log of decisions: everything waits for the store or the database, the "
            "oldest first: 3.wal. y",
        ),
        (
            "log_damaged",
            "open",
            "gw-a",
            "Gateway gw-a, log of outcomes: not as it was written, kept in wal/outcomes/damaged: "
            "9-z.wal.",
        ),
    ]


def test_corrupt_stops_are_one_incident_until_a_person_looked(gateway: GatewayInstallation) -> None:
    for is_corrupt in (False, True, True):
        gateway.source.report_stops(is_corrupt=is_corrupt)
    assert [found[:3] for found in incidents(gateway)] == [("stops_corrupt", "open", "gw-a")]
    gateway.source.report_stops(is_corrupt=False)
    assert [found[1] for found in incidents(gateway)] == ["restored"]


def test_what_was_set_aside_is_an_incident_each_until_it_is_not_any_more(
    gateway: GatewayInstallation,
) -> None:
    long = "model " + "x" * 300
    gateway.source.report_aside({"key a": "ValueError: b", "trial 1": "OSError: c", long: "d"})
    assert [found[:3] for found in incidents(gateway)] == [("set_aside", "open", "gw-a")] * 3
    gateway.source.report_aside({"trial 1": "OSError: c", long: "d"})
    states = [(found[1], found[3]) for found in incidents(gateway)]
    assert [state for state, _ in states] == ["closed", "open", "open"]
    assert "set aside trial 1 and went on with the rest" in states[1][1]
    gateway.source.report_aside({})
    assert {found[1] for found in incidents(gateway)} == {"closed"}
