"""Sentences that were false once, and what is said in their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, update

from tenure.adapters.sql import tables as t
from tenure.errors import GateFailed
from tenure.lifecycle.incidents.failure_card import describe
from tenure.usecases.incidents import failure_cards
from tenure.verdicts import Report, Verdict
from tenure.views.tasks import TaskStatus
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow
RUN = RunRef("flight_late__train_model", "manual__1", "evaluate")
CARD = "/card?dag=flight_late__train_model&run=manual__1&task=evaluate"


def _waiting(life: Any) -> TaskStatus:
    return TaskStatus("awaiting_input", 1)


def _green(stage: str, *, enforced: bool) -> Callable[[Any], TaskStatus]:
    def store(life: Any) -> TaskStatus:
        said = Report(stage, "flight_late@2", Verdict.FAILED, "no", enforced=enforced)
        life.platform.reports.save(said, model="flight_late", dataset=None, run=RUN)
        return TaskStatus("success", 1)

    return store


def _red(life: Any) -> TaskStatus:
    error = GateFailed("AUC 0.58", still_safe="The champion.", next_step="Wait.")
    failure_cards.save(life.platform, describe(error), RUN)
    return TaskStatus("failed", 1)


def _repaired(life: Any) -> TaskStatus:
    found = _red(life)
    with life.platform.database.begin() as connection:
        connection.execute(update(t.incident_member).values(repaired_at=datetime.now(tz=UTC)))
    return found


def _failed_batch(life: Any) -> None:
    life.whole()


def _passed_beside_an_incident(life: Any) -> None:
    life.whole()
    with life.platform.database.begin() as connection:
        connection.execute(
            insert(t.incident).values(
                dedupe_key="performance_failed:flight_late@2",
                kind="performance_failed",
                subject="flight_late@2",
                severity="sev2",
                summary="10% worse",
            )
        )


@dataclass(frozen=True)
class Words:
    """What a page says, and never says, after something was done."""

    path: str
    do: Callable[[Any], TaskStatus | None]
    says: str
    never: str


CASES = {
    "waits, no champion": Words(CARD, _waiting, "Nothing changes until then", "serves all traffic"),
    "a gate said no": Words(
        CARD, _green("approval", enforced=True), "goes no further", "stops nothing"
    ),
    "an excused gate": Words(
        CARD, _green("bias", enforced=False), "or its gate is excused", "goes no further"
    ),
    "monitoring": Words(
        CARD, _green("monitoring", enforced=False), "and stops nothing", "goes no further"
    ),
    "red": Words(CARD, _red, "A gate said no", "Repaired since"),
    "repaired": Words(CARD, _repaired, "This task was green again 0 s ago", "card failed"),
    "failed batch": Words("/", _failed_batch, "0 of 28,834", "25,713 of"),
    "passed beside an incident": Words(
        "/",
        _passed_beside_an_incident,
        "monitoring of performance: passed, its incident is still open",
        "monitoring of performance: passed</a>",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_false_is_not_said(
    client: TestClient, life: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    from tenure.web import app

    words = CASES[case]
    status = words.do(life)
    monkeypatch.setattr(app, "task_status", lambda *_: status)
    page = client.get(words.path).text
    plain = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert words.says in plain
    assert words.never not in plain
    assert words.never not in page
