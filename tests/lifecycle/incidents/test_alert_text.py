"""What an alert says, word for word."""

from dataclasses import replace

import pytest

from tenure.lifecycle.incidents.alert_text import PAGING, AlertFacts, alert_body

FACTS = AlertFacts(
    incident=7,
    kind="performance_failed",
    subject="m@2",
    severity="sev1",
    summary="AUC 0.58 {sic}, at least 0.60.",
    still_safe="It serves.",
    next_step="Look.",
    owner="ada",
    members=0,
    url="http://airflow/tenure/incident/7",
)


@pytest.mark.parametrize(
    ("event", "note", "title", "text"),
    [
        (
            "opened",
            "",
            "SEV1 opened: A model performs worse than its limit (m@2)",
            "AUC 0.58 {sic}, at least 0.60.\nStill safe: It serves.\nNext step: Look.\n",
        ),
        (
            "escalated",
            "Nobody came.",
            "SEV1 needs somebody: A model performs worse than its limit (m@2)",
            "Nobody came.\nAUC 0.58 {sic}, at least 0.60.\nStill safe: It serves.\n"
            "Next step: Look.\n",
        ),
        (
            "closed",
            "",
            "SEV1 closed: A model performs worse than its limit (m@2)",
            "It is over.\nIt was: AUC 0.58 {sic}, at least 0.60.\n",
        ),
    ],
)
def test_the_words(event: str, note: str, title: str, text: str) -> None:
    body = alert_body(event, replace(FACTS, note=note))
    assert body["title"] == title
    assert body["text"] == text + FACTS.url
    assert (body["event"], body["incident"], body["url"]) == (event, 7, FACTS.url)


def test_each_event_that_pages_has_its_words() -> None:
    assert all(alert_body(event, FACTS)["text"] for event in PAGING)
