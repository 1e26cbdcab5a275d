"""The feedback page and the decision map over a filled database, and what a person sends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from filled_site import MODEL, FilledSite
from shop import Shop
from sqlalchemy import text

from tenure.adapters.decision_tables import DECISION_FIELDS, decisions_to_parquet
from tenure.adapters.sql import reviews
from tenure.installation import Installation
from tenure.lifecycle.decisions.decision_log import micros, partition

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI
    from fastapi.testclient import TestClient

pytestmark = pytest.mark.airflow
FEEDBACK = f"/model/{MODEL}/feedback"
ID = "01234567-89ab-7cde-8f01-23456789abcd"
OVERRIDE = {"decision_id": ID, "verdict": "override", "reason": "it snowed", "answer": "false"}


@pytest.fixture
def filled(life: Any, platform: Installation, tmp_path: Path) -> FilledSite:
    site = FilledSite(life, Shop(platform, tmp_path))
    site.fill()
    return site


@pytest.fixture
def waiting(make_life: Callable[..., Any], platform: Installation) -> str:
    """A decision of the log that waits for a person."""
    life = make_life(platform).whole()
    at = micros(life.now)
    columns: dict[str, Any] = {name: [None] for name in DECISION_FIELDS}
    columns |= {"decision_id": [ID], "request_id": ["r"], "model": [MODEL], "version": [2]}
    columns |= {"version_id": [2], "subject": ["f" * 32], "decision": [True]}
    columns |= {"received_at": [at], "event_time": [at]}
    key = f"{partition('decisions', MODEL, at)}/gw-1.parquet"
    platform.store.put(key, decisions_to_parquet(columns, numeric=[], categorical=[]))
    row = {"decision_id": ID, "model": MODEL, "version": 2, "subject": "f" * 32, "score": 0.51}
    row |= {"decision": True, "confidence": 0.51, "fallback_level": "model", "reason": "unsure"}
    row |= {"received_at": life.now, "expires_at": life.now + timedelta(hours=1)}
    with platform.database.begin() as connection:
        reviews.add(connection, [row])
    return ID


def roles(platform: Installation, *operators: str) -> None:
    platform.__dict__["config"] = type(platform.config)(roles={"operator": operators})


def test_segments_stand_with_numbers_and_reasons(
    client: TestClient, filled: FilledSite, platform: Installation
) -> None:
    roles(platform, "olga")
    page = client.get(FEEDBACK).text
    assert "carrier = EV" in page
    assert "32 of 420" in page
    assert "The crew was on board." in page
    assert '<span class="quiet">(22)</span>' in page  # of 32, in two spellings
    assert "the decision log has no request 4711 of this caller" in page
    assert "<dt>Counted</dt><dd>46</dd>" in page


def test_who_is_no_operator_reads_numbers_and_no_reasons(
    client: TestClient, filled: FilledSite, platform: Installation
) -> None:
    roles(platform)
    page = client.get(FEEDBACK).text
    assert "32 of 420" in page
    assert "crew" not in page
    assert "<form" not in page
    assert "Operators can do that here" in page
    answer = client.post(FEEDBACK, json=OVERRIDE)
    assert answer.status_code == 403
    assert "needs the role operator" in answer.json()["error"]


def test_an_operator_sends_what_she_thinks(
    client: TestClient, platform: Installation, waiting: str
) -> None:
    roles(platform, "olga")
    assert f"feedback?decision={waiting}" in client.get("/reviews").text
    assert f'value="{waiting}"' in client.get(f"{FEEDBACK}?decision={waiting}").text
    for _ in range(2):
        answer = client.post(FEEDBACK, json=OVERRIDE | {"decision_id": waiting})
        assert answer.status_code == 200
    page = client.get(FEEDBACK).text
    assert "it snowed" in page
    assert "user:olga" in page
    assert "<dt>Given</dt><dd>2</dd>" in page
    assert "<dt>Counted</dt><dd>1</dd>" in page


@pytest.fixture
def filled_life(make_life: Callable[..., Any], platform: Installation) -> Installation:
    make_life(platform).whole()
    roles(platform, "olga")
    return platform


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({}, 409, "has no decision"),
        ({"reason": ""}, 422, "reason has 0 characters"),
        ({"verdict": "fine"}, 422, "verdict"),
        ({"decision_id": "1"}, 422, "decision_id"),
        ({"reason": "x" * 501}, 422, "501 characters"),
        ({"answer": "x" * 200}, 422, "answer"),
    ],
)
def test_what_is_refused(
    client: TestClient,
    filled_life: Installation,
    change: dict[str, str],
    status: int,
    said: str,
) -> None:
    answer = client.post(FEEDBACK, json=OVERRIDE | change)
    assert (answer.status_code, said in answer.text) == (status, True)
    with filled_life.database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM feedback")).scalar_one() == 0


def test_no_form_of_a_foreign_page_can_send_it(client: TestClient) -> None:
    answer = client.post(FEEDBACK, data=OVERRIDE)
    assert answer.status_code in {415, 422}


def test_nobody_sends_it_without_a_login(built: FastAPI) -> None:
    from fastapi.testclient import TestClient

    with TestClient(built) as http:
        assert http.post(FEEDBACK, json=OVERRIDE).status_code == 401


def test_the_decision_map_says_who_decides_and_by_which_procedure(
    client: TestClient, filled: FilledSite
) -> None:
    page = client.get(f"/model/{MODEL}/decisions").text
    assert "Yes from a score of 0.5 on, else no (as declared)." in page
    assert "answers as if the score were 0.25" in page
    assert "accept it, override it or call it wrong" in page
    assert "Of version 2, which serves; <strong" in page
    assert "the YAML says something else by now" in page
    assert "+2. The desk that knows better overrides the answer and says why; the passenger" in page


def test_a_model_that_is_not_there(client: TestClient) -> None:
    assert client.get("/model/unknown/decisions").status_code == 404
    assert client.get("/model/unknown/feedback").status_code == 404
