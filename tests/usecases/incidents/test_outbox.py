from typing import Any

import pytest
from sqlalchemy import text

from tenure.installation import Installation
from tenure.usecases.incidents.outbox import Delivery, deliver

pytestmark = pytest.mark.service


def promise(platform: Installation, key: str, **body: object) -> None:
    with platform.database.begin() as c:
        platform.ledger.enqueue(c, topic="t", body=body, op_key=key)


def rows(platform: Installation) -> list[Any]:
    with platform.database.begin() as c:
        query = (
            "SELECT attempts, last_error, delivered_at IS NOT NULL AS done FROM outbox ORDER BY id"
        )
        return [tuple(row) for row in c.execute(text(query))]


def test_a_failed_message_is_sent_again_under_the_same_id(
    platform: Installation, receiver: Any
) -> None:
    receiver.answers.extend([500, 204])
    promise(platform, "k1", webhook=receiver.url, reason="old")
    assert deliver(platform) == Delivery(delivered=0, failed=1)
    (attempts, error, done) = rows(platform)[0]
    assert (attempts, done) == (1, False)
    assert error.endswith("answered 500.")
    assert deliver(platform) == Delivery(delivered=1, failed=0)
    assert rows(platform) == [(2, None, True)]
    assert deliver(platform) == Delivery()
    assert receiver.ids == ["k1", "k1"]
    assert receiver.bodies[0] == {"topic": "t", "message_id": "k1", "reason": "old"}


def test_one_receiver_that_is_down_does_not_hold_up_the_others(
    platform: Installation, receiver: Any
) -> None:
    promise(platform, "k1", webhook="http://127.0.0.1:9/")
    promise(platform, "k2", webhook="https://elsewhere.example/")
    promise(platform, "k3", webhook=receiver.url)
    promise(platform, "k4", note="for nobody outside")
    assert deliver(platform) == Delivery(delivered=2, failed=2)
    assert receiver.ids == ["k3"]


def test_an_address_may_come_from_the_environment(platform: Installation, receiver: Any) -> None:
    promise(platform, "k1", webhook="env:HOOK")
    assert deliver(platform, env={}) == Delivery(delivered=0, failed=1)
    assert "The environment variable HOOK" in rows(platform)[0][1]
    assert deliver(platform, env={"HOOK": receiver.url}) == Delivery(delivered=1, failed=0)


def test_two_senders_do_not_send_the_same_message_at_once(
    platform: Installation, receiver: Any
) -> None:
    promise(platform, "k1", webhook=receiver.url)
    other = Installation(platform.settings)
    try:
        with other.database.begin() as c:
            c.execute(text("SELECT id FROM outbox FOR UPDATE"))
            assert deliver(platform) == Delivery()
    finally:
        other.database.dispose()
    assert receiver.ids == []


@pytest.mark.exhaustive
def test_what_nobody_takes_is_an_incident_and_starves_nothing(
    platform: Installation, receiver: Any
) -> None:
    """500 messages are taken at a time: those that were tried least come first."""
    for number in range(501):
        promise(platform, f"dead-{number:03}", webhook="env:NOWHERE")
    assert deliver(platform, env={}).failed == 500
    promise(platform, "alive", webhook=receiver.url)
    assert deliver(platform, env={}).delivered == 1
    assert receiver.ids == ["alive"]
    with platform.database.begin() as c:
        told = c.execute(text("SELECT dedupe_key, summary FROM incident")).one()  # only one
        members = text("SELECT count(*) FROM incident_member WHERE repaired_at IS NULL")
        assert c.execute(members).scalar_one() == 501
        c.execute(text("UPDATE outbox SET delivered_at = now() WHERE id > 1"))
        c.execute(text("UPDATE incident_member SET repaired_at = now() WHERE item <> 'message 1'"))
    assert told.dedupe_key == "outbox:env:NOWHERE"
    assert "The environment variable NOWHERE" in told.summary
    assert deliver(platform, env={"NOWHERE": receiver.url}).delivered == 1
    with platform.database.begin() as c:
        assert c.execute(text("SELECT state FROM incident")).scalar_one() == "closed"
