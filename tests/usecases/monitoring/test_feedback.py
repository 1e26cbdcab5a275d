"""Objections cluster by segment: one item for the owner, however often it is looked at."""

from datetime import timedelta
from typing import Any

import pytest

from tenure.adapters.sql import feedback as table
from tenure.usecases.decisions import feedback
from tenure.usecases.monitoring.monitor import monitor

DAY = timedelta(days=1)


def send(life: Any, ids: list[str], *, verdict: str = "override", person: str = "") -> None:
    rows = [
        {
            "feedback_id": life.platform.ids.new(),
            "model": "late",
            "decision_id": one,
            "request_id": None,
            "caller": None,
            "given_by": "key:shop",
            "person": person,
            "verdict": verdict,
            "reason": "" if verdict == "accept" else "strike at the airport",
            "answer": None,
            "received_at": life.platform.clock.now(),
        }
        for one in ids
    ]
    with life.platform.database.begin() as connection:
        table.add(connection, rows)
    feedback.join(life.platform)


def results(life: Any) -> list[dict[str, Any]]:
    return [row for row in life.rows("monitoring_result") if row["kind"] == "feedback"]


def incidents(life: Any, state: str = "open") -> list[dict[str, Any]]:
    found = [row for row in life.rows("incident") if row["kind"] == "feedback_failed"]
    return [row for row in found if row["state"] == state]


def look(life: Any, run: str) -> str:
    sentence: str = monitor(life.platform, "late", life.run(run)).sentence
    return sentence


@pytest.mark.parametrize("is_personal", [False, True])
def test_twenty_overrides_in_one_segment_tell_the_owner_once(life: Any, is_personal: bool) -> None:
    champion = life.champion()
    life.ship(champion, 400, labelled=False, is_personal=is_personal)
    look(life, "run-0")
    assert results(life) == []
    united = [f"1-{n}" for n in range(0, 60, 3)]  # every third flies with UA
    send(life, united)
    send(life, ["1-1", "1-2"], verdict="accept")
    send(life, united, verdict="wrong", person="p")  # a second person about the same decisions
    assert "feedback failed" in look(life, "run-1")
    (row,) = results(life)
    assert row["facts"]["summary"].startswith(
        "Feedback failed: people objected to 20 of 400 decisions (5.0%, 3.3% to 7.6%); 1 segment "
        "stands out, most carrier = UA: 20 of 134, at least "
    )
    (told,) = incidents(life)
    assert told["summary"] == row["facts"]["summary"]
    assert "strike" not in str(told)  # what people wrote may be erased; an incident is not
    look(life, "run-2")
    assert (len(results(life)), [one["seen"] for one in incidents(life)]) == (1, [1])
    send(life, [f"1-{n}" for n in range(60, 72, 3)])
    look(life, "run-3")
    assert (len(results(life)), [one["seen"] for one in incidents(life)]) == (2, [2])


@pytest.mark.exhaustive
def test_objections_anywhere_raise_nothing_and_close_the_incident(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 400, labelled=False)
    send(life, [f"1-{n}" for n in range(0, 60, 3)])
    look(life, "run-1")
    assert len(incidents(life)) == 1
    life.ship(champion, 400, start=end + 40 * DAY, labelled=False)
    send(life, [f"2-{n}" for n in range(10)])
    assert "feedback passed" in look(life, "run-2")
    assert results(life)[-1]["decisions"] == 400  # of the last 30 days
    assert incidents(life) == []
    assert len(incidents(life, "closed")) == 1
