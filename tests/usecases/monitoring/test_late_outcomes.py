"""Outcomes that come after their decisions were judged are judged once more, and the sum closes."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tenure.layout import report_key
from tenure.usecases.monitoring.monitor import monitor

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def late(life: Any) -> list[dict[str, Any]]:
    return [row for row in life.rows("monitoring_result") if row["kind"] == "late_outcomes"]


def outcomes(life: Any, row: dict[str, Any]) -> dict[str, int]:
    body = json.loads(life.platform.store.get(report_key(row["report_digest"])))
    found: dict[str, int] = body["facts"]["outcomes"]
    assert found["received"] == sum(found.values()) - found["received"]
    return {name: number for name, number in found.items() if number}


def judged(life: Any) -> Any:
    """1,000 decisions of which 600 had an outcome, 120 of these a wrong decision."""
    champion = life.champion()
    life.last = life.ship(champion, 1000, labelled=False)
    life.label(1, 600, wrong=120)
    life.watermark(life.last + DAY)
    monitor(life.platform, "late", life.run())
    return champion


def test_labels_that_come_later_are_judged_once(life: Any) -> None:
    champion = judged(life)
    (performance,) = [r for r in life.rows("monitoring_result") if r["kind"] == "performance"]
    assert performance["facts"]["cells"] == [240, 60, 60, 240]
    assert outcomes(life, performance) == {"received": 600, "judged_here": 600}
    assert late(life) == []
    life.ship(champion, 30, start=life.last + MINUTE)  # waits for more, and its labels with it
    life.label(1, 1000, wrong=120)
    seen = monitor(life.platform, "late", life.run("run-2"))
    assert "late@1: late_outcomes passed" in seen.sentence
    (row,) = late(life)
    assert (row["verdict"], row["decisions"]) == ("passed", 1000)
    assert row["facts"]["summary"].startswith(
        "Late outcomes passed: of 1,000 decisions that were judged before, 600 had an outcome (the "
        "decision was wrong in 120) then and 1,000 had an outcome (the decision was wrong in 120) "
        "now. Judged again: Performance passed"
    )
    assert outcomes(life, row) == {
        "received": 1630,
        "judged_before": 1000,
        "waiting": 30,
        "replaced": 600,
    }
    monitor(life.platform, "late", life.run("run-3"))
    assert len(late(life)) == 1


@pytest.mark.exhaustive
def test_labels_that_are_corrected_later_open_an_incident(life: Any) -> None:
    judged(life)
    life.label(1, 1000, wrong=500)
    monitor(life.platform, "late", life.run("run-2"))
    assert [row["verdict"] for row in late(life)] == ["failed"]
    (told,) = [row for row in life.rows("incident") if row["state"] == "open"]
    assert told["kind"] == "late_outcomes_failed"
    assert "(the decision was wrong in 500) now" in told["summary"]
    life.label(1, 1000, wrong=120)
    monitor(life.platform, "late", life.run("run-3"))
    assert [row["verdict"] for row in late(life)] == ["failed", "passed"]
    assert [row for row in life.rows("incident") if row["state"] == "open"] == []


@pytest.mark.exhaustive
def test_labels_of_a_version_that_serves_no_more(life: Any) -> None:
    champion = judged(life)
    life.succeed(champion)
    life.label(1, 1000, wrong=120)
    seen = monitor(life.platform, "late", life.run("run-2"))
    assert [row.kind for row in seen.former] == ["late_outcomes"]
    assert monitor(life.platform, "late", life.run("run-3")).former == []


def test_outcomes_that_name_no_decision_are_counted(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 1000)
    life.label(77, 5)
    life.watermark(end + DAY)
    monitor(life.platform, "late", life.run())
    (row,) = [r for r in life.rows("monitoring_result") if r["kind"] == "performance"]
    assert outcomes(life, row) == {"received": 1005, "judged_here": 1000, "unmatched": 5}
    assert "5 of 1,005 outcomes name no decision of the log" in row["facts"]["remarks"]
