"""Feedback goes the whole way: a real gateway, its disk, the database, the decision it means."""

from typing import Any

import httpx
import pytest
from asking import MODEL
from sqlalchemy import text
from waiting import wait_for

from tenure.adapters.sql import feedback as table
from tenure.installation import Installation
from tenure.lifecycle.decisions.feedback import FeedbackSum
from tenure.usecases.decisions import feedback
from tenure.usecases.decisions.feedback import FeedbackCounts
from tenure.usecases.serving.api_keys import create_key

pytestmark = pytest.mark.service
URL = f"/v2/models/{MODEL}"


def test_feedback_finds_its_decision(platform: Installation, life: Any, process: Any) -> None:
    life.champion()
    process.start()
    key = create_key(platform, "shop", ["score", "feedback"])
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=process.url, headers=headers, timeout=15) as shop:
        wait_for(lambda: shop.get(URL).status_code == 200)
        answer = shop.post(f"{URL}/infer", json={**life.example(1), "id": "order-1"})
        (decision,) = answer.json()["parameters"]["decision_ids"]
        wrong = {"verdict": "wrong", "reason": "it landed early", "answer": False}
        for named in ({"decision_id": decision}, {"request_id": "order-1"}):
            given = shop.post(f"{URL}/feedback", json={"feedback": [named | wrong]})
            assert given.status_code == 200, given.text
    assert process.stop() in {0, -15}
    assert feedback.join(platform) == FeedbackCounts(joined=2, waiting=0, unmatched=0)
    with platform.database.begin() as connection:
        assert table.sums(connection, MODEL) == FeedbackSum(counted=1, replaced=1)
        rows = connection.execute(
            text("SELECT decision_id, given_by, reason, answer, version FROM feedback")
        )
        for row in rows:
            assert tuple(row) == (decision, "key:shop", "it landed early", False, 1)
