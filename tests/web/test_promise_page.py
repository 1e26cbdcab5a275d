"""The page Promise: the sentence, what was sent, and each stream with its reason."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from page_reader import FakeGuard
from watched_streams import WatchedStreams

from tenure.adapters.sql import incidents
from tenure.installation import Installation

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_before_anything_serves(client: TestClient, platform: Installation) -> None:
    text = words(client.get("/promise").text)
    assert "No champion serves yet" in text
    assert "Promised 0 of 0 streams" in text


def test_a_champion_of_which_no_day_was_judged(client: TestClient, life: Any) -> None:
    life.whole()
    text = words(client.get("/promise?model=flight_late").text)
    assert "Streams of flight_late@2 None was judged yet" in text


def test_the_promise_and_what_was_sent(
    client: TestClient,
    life: Any,
    platform: Installation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life.whole()
    with platform.database.begin() as connection:
        version = connection.exec_driver_sql(
            "SELECT id FROM model_version WHERE state = 'champion'"
        ).scalar_one()
        for kind, days in (("stream_alarm", 3), ("stream_alarm", 100), ("performance_failed", 9)):
            incidents.open_incident(
                connection,
                dedupe_key=f"{kind} {days}",
                kind=kind,
                subject="flight_late@2",
                summary="it changed",
                at=platform.clock.now() - timedelta(days=days),
            )
    WatchedStreams(platform, platform.clock.now()).fill(version)
    html = client.get("/promise").text
    text = words(html)
    assert (
        "While nothing changes, this installation sends in expectation at most 3 pages a quarter "
        "about drift, performance and fairness together; here is how many it sent." in text
    )
    assert "Sent in the last 91 days 1 " in text  # of a hundred days ago is not of this quarter
    assert "1 such incident was opened: 1 performance failed" in text
    assert "Promised 4 of 6 streams" in text
    assert "Tested on their own history 5 of 6" in text
    assert "one day: neighboring windows are alike, correlation 0." in text
    assert "one day: 23 of 60 windows" in text or "one day: 24 of 60 windows" in text
    assert "changed alarm of the window from" in text
    assert html.count('<svg class="plot"') == 4
    assert "FDR" not in html
    assert "95%" not in html
    assert 'href="/promise"' in client.get("/").text or "/promise" in client.get("/").text
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"flight_late__train_model"}))
    hidden = words(client.get("/promise?model=flight_late").text)
    assert "feature temp" not in hidden
    assert "1 of models that you may not see is left out" in hidden
