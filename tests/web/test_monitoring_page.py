"""The monitoring page over a real database: the worst first, every gap with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from judged_windows import (
    FAILED,
    INCONCLUSIVE,
    PASSED,
    JudgedWindows,
    coverage,
    drift,
    metric,
    pictured,
)
from page_reader import FakeGuard

from tenure.adapters.sql import incidents, versions
from tenure.installation import Installation
from tenure.verdicts import Check, Verdict
from tenure.views.monitoring import MonitoringPage, monitoring_page

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow
PAGE = "/model/flight_late/monitoring"
NASTY = '<script>document.title="owned"</script>'


@pytest.fixture
def served(life: Any) -> Any:
    """A model with two versions that served, not monitored yet."""
    with life.platform.database.begin() as connection:
        versions.register_model(
            connection, name="flight_late", owner="ada", risk_tier="limited", purpose="tests"
        )
    life.first, life.second = life.version(1), life.version(2)
    life.champion(life.first)
    life.champion(life.second, after=life.first)
    life.windows = JudgedWindows(life.platform, life.now)
    return life


def words(html: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", html).split()))


def titles(html: str) -> list[str]:
    return [unescape(one) for one in re.findall(r"<title>(version [^<]*)</title>", html)]


def nothing(served: Any) -> None:
    """No window."""


def one_window(served: Any) -> None:
    served.windows.add(served.second, "performance", 1, [metric(0.2), coverage()])


def inconclusive(served: Any) -> None:
    check = metric(0.23, INCONCLUSIVE)
    served.windows.add(served.second, "performance", 1, [check, coverage()])


def undefined(served: Any) -> None:
    served.windows.add(served.second, "performance", 2, [metric(0.2), coverage()])
    served.windows.add(served.second, "performance", 1, [metric(None), coverage()])


def gap(served: Any) -> None:
    add = served.windows.add
    add(served.second, "performance", 2, [metric(0.2), coverage()])
    add(served.second, "performance", 1, [coverage(0.1)], summary="Labels of 10% only.")


def two_versions(served: Any) -> None:
    served.windows.add(served.first, "drift", 3, [drift("temp", 0.1)], **pictured("temp"))
    served.windows.add(served.second, "drift", 1, [drift("temp", 0.4)], **pictured("temp"))


def many_windows(served: Any) -> None:
    for day in range(63, 0, -1):
        served.windows.add(served.second, "performance", day, [metric(0.2), coverage()])


def many_features(served: Any) -> None:
    checks = [drift(f"f{n:02}", 0.4 - n / 100) for n in range(40)]
    served.windows.add(served.second, "drift", 1, [*checks, drift("score", 0.1)], **pictured("f00"))


def five_classes(served: Any) -> None:
    found = [
        Check(
            "selection rate difference",
            FAILED if n == 3 else PASSED,
            "0.4" if n == 3 else "0.1",
            "at most 0.3",
            subject=f"class {n}: carrier",
            value=0.4 if n == 3 else 0.1,
            limit=0.3,
            interval=(0.05, 0.5),
        )
        for n in (3, 1, 2, 4, 5)
    ]
    small = Check("group rows", INCONCLUSIVE, "7 rows", "at least 100", subject="carrier=AS")
    served.windows.add(served.second, "fairness", 1, [*found, small])


def regression(served: Any) -> None:
    held = Check(
        "interval coverage", PASSED, "90.1%", "88% to 92%", value=0.901, interval=(0.89, 0.91)
    )
    checks = [metric(3.2, rule="mae"), held, coverage()]
    served.windows.add(served.second, "performance", 1, checks)


@pytest.mark.parametrize(
    ("story", "first", "said"),
    [
        (nothing, "No window was judged yet", []),
        (one_window, "Performance passed", ["passed: 0.2 [0.18, 0.22], limit 0.22"]),
        (inconclusive, "Performance inconclusive", ["inconclusive: 0.23 [0.21, 0.25]"]),
        (undefined, "Performance inconclusive", ["undefined: is not defined on these decisions"]),
        (gap, "Labels of 10% only", ["not judged: Labels of 10% only.", "inconclusive: 10%"]),
        (two_versions, "Drift failed", ["version 1, ", "version 2, ", "failed: 0.4 [0.35, 0.45]"]),
        (many_windows, "Performance passed", ["passed: 0.2 [0.18, 0.22], limit 0.22"]),
        (many_features, "Drift failed", ["failed: 0.29 [0.24, 0.34]"]),
        (five_classes, "Fairness failed", ["failed: 0.4 [0.05, 0.5], limit 0.3", "too small"]),
        (regression, "Performance passed", ["passed: 3.2", "passed: 90.1% [89%, 91%]"]),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_the_page_says_what_is_stored(
    client: TestClient, served: Any, story: Callable[[Any], None], first: str, said: list[str]
) -> None:
    story(served)
    answer = client.get(PAGE)
    assert answer.status_code == 200
    html = answer.text
    head = words(html[html.index("<header") : html.index("</header>")])
    assert first in head
    drawn = titles(html)
    for text in said:
        assert any(text in one for one in drawn), drawn[:10]
    assert "nan" not in words(html).lower().split()
    anchors = set(re.findall(r'href="#([^"]+)"', html))
    assert anchors <= set(re.findall(r'id="([^"]+)"', html))


def page_of(platform: Installation, window: int | None = None) -> MonitoringPage:
    found = monitoring_page(platform, "flight_late", window)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("story", "css"),
    [(gap, "unjudged"), (undefined, "undefined"), (five_classes, "small")],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_what_has_no_number_is_drawn_as_what_it_is(
    client: TestClient, served: Any, story: Callable[[Any], None], css: str
) -> None:
    served.windows.add(served.second, "drift", 9, [drift("temp", 0.1)], **pictured("temp"))
    assert f'<rect class="{css}"' not in client.get(PAGE).text
    story(served)
    assert f'<rect class="{css}"' in client.get(PAGE).text


def test_the_last_sixty_windows_are_drawn_and_the_rest_is_counted(
    client: TestClient, served: Any, platform: Installation
) -> None:
    many_windows(served)
    page = page_of(platform)
    assert (len(page.windows), page.left_out) == (60, 3)
    assert [len(one.values) for one in page.panels] == [60, 60]
    assert "3 older ones are not drawn" in words(client.get(PAGE).text)


def test_features_stand_in_order_of_size_and_none_is_lost(
    client: TestClient, served: Any, platform: Installation
) -> None:
    many_features(served)
    assert [one.title for one in page_of(platform).drift] == [f"f{n:02}" for n in range(40)]
    html = client.get(PAGE).text
    assert html.count('class="plot multiple"') == 3 + 12
    assert "The other 28 features" in html


def test_a_plot_becomes_a_table_when_it_is_asked_for(client: TestClient, served: Any) -> None:
    """All tables at once were half of the page; an address means the same plot tomorrow."""
    many_features(served)
    html = client.get(PAGE).text
    assert "<tbody>" not in html[html.index('id="by-feature"') :].split("<details>")[0]
    assert f'href="/tenure{PAGE}?numbers=drift-f30#drift-f30"' in html
    assert 'id="drift-f30"' not in html
    html = client.get(f"{PAGE}?numbers=drift-f30").text
    part = html[html.index('id="drift-f30"') :].split("</figure>")[0]
    assert 'class="plot multiple"' in part
    assert "PSI 0.1" in words(part[part.index("<tbody>") :])
    assert f'href="/tenure{PAGE}#drift-f30"' in part
    nasty = client.get(f"{PAGE}?numbers={NASTY}").text
    assert "There is no plot &lt;script&gt;" in nasty
    assert NASTY not in nasty


def test_a_year_of_windows_is_no_heavy_page(client: TestClient, served: Any) -> None:
    """Bytes stand for the time: 870,000 of them took 0.7 to 1.9 s (benchmarks/pages.py)."""
    served.windows.history(served.second)
    page = client.get(PAGE)
    assert page.text.count("<title>version ") == 38 * 23
    assert len(page.content) < 400_000


def test_versions_are_lines_where_their_decisions_begin(
    served: Any, platform: Installation, client: TestClient
) -> None:
    two_versions(served)
    page = page_of(platform)
    days = [(v, round((served.now - at) / timedelta(days=1))) for v, at in page.first_windows]
    assert days == [(1, 4), (2, 2)]
    assert [one.version for one in page.seats] == [1, 2]
    assert ">v1</text>" in client.get(PAGE).text


def test_an_inconclusive_window_that_was_judged_again_is_not_drawn_twice(
    served: Any, platform: Installation
) -> None:
    add = served.windows.add
    add(served.second, "performance", 2, [coverage(0.1)], summary="too few labels")
    add(served.second, "performance", 1, [metric(0.2), coverage()], days=2)
    page = page_of(platform)
    assert len(page.windows) == 2
    assert [one.value for one in page.panels[0].values] == [0.2]


def test_a_rows_share_without_a_model_and_the_score_are_the_stored_ones(
    served: Any, platform: Installation
) -> None:
    two_versions(served)
    values = {one.key: one.values[-1] for one in page_of(platform).panels}
    assert values["fallback"].value == 3 / 103
    assert (values["score"].low, values["score"].value, values["score"].high) == (0.2, 0.4, 0.7)
    assert values["traffic"].value == 1_001


def test_a_window_that_was_only_counted_has_no_broken_checks_rather_than_none(
    served: Any, platform: Installation
) -> None:
    served.windows.add(served.second, "quality", 1, summary="12 decisions are left")
    (panel,) = page_of(platform).panels
    assert panel.values[0].value is None
    assert "12 decisions are left" in panel.values[0].why


def test_a_window_opens_with_its_reference_its_incident_and_the_decision_after_it(
    client: TestClient, served: Any
) -> None:
    number = served.windows.add(
        served.second, "drift", 1, [drift(NASTY, 0.4), drift("score", 0.1)], **pictured(NASTY)
    )
    with served.platform.database.begin() as connection:
        incidents.open_incident(
            connection,
            dedupe_key="monitoring:flight_late:drift",
            kind="drift_failed",
            subject="flight_late@2",
            summary="temp has moved",
            facts={"model": "flight_late"},
            at=served.now - timedelta(days=1),
        )
    served.report("retraining", Verdict.PASSED, "investigate: drift alone", subject="flight_late")
    html = client.get(f"{PAGE}?window={number}").text
    part = html[html.index('id="window"') : html.index('<nav class="block"')]
    said = words(part)
    assert "temp has moved" in said
    assert "investigate: drift alone" in said
    assert "low: 20 of 103 decisions (19.4175%); reference 50 of 100" in said
    assert part.count('class="plot overlay"') == 2
    assert NASTY not in html
    assert 'id="window"' not in client.get(PAGE).text


@pytest.mark.parametrize("window", ["0", "x", "999999", "1" * 60, "%27"])
def test_a_window_that_is_not_there_is_said(client: TestClient, served: Any, window: str) -> None:
    two_versions(served)
    answer = client.get(f"{PAGE}?window={window}")
    if answer.status_code == 200:
        assert "There is no window" in words(answer.text)
    else:
        assert answer.status_code == 422


def test_a_window_of_another_model_does_not_open(client: TestClient, served: Any) -> None:
    number = served.windows.add(served.second, "drift", 1, [drift("temp", 0.1)])
    with served.platform.database.begin() as connection:
        versions.register_model(
            connection, name="other", owner="ada", risk_tier="limited", purpose="tests"
        )
    answer = client.get(f"/model/other/monitoring?window={number}")
    assert "There is no window" in words(answer.text)


def test_who_may_not_see_the_model_sees_no_window(
    client: TestClient, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/model/nobody/monitoring").status_code == 404
    assert client.get("/model/..%2Fx/monitoring").status_code == 404
    monkeypatch.setattr(FakeGuard, "hidden", frozenset({"flight_late__train_model"}))
    assert client.get(PAGE).status_code == 403


def test_the_first_page_has_the_worst_kind_and_the_metric_with_its_limit(
    client: TestClient, served: Any
) -> None:
    assert "nothing judged yet" in words(client.get("/").text)
    for day in range(25, 1, -1):
        served.windows.add(served.second, "performance", day, [metric(0.2), coverage()])
    gap(served)
    served.windows.add(served.first, "drift", 3, [drift("temp", 0.4)])
    served.windows.add(served.second, "drift", 1, [drift("temp", 0.1)])
    html = client.get("/").text
    said = words(html)
    assert "Worst of monitoring inconclusive performance of version 2" in said
    assert "wrong label rate, last 20 windows" in said
    assert "no number in the last window" in said
    spark = html[html.index("spark") :]
    spark = spark[: spark.index("</svg>")]
    assert (spark.count("<circle"), spark.count('class="unjudged"')) == (19, 1)


def test_pages_lead_to_it(client: TestClient, served: Any) -> None:
    served.windows.add(served.second, "drift", 1, [drift("temp", 0.1)])
    digest = page_of(served.platform).windows[0].report_digest
    for path in ("/", "/model/flight_late", f"/report/{digest}"):
        assert f'href="/tenure{PAGE}"' in client.get(path).text
