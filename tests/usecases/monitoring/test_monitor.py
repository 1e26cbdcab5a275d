"""Windows on a real database and store: judged once, inconclusive ones again, pictures after."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import ANY

import pytest

from tenure.adapters import evidently_reporter
from tenure.adapters.sql.monitoring import JudgedWindow
from tenure.layout import report_key
from tenure.usecases.decisions.segments import compact
from tenure.usecases.monitoring.monitor import draw, look, monitor
from tenure.verdicts import Verdict

DAY = timedelta(days=1)


def verdicts(results: list[JudgedWindow]) -> dict[str, str]:
    return {row.kind: row.verdict for row in results}


def test_nothing_to_watch(life: Any) -> None:
    assert monitor(life.platform, "late", life.run()).sentence == "late: no champion serves yet"
    life.champion()
    assert monitor(life.platform, "late", life.run()).sentence == "late: no decision was logged yet"
    assert life.rows("monitoring_result") == []


def test_too_few_decisions_store_nothing(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 299)
    life.watermark(end + DAY)
    seen = monitor(life.platform, "late", life.run())
    assert seen.results == []
    assert "drift: not enough yet, 299 of 300 decisions" in seen.sentence
    assert "performance: not enough yet, 299 of 300 decisions" in seen.sentence
    assert life.rows("report") == []


def test_a_quiet_window_is_judged_once(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 2000)
    life.watermark(end + DAY)
    seen = monitor(life.platform, "late", life.run())
    assert verdicts(seen.results) == {
        "drift": "passed",
        "quality": "passed",
        "performance": "passed",
        "fairness": "passed",
    }
    for row in seen.results:
        assert (row.window_end, row.decisions) == (end, 2000)
        assert row.model_version_id == champion.id
    again = monitor(life.platform, "late", life.run())  # the task was cleared
    assert verdicts(again.results) == verdicts(seen.results)
    other = monitor(life.platform, "late", life.run("run-2"))
    assert other.results == []
    assert len(life.rows("monitoring_result")) == len(life.rows("report")) == 4
    assert life.rows("incident") == []


def test_killed_between_reports_and_results(life: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = life.champion()
    life.watermark(life.ship(champion, 2000) + DAY)
    real = life.platform.clock.now

    def killed() -> datetime:
        if life.rows("report"):
            raise KeyboardInterrupt
        return real()

    monkeypatch.setattr(life.platform.clock, "now", killed)
    with pytest.raises(KeyboardInterrupt):
        monitor(life.platform, "late", life.run())
    assert life.rows("monitoring_result") == []
    monkeypatch.undo()
    assert len(monitor(life.platform, "late", life.run()).results) == 4
    assert len(life.rows("report")) == 4


@pytest.mark.exhaustive
def test_the_next_window_begins_where_the_last_ended(life: Any) -> None:
    champion = life.champion()
    first = life.ship(champion, 400)
    life.watermark(first + DAY)
    monitor(life.platform, "late", life.run())
    second = life.ship(champion, 350, start=first + timedelta(minutes=1))
    life.watermark(second + DAY)
    seen = monitor(life.platform, "late", life.run("run-2"))
    drift = next(row for row in seen.results if row.kind == "drift")
    assert (drift.window_start, drift.window_end) == (first, second)
    assert drift.decisions == 350


def test_performance_waits_for_mature_labels(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 2000)
    seen = monitor(life.platform, "late", life.run())
    assert set(verdicts(seen.results)) == {"drift", "quality"}
    assert "no outcome watermark yet" in seen.sentence
    life.watermark(end - timedelta(minutes=1000) + DAY)
    seen = monitor(life.platform, "late", life.run("run-2"))
    assert set(verdicts(seen.results)) == {"performance", "fairness"}
    assert seen.results[0].decisions == 1000
    assert seen.results[0].window_end == end - timedelta(minutes=1000)


def test_a_planted_decay_opens_an_incident_and_a_recovery_restores_it(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 3000, wrong=0.3)
    life.watermark(end + DAY)
    seen = monitor(life.platform, "late", life.run())
    assert verdicts(seen.results)["performance"] == "failed"
    (incident,) = life.rows("incident")
    assert (incident["kind"], incident["state"]) == ("performance_failed", "open")
    assert "wrong_label_rate 0.300" in incident["summary"]
    end = life.ship(champion, 3000, wrong=0.1, start=end + DAY)
    life.watermark(end + DAY)
    monitor(life.platform, "late", life.run("run-2"))
    assert [row["state"] for row in life.rows("incident")] == ["restored"]


def test_an_inconclusive_window_is_judged_again_with_more(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 400, labelled=False)
    life.watermark(end + DAY)
    seen = monitor(life.platform, "late", life.run())
    assert verdicts(seen.results)["performance"] == "inconclusive"
    again = monitor(life.platform, "late", life.run("run-2"))
    assert "performance: inconclusive so far, and nothing new since" in again.sentence
    assert again.results == []
    later = life.ship(champion, 2000, start=end + timedelta(minutes=1))
    life.watermark(later + DAY)
    seen = monitor(life.platform, "late", life.run("run-3"))
    found = {row.kind: row for row in seen.results}
    assert found["performance"].verdict == "passed"
    assert found["performance"].decisions == 2400
    assert found["drift"].decisions == 2000


def test_drift_and_unseen_values_are_seen(life: Any) -> None:
    champion = life.champion()
    life.ship(champion, 2000, warmer=60.0, carrier="<b>new</b>")
    seen = monitor(life.platform, "late", life.run())
    assert verdicts(seen.results) == {"drift": "failed", "quality": "failed"}
    assert {row["kind"] for row in life.rows("incident")} == {"drift_failed", "quality_failed"}


def test_a_future_event_time_ends_no_window(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 400)
    life.ship(champion, 10, start=datetime(2999, 1, 1, tzinfo=UTC))
    (drift, *_) = monitor(life.platform, "late", life.run()).results
    assert (drift.window_end, drift.decisions) == (end, 400)


def test_decisions_of_another_version_do_not_count(life: Any) -> None:
    life.champion()
    other = life.version()
    life.ship(other, 2000)
    assert monitor(life.platform, "late", life.run()).results == []


def test_look_stores_nothing(life: Any) -> None:
    champion = life.champion()
    assert look(life.platform, "late") == []
    life.watermark(life.ship(champion, 2000) + DAY)
    reports = look(life.platform, "late")
    assert [r.facts["kind"] for r in reports] == ["drift", "quality", "performance", "fairness"]
    assert {r.verdict for r in reports} == {Verdict.PASSED}
    assert life.rows("monitoring_result") == life.rows("report") == []


def test_the_picture_is_drawn_once_and_lies_beside_the_report(
    life: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion = life.champion()
    life.ship(champion, 400, carrier="<script>alert(1)</script>")
    results = monitor(life.platform, "late", life.run()).results
    digest = next(r.report_digest for r in results if r.kind == "drift")
    key = f"reports/{digest[:2]}/{digest}.html"
    assert results[0].facts["drawing"] == key
    assert draw(life.platform, "late", life.run()) == [key]
    page = life.platform.store.get(key)
    assert b"carrier" in page
    assert b"<script>alert(1)" not in page
    monkeypatch.setattr(evidently_reporter, "draw", None)  # a second drawing would fail
    assert draw(life.platform, "late", life.run()) == [key]
    assert draw(life.platform, "late", life.run("run-2")) == []


def test_a_picture_that_fails_is_a_warning(
    life: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    champion = life.champion()
    life.ship(champion, 400)
    monitor(life.platform, "late", life.run())

    def broken(*_: object, **__: object) -> bytes:
        raise ValueError("no picture today")

    monkeypatch.setattr(evidently_reporter, "draw", broken)
    with caplog.at_level(logging.WARNING):
        assert draw(life.platform, "late", life.run()) == []
    assert "cause=ValueError: no picture today" in caplog.text


@pytest.mark.parametrize("is_personal", [False, True])
def test_a_drift_report_holds_the_whole_window_by_bin_and_nothing_that_is_sealed(
    life: Any, *, is_personal: bool
) -> None:
    life.ship(life.champion(), 400, is_personal=is_personal)
    results = monitor(life.platform, "late", life.run()).results
    drift = next(row for row in results if row.kind == "drift")
    report = json.loads(life.platform.store.get(report_key(drift.report_digest)))
    assert {check["subject"] for check in report["checks"]} == {"temp", "carrier", "score"}
    assert report["facts"]["traffic"] == {"decisions": 400, "by_no_model": 0}
    shown = report["facts"]["distributions"]
    assert set(shown) == ({"score"} if is_personal else {"temp", "carrier", "score"})
    assert all(sum(one["current"]) == 400 for one in shown.values())
    assert draw(life.platform, "late", life.run()) == ([] if is_personal else [ANY])


def sums(life: Any, results: list[JudgedWindow]) -> dict[str, Any]:
    report = next(r.report_digest for r in results if r.kind == "drift")
    found: dict[str, Any] = json.loads(life.platform.store.get(report_key(report)))["facts"]["sum"]
    assert found["logged"] == found["judged_before"] + found["judged_here"] + found["waiting"]
    return found


@pytest.mark.exhaustive
def test_what_is_shipped_after_its_window_is_judged_once_and_named(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 2000)
    life.watermark(end + DAY)
    monitor(life.platform, "late", life.run())
    for number in (2, 3):  # two gateways that were cut off for the same hours, one after the other
        life.ship(champion, 400)
        seen = monitor(life.platform, "late", life.run(f"run-{number}"))
        assert set(verdicts(seen.results)) == {"drift", "quality", "performance", "fairness"}
        assert {row.decisions for row in seen.results} == {400}
        assert {row.window_end for row in seen.results} == {end}
        said = "Of its 400 decisions 400, of 2013-06-01 00:00 to 2013-06-01 06:39, were shipped"
        assert all(said in str(row.facts["summary"]) for row in seen.results)
        assert sums(life, seen.results)["late"] == 400
    assert monitor(life.platform, "late", life.run("run-4")).results == []
    later = life.ship(champion, 300, start=end + timedelta(minutes=1))
    life.ship(champion, 20)
    seen = monitor(life.platform, "late", life.run("run-5"))
    assert [(row.kind, row.decisions) for row in seen.results] == [("drift", 320), ("quality", 320)]
    assert sums(life, seen.results) == {
        "logged": 3120,
        "judged_before": 2800,
        "judged_here": 320,
        "waiting": 0,
        "late": 20,
        "missing": 0,
    }
    life.watermark(later + DAY)
    seen = monitor(life.platform, "late", life.run("run-6"))
    assert [row.decisions for row in seen.results] == [320, 320]


def test_few_late_decisions_wait_and_are_named(life: Any) -> None:
    champion = life.champion()
    life.ship(champion, 400)
    monitor(life.platform, "late", life.run())
    life.ship(champion, 20)
    seen = monitor(life.platform, "late", life.run("run-2"))
    late = "20, of 2013-06-01 00:00 to 2013-06-01 00:19, came late"
    assert f"drift: not enough yet, 20 of 300 decisions ({late})" in seen.sentence


@pytest.mark.exhaustive
def test_late_decisions_are_news_to_an_inconclusive_window(life: Any) -> None:
    champion = life.champion()
    end = life.ship(champion, 400, labelled=False)
    life.watermark(end + DAY)
    seen = monitor(life.platform, "late", life.run())
    assert verdicts(seen.results)["performance"] == "inconclusive"
    life.ship(champion, 2000, start=end - timedelta(minutes=1999))
    found = {r.kind: r.decisions for r in monitor(life.platform, "late", life.run("run-2")).results}
    assert found["performance"] == 2400
    assert found["drift"] == 2000


class Ahead:
    """Hours that are being filled now are over."""

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + timedelta(hours=3)


def test_compaction_makes_nothing_late(life: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    champion = life.champion()
    life.ship(champion, 400)
    life.ship(champion, 100)
    monkeypatch.setitem(vars(life.platform), "clock", Ahead())
    monitor(life.platform, "late", life.run())
    assert compact(life.platform).files == 4  # decisions and outcomes
    seen = monitor(life.platform, "late", life.run("run-2"))
    assert "drift: not enough yet, 0 of 300 decisions" in seen.sentence
    life.ship(champion, 350)
    assert compact(life.platform).files == 4
    seen = monitor(life.platform, "late", life.run("run-3"))
    counts = sums(life, seen.results)
    assert (counts["judged_before"], counts["judged_here"], counts["late"]) == (500, 350, 350)
