"""What an alert says, word for word; and that it makes sense to somebody who is on no page."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tenure.lifecycle.incidents.actions import ACTION_WORDS, ACTIONS
from tenure.lifecycle.incidents.alert_text import PAGING, AlertFacts, alert_body, from_afar
from tenure.lifecycle.incidents.kinds import KINDS
from tenure.settings import REPOSITORY

PLUGIN = REPOSITORY / "plugins" / "tenure"
ON_A_PAGE = re.compile(
    r"\b(here|(above|below)(?! (its|the|a|\d))"
    r"|th(is|ese) (task|run|card|page|incident|button|tab)s?|closes this|closes it|in the tab)\b",
    re.IGNORECASE,
)
"""Words that mean nothing in a mail."""
ELSEWHERE = ("cli", "demo", "stack", "gateway/contract", "gateway/http", "web")
"""Whose errors are read where they are raised: no alert quotes them."""

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
    assert body["text"] == f"{text}The incident page:\n{FACTS.url}"
    assert (body["event"], body["incident"], body["url"]) == (event, 7, FACTS.url)


def test_each_event_that_pages_has_its_words() -> None:
    assert all(alert_body(event, FACTS)["text"] for event in PAGING)


def test_the_buttons_are_named_with_their_page() -> None:
    page = f"{FACTS.url}"
    for buttons, said in (
        (("Roll back",), f"Buttons on the incident page: Roll back.\n{page}"),
        (("A", "B", "C"), f"Buttons on the incident page: A, B and C.\n{page}"),
    ):
        assert str(alert_body("opened", replace(FACTS, buttons=buttons))["text"]).endswith(said)


@pytest.mark.parametrize("event", [*PAGING, "asked"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_kind_speaks_of_what_only_its_page_shows(kind: str, event: str) -> None:
    words = KINDS[kind]
    buttons = tuple(ACTION_WORDS[one].label for one in ACTIONS[kind])
    facts = replace(
        FACTS,
        kind=kind,
        still_safe=words.still_safe,
        next_step=words.next_step,
        buttons=() if event == "closed" else buttons,
    )
    body = alert_body(event, facts)
    said = " ".join(str(body[part]) for part in ("title", "text", "still_safe", "next_step"))
    assert ON_A_PAGE.search(said) is None
    assert "incident page" in str(body["text"])
    assert all(one in str(body["text"]) for one in facts.buttons)


def advised() -> Iterator[tuple[str, str]]:
    """What every error says is safe and to be done, and where."""
    for path in sorted(PLUGIN.rglob("*.py")):
        name = path.relative_to(PLUGIN).as_posix()
        if name.startswith(ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in {"still_safe", "next_step"}:
                parts = [
                    one.value
                    for one in ast.walk(node.value)
                    if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
                yield f"{name}:{node.value.lineno}", " ".join(parts)


def test_no_error_advises_what_makes_sense_only_on_its_card() -> None:
    found = dict(advised())
    assert len(found) > 100
    wrong = {at: text for at, text in found.items() if ON_A_PAGE.search(from_afar(text))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Clear this task.", "Clear the failed task."),
        ("This run waits; this page too.", "The failed run waits; the incident page too."),
        ("Give this card to the team.", "Give the failure card to the team."),
        ("This tasks is another word.", "This tasks is another word."),
    ],
)
def test_from_afar(said: str, told: str) -> None:
    assert from_afar(said) == told
