"""Streams on a real database and store: state that no order changes, and one page for a window."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from tenure.adapters.sql import streams
from tenure.installation import Installation
from tenure.usecases.incidents.open_incident import open_incident
from tenure.usecases.monitoring.budget import watch_streams
from tenure.usecases.monitoring.monitor import monitor
from tenure.usecases.monitoring.window import WatchedModel, find

DAY = timedelta(days=1)
BEGIN = datetime(2013, 6, 1, tzinfo=UTC)
JUNE = BEGIN.date()
A_DAY = 320
"""Decisions; the model's windows need 300."""
FEATURES = {"all features", "feature carrier", "feature temp", "score"}


def ship(life: Any, champion: Any, days: Iterable[int], **changes: Any) -> None:
    for day in days:
        life.ship(champion, A_DAY, start=BEGIN + day * DAY, **changes)


def watch(life: Any, platform: Installation | None = None) -> str:
    platform = platform or life.platform
    watched = find(platform, "late")
    assert isinstance(watched, WatchedModel)
    return watch_streams(platform, watched)


def state(life: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Everything but when it was stored, in an order of its own."""
    windows = life.rows("stream_window")
    found = [{k: v for k, v in r.items() if k != "judged_at"} for r in life.rows("watched_stream")]

    def key(row: dict[str, Any]) -> tuple[str, str]:
        return row["stream"], str(row.get("start"))

    return sorted(windows, key=key), sorted(found, key=key)


def windows(life: Any, stream: str) -> list[dict[str, Any]]:
    """Of one stream, oldest first."""
    return [row for row in state(life)[0] if row["stream"] == stream]


def forget(life: Any) -> None:
    with life.platform.database.begin() as connection:
        for table in ("stream_window", "watched_stream", "stream_count"):
            connection.exec_driver_sql(f"DELETE FROM {table}")


def test_days_in_any_order_twice_and_after_a_restart_leave_the_same_state(life: Any) -> None:
    champion = life.champion()
    order = list(range(70))
    Random(7).shuffle(order)
    for begin in range(0, 70, 20):
        ship(life, champion, order[begin : begin + 20])
        watch(life)
    ship(life, champion, [70])
    watch(life)
    first = state(life)
    assert {row["stream"] for row in first[0]} == FEATURES
    assert len(first[0]) == 70 * len(FEATURES)  # day 70 is not over
    watch(life)
    assert state(life) == first
    restarted = Installation(replace(life.platform.settings))
    watch(life, restarted)
    restarted.database.dispose()
    assert state(life) == first
    forget(life)  # restored from an older backup: all days at once, in order
    watch(life)
    assert state(life) == first


@pytest.mark.exhaustive
def test_late_decisions_and_late_labels_replace_their_window(life: Any) -> None:
    champion = life.champion()
    ship(life, champion, range(4), labelled=False)
    life.watermark(BEGIN + 10 * DAY)
    watch(life)
    performance = windows(life, "performance")
    assert [(w["state"], w["rows"]) for w in performance] == [("inconclusive", 0)] * 3
    before = windows(life, "feature temp")
    life.label(2, 310, wrong=31)  # the second day's
    late = BEGIN + timedelta(hours=12)  # of the first day
    life.ship(champion, 50, start=late, warmer=30, labelled=False)
    watch(life)
    _, mine, _ = windows(life, "performance")
    assert (mine["start"], mine["state"], mine["rows"]) == (JUNE + DAY, "reported", 310)
    assert mine["effect"] == pytest.approx(0.1)
    after = windows(life, "feature temp")
    assert (before[0]["rows"], after[0]["rows"]) == (320, 370)
    assert after[0]["effect"] > before[0]["effect"] + 0.05
    assert after[1:] == before[1:]
    found = state(life)
    forget(life)
    watch(life)
    assert state(life) == found


def test_a_change_of_a_promised_stream_is_one_page(life: Any) -> None:
    champion = life.champion()
    ship(life, champion, range(66))
    said = monitor(life.platform, "late", life.run()).sentence
    assert "4 of 5 streams promised, 0 pages" in said
    assert [r for r in life.rows("incident") if r["kind"] == "stream_alarm"] == []
    ship(life, champion, range(66, 78), warmer=8)
    monitor(life.platform, "late", life.run("run-2"))
    monitor(life.platform, "late", life.run("run-3"))
    pages = [r for r in life.rows("incident") if r["kind"] == "stream_alarm"]
    alarms = [w for w in life.rows("stream_window") if w["state"] == "alarm"]
    assert {w["stream"] for w in alarms} == {"feature temp", "all features"}
    assert len(pages) == len({w["start"] for w in alarms})
    assert {p["seen"] for p in pages} == {1}
    page = pages[0]
    assert (page["subject"], page["severity"], page["state"]) == ("late@1", "sev2", "open")
    assert "feature temp" in page["summary"]
    assert "Next, below their thresholds: " in page["summary"]
    assert JUNE + 66 * DAY <= alarms[0]["start"] <= JUNE + 72 * DAY


@pytest.mark.exhaustive
def test_a_change_that_ended_closes_its_page(life: Any) -> None:
    champion = life.champion()
    ship(life, champion, range(66))
    ship(life, champion, range(66, 74), warmer=8)
    watch(life)
    assert {r["state"] for r in life.rows("incident")} == {"open"}
    ship(life, champion, range(74, 95))
    watch(life)
    assert {r["state"] for r in life.rows("incident")} == {"closed"}


@pytest.mark.exhaustive
def test_what_was_over_before_it_was_seen_sends_nothing(life: Any) -> None:
    champion = life.champion()
    ship(life, champion, range(66))
    ship(life, champion, range(66, 74), warmer=8)
    ship(life, champion, range(74, 95))
    watch(life)
    alarms = [w for w in life.rows("stream_window") if w["state"] == "alarm"]
    assert alarms
    assert all(w["is_over"] for w in alarms)
    assert life.rows("incident") == []


@pytest.mark.exhaustive
def test_a_smaller_budget_raises_the_thresholds_of_new_windows_only(life: Any) -> None:
    champion = life.champion()
    ship(life, champion, range(63))
    watch(life)
    path = life.platform.settings.include / "configs" / "platform.yaml"
    path.write_text(path.read_text() + "monitoring: {pages_per_quarter: 0.5}\n")
    other = Installation(replace(life.platform.settings))
    ship(life, champion, range(63, 65))
    watch(life, other)
    other.database.dispose()
    mine = windows(life, "score")
    assert {w["quarters"] for w in mine[:62]} == {5 / 3}
    assert {w["quarters"] for w in mine[62:]} == {10.0}


@pytest.mark.exhaustive
def test_a_new_version_has_the_history_of_its_features(life: Any) -> None:
    """Not of scores, which are its own; what another version read is no history of it."""
    first = life.champion()
    ship(life, first, range(62))
    fresh = life.succeed(first)
    ship(life, fresh, range(62, 66))
    monitor(life.platform, "late", life.run())
    mine = {row["stream"]: row for row in state(life)[1] if row["model_version_id"] == fresh.id}
    assert {name for name, row in mine.items() if row["since"]} == FEATURES - {"score"}
    assert mine["score"]["why"].startswith("one day: 3 of 60 windows")


def test_what_is_no_alarm_any_more_is_over(life: Any) -> None:
    """Late rows changed its window: nothing else would ever close the page."""
    champion = life.champion()
    ship(life, champion, range(3))
    key = f"monitoring:late:{streams.STREAM_ALARM}:"
    for name in (f"{key}2013-06-02", "monitoring:late:drift"):
        open_incident(life.platform, name, streams.STREAM_ALARM, "late@1", "It moved.")
    watch(life)
    found = {row["dedupe_key"]: row["state"] for row in life.rows("incident")}
    assert found == {f"{key}2013-06-02": "closed", "monitoring:late:drift": "open"}


def test_every_champion_counts(life: Any) -> None:
    with life.platform.database.begin() as connection:
        assert streams.streams_served(connection) == 1  # nobody serves: never divide by none
    life.champion()
    with life.platform.database.begin() as connection:
        assert streams.streams_served(connection) == 2 + streams.OF_EVERY_MODEL
