"""The page of a canary: while it runs, when it is over, and where there never was one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from page_reader import FakeGuard

from tenure.adapters.sql import versions

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow
NASTY = '<script>document.title="owned"</script>'
PAGE = "/tenure/model/flight_late/canary"
SENTENCE = (
    "challenger 96 wrong of 360, champion 840 of 2,520: relative risk 0.8, E = 0.00245 &lt; 40 of "
    "harm, E = 31.3 ≥ 20 that it is below 1.15: waits at 50% after 24 analyses."
)


def test_a_running_canary_says_where_it_stands_and_what_it_waits_for(
    life: Any, client: TestClient
) -> None:
    life.whole()
    html = client.get(PAGE).text
    assert SENTENCE in html
    assert 'data-refresh="15"' in html
    assert html.count('class="mark harm"') == 48  # 24 analyses of two metrics
    assert "<title>5% from" in html
    assert "<title>50% from" in html
    assert "360 of 500 subjects of the challenger for wrong label" in html
    assert "At the earliest <strong>" in html
    for words in (
        "10,560, of which 7,680 have a final label",
        "1,200 made before the first plan",
        "2 shipped a second time",
    ):
        assert words in html, words
    assert "320 of 640 subjects were the challenger" in html


def test_groups_are_listed_and_what_cannot_be_judged_says_why(
    life: Any, client: TestClient
) -> None:
    life.whole()
    html = client.get(PAGE).text
    row = html.split("carrier EV</td>")[1].split("</tr>")[0]
    assert re.search(r"(?s)passed.*33 of 120.*281 of 840.*>0\.819<", row)
    assert "too small" in html.split("carrier missing</td>")[1].split("</tr>")[0]
    assert "<strong>race</strong> is not judged: features are sealed" in html
    assert "that is reported only" in html
    assert NASTY not in html


def test_the_pages_around_lead_to_it(life: Any, client: TestClient) -> None:
    life.whole()
    for path in ("/", "/model/flight_late", "/model/flight_late/version/3"):
        assert "/tenure/model/flight_late/canary" in client.get(f"/tenure{path}").text, path
    assert "canary?version" not in client.get("/tenure/model/flight_late/version/2").text


def test_a_model_without_a_canary_says_so_and_an_unknown_one_is_absent(
    life: Any, client: TestClient
) -> None:
    life.dataset()
    with life.platform.database.begin() as connection:
        versions.register_model(
            connection, name="flight_late", owner="ada", risk_tier="limited", purpose="x"
        )
    answer = client.get(PAGE)
    assert (answer.status_code, "flight_late never had a canary" in answer.text) == (200, True)
    assert "data-refresh" not in answer.text
    assert client.get("/tenure/model/other/canary").status_code == 404
    assert client.get(f"{PAGE}?version=3").status_code == 404


def test_an_operator_rolls_back_with_a_reason_after_a_dry_run(
    life: Any, client: TestClient
) -> None:
    life.whole()
    deed = f"{PAGE}/3"
    none = client.post(f"{deed}/plan/roll_back", json={"note": " "})
    assert (none.status_code, "no reason was given" in none.json()["error"]) == (403, True)
    dry = client.post(f"{deed}/plan/roll_back", json={"note": "complaints"}).json()
    assert dry["sentence"] == (
        "flight_late@3 (canary) loses all traffic; flight_late@2 serves 100%."
    )
    stale = client.post(f"{deed}/do/roll_back", json={"note": "complaints", "seen": "x"})
    assert stale.status_code == 409
    assert client.get(PAGE).text.count("Rolled back by") == 0
    body = {"note": "complaints", "seen": dry["seen"]}
    done = client.post(f"{deed}/do/roll_back", json=body)
    assert (done.status_code, "Plan generation 5." in done.json()["done"]) == (200, True)
    html = client.get(PAGE).text
    assert "Rolled back by olga: complaints" in html
    assert "Last analysis: challenger 96 wrong of 360" in html
    assert ("data-refresh" in html, "data-plan" in html) == (False, False)
    again = client.post(f"{deed}/plan/roll_back", json={"note": "complaints"}).json()
    assert (again["changes"], "rolled back already" in again["sentence"]) == (False, True)


def test_who_is_no_operator_reads_a_sentence_and_is_refused(
    life: Any, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.whole()
    monkeypatch.setattr(FakeGuard, "user", "mallory")
    html = client.get(PAGE).text
    assert "mallory may watch this canary" in html
    assert "data-plan" not in html
    refused = client.post(f"{PAGE}/3/plan/roll_back", json={"note": "complaints"})
    assert (refused.status_code, "needs the role operator" in refused.json()["error"]) == (
        403,
        True,
    )


def test_a_canary_whose_lease_ended_says_that_the_champion_serves(
    life: Any, client: TestClient
) -> None:
    life.now -= timedelta(minutes=5)
    life.whole()
    html = client.get(PAGE).text
    assert "no analysis renewed it: the champion serves 100%" in html
    assert "<title>0% from" in html  # the step down in the plot of the share
