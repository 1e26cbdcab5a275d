"""The small words and plots of the pages."""

from datetime import UTC, datetime, timedelta

import pytest

from tenure.adapters.sql.model_page import AnalysisLine, WindowLine
from tenure.verdicts import Verdict
from tenure.vocabulary import State
from tenure.web import plots, rendering

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7_199, "120 min ago"),
        (7_200, "2 h ago"),
        (172_800, "2 d ago"),
        (-20, "in 20 s"),
    ],
)
def test_ago(seconds: int, words: str) -> None:
    assert rendering.ago(NOW - timedelta(seconds=seconds), NOW) == words


def test_every_state_is_explained() -> None:
    assert set(rendering.STATES) == {str(state) for state in State}


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("run `a b`.", "run <code>a b</code>."),
        ("`<b>` and <i>", "<code>&lt;b&gt;</code> and &lt;i&gt;"),
        ("a lonely ` stays", "a lonely ` stays"),
        ("", ""),
    ],
)
def test_prose_sets_backticks_as_code_and_escapes_the_rest(text: str, html: str) -> None:
    assert str(rendering.prose(text)) == html


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0%"), (1, "0.01%"), (500, "5%"), (10_000, "100%")]
)
def test_shares_in_percent(share: int, text: str) -> None:
    assert rendering.percent_bp(share) == text


def test_an_event_that_moves_no_version_is_reported_in_words() -> None:
    body = {"event": "consumers_told", "reason": "x", "by": ["ada", "bo"], "artifact": "a" * 64}
    assert rendering.event(body) == f"consumers told, by ada and bo, artifact {'a' * 12}…"


def analysis(number: int, harm: float | None, safe: float | None) -> AnalysisLine:
    metrics = [
        {"event": "wrong_label", "required": True, "e_harm": harm, "e_safe": safe},
        {"event": "error", "required": False, "e_harm": 0.5, "e_safe": 1e-6},
    ]
    facts = {"metrics": metrics, "harm_threshold": 40.0, "safe_threshold": 20.0}
    return AnalysisLine(1, number, 500 * number, Verdict.PASSED, "continue", facts, NOW)


def test_a_canary_plot_holds_both_lines_and_both_limits() -> None:
    svg = str(plots.canary([analysis(2, 0.9, 3.0), analysis(1, 1.0, 1.0), analysis(3, 2.0, None)]))
    assert "harm from 40" in svg
    assert "safe from 20" in svg
    assert svg.count("<polyline") == 2
    assert svg.count('class="share"') == 3


@pytest.mark.parametrize("number", [0, 1])
def test_one_analysis_is_no_plot(number: int) -> None:
    assert plots.canary([analysis(n, 1.0, 1.0) for n in range(number)]) == ""


def test_a_plot_draws_what_a_person_wrote_without_analysis() -> None:
    prolonged = AnalysisLine(1, 3, 0, Verdict.INCONCLUSIVE, "prolong", {"user": "olga"}, NOW)
    assert "<svg" in plots.canary([analysis(1, 1.0, 1.0), analysis(2, 1.0, 1.0), prolonged])


def test_monitoring_squares_escape_their_titles() -> None:
    rows = [
        WindowLine(1, "<b>", Verdict.FAILED, NOW, NOW + timedelta(days=day), 9, "d" * 64, {})
        for day in range(2)
    ]
    svg = str(plots.monitoring(rows))
    assert "<b>" not in svg
    assert svg.count("<rect") == 2


def test_facts_are_words_and_tables_no_json() -> None:
    found = rendering.facts(
        {
            "sum": {"logged": 4800, "waiting": 0},
            "watermark": "2013-07-03T00:00:00.250000+00:00",
            "window": ["2013-06-01T09:39:59+00:00", "2013-07-01T04:45:00+02:00"],
            "batches": [],
            "legal_hold": False,
            "deleted_at": None,
            "archived": [{"key": "a", "size": 441516}, {"key": "b", "deleted_at": None}],
            "many": [{"n": n} for n in range(60)],
            "deep": {"a": {"b": "x" * 700}},
            "psi": 0.10333333333333333,
            "threshold": 0.5,
            "large": 9999.6,
            "nested": {"a": {"b": [0.10333333333333333, 7]}},
            "features": [{"psi": 0.10333333333333333, "n": 2}],
            "residuals": [{"rows": 30, "interval": [-1.5, 2], "quantiles": {"0.05": -8.5}}],
            "groups": [{"by": ["sex"], "n": 9} | dict.fromkeys(map(str, range(20)))],
            "wide": [dict.fromkeys(map(str, range(20)), 1)],
        }
    )
    texts = {fact.name: fact.text for fact in found}
    assert texts["sum"] == "logged 4,800, waiting 0"
    assert texts["watermark"] == "2013-07-03 00:00:00 UTC"
    assert texts["window"] == "2013-06-01 09:39:59 UTC, 2013-07-01 02:45:00 UTC"
    assert (texts["batches"], texts["legal hold"], texts["deleted at"]) == ("none", "no", "none")
    assert texts["deep"].endswith(" …")
    hovered = '<span title="0.10333333333333333">0.1033</span>'
    assert (texts["psi"], texts["threshold"]) == (hovered, "0.5")
    assert texts["large"] == '<span title="9999.6">10,000</span>'
    assert texts["nested"] == '{"a": {"b": [0.1033, 7]}}'
    tables = {fact.name: fact for fact in found if fact.columns}
    assert tables["archived"].columns == ("key", "size", "deleted at")
    assert tables["archived"].rows == (("a", "441,516", "none"), ("b", "none", "none"))
    assert tables["features"].rows == ((hovered, "2"),)
    assert tables["residuals"].columns == ("rows", "interval", "quantiles 0.05")
    assert tables["residuals"].rows == (("30", "-1.5, 2", "-8.5"),)
    assert (tables["groups"].columns, tables["groups"].rows) == (("by", "n"), (("sex", "9"),))
    assert texts["wide"].startswith('[{"0": 1')
    assert (len(tables["many"].rows), tables["many"].more) == (50, 10)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "beyond 1,000,000,000"),
        (3e12, "beyond 1,000,000,000"),
        (3047.75, "3,048"),
        (999.4, "999"),
        (0.9181, "0.918"),
        (0.001, "0.001"),
        (8.33e-06, "below 0.001"),
        (0.0, "0"),
    ],
)
def test_evidence_is_written_without_an_exponent(value: float | None, text: str) -> None:
    assert rendering.number(value) == text


def test_an_event_has_moments_and_percentages() -> None:
    body = {"share_bp": 500, "renews": False, "expires_at": "2026-12-28T13:42:11.206440+00:00"}
    said = rendering.event(body)
    assert said == "share 5%, renews no, expires at 2026-12-28 13:42:11 UTC"
