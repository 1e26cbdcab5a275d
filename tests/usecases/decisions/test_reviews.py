"""The review queue on a real PostgreSQL: one holder at a time, one answer for good, an end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenure.adapters.sql import reviews as table
from tenure.adapters.sql import versions
from tenure.errors import NotPermitted, StateConflict, TenureError, TextRefused
from tenure.installation import Installation
from tenure.usecases.decisions import reviews

pytestmark = pytest.mark.service

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ID = "01234567-89ab-7cde-8f01-23456789abcd"


class Clock:
    """Stands where it was put."""

    moment = NOW

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(platform: Installation, clock: Clock) -> Installation:
    """One decision that expires in ten hours; olga and otto are operators."""
    platform.__dict__["clock"] = clock
    roles = {"operator": ("olga", "otto"), "viewer": ("vera",)}
    platform.__dict__["config"] = type(platform.config)(roles=roles)
    with platform.database.begin() as connection:
        versions.register_model(
            connection, name="loan_ok", owner="ada", risk_tier="limited", purpose="tests"
        )
    add(platform, ID, expires=NOW + 10 * HOUR)
    return platform


def add(
    platform: Installation, decision_id: str, *, expires: datetime, model: str = "loan_ok"
) -> None:
    row = {
        "decision_id": decision_id,
        "model": model,
        "version": 1,
        "subject": "s" * 32,
        "score": 0.5,
        "decision": False,
        "confidence": 0.5,
        "fallback_level": "model",
        "reason": "low confidence",
        "received_at": NOW,
        "expires_at": expires,
    }
    with platform.database.begin() as connection:
        table.add(connection, [row])
        table.add(connection, [row | {"score": 0.9}])


def row(platform: Installation) -> table.QueuedDecision:
    with platform.database.begin() as connection:
        found = table.find(connection, ID)
    assert found is not None
    return found


def test_a_decision_is_queued_once(queue: Installation) -> None:
    assert [r.score for r in reviews.listed(queue)] == [0.5]


def test_claimed_then_answered_with_a_ledger_event(queue: Installation) -> None:
    reviews.claim(queue, ID, user="olga")
    found = reviews.answer(queue, ID, user="olga", decision=True, note="paper file seen")
    assert (found.state, found.answer, found.answered_by) == ("answered", True, "olga")
    assert reviews.listed(queue) == []
    with queue.database.begin() as connection:
        event = connection.exec_driver_sql(
            "SELECT actor, body->>'person_said' AS said, body->>'model_said' AS before "
            f"FROM ledger_event WHERE subject = 'review:{ID}'"
        ).one()
    assert tuple(event) == ("olga", "true", "false")


def test_yes_and_no_are_not_answered_with_a_class(queue: Installation) -> None:
    reviews.claim(queue, ID, user="olga")
    with pytest.raises(TextRefused, match="loan_ok@1 answers yes or no"):
        reviews.answer(queue, ID, user="olga", decision="low")
    assert row(queue).state == "claimed"


def test_the_same_answer_again_is_a_no_op(queue: Installation) -> None:
    reviews.claim(queue, ID, user="olga")
    first = reviews.answer(queue, ID, user="olga", decision=True)
    assert reviews.answer(queue, ID, user="olga", decision=True) == first


def held(queue: Installation, clock: Clock) -> None:
    reviews.claim(queue, ID, user="olga")


def answered(queue: Installation, clock: Clock) -> None:
    held(queue, clock)
    reviews.answer(queue, ID, user="olga", decision=True)


def late(queue: Installation, clock: Clock) -> None:
    clock.moment = NOW + 10 * HOUR
    reviews.expire(queue)


def over(queue: Installation, clock: Clock) -> None:
    """Expired, and nobody has swept it yet."""
    clock.moment = NOW + 10 * HOUR


def over_while_held(queue: Installation, clock: Clock) -> None:
    clock.moment = NOW + 10 * HOUR - timedelta(minutes=10)
    held(queue, clock)
    over(queue, clock)


def lapsed(queue: Installation, clock: Clock) -> None:
    held(queue, clock)
    clock.moment = NOW + reviews.CLAIM


EXPIRED = f"{ID} expired at 2026-01-01 22:00 UTC."


@pytest.mark.parametrize(
    ("before", "who", "why"),
    [
        (None, "vera claim", "vera may not review decisions: that needs the role operator"),
        (None, "vera answer", "vera may not review decisions"),
        (None, "olga answer", f"{ID} is not claimed"),
        (held, "otto claim", f"{ID} is held by olga until 2026-01-01 12:30 UTC"),
        (held, "otto answer", f"{ID} is held by olga"),
        (answered, "otto claim", f"{ID} was answered by olga"),
        (answered, "olga change", f"{ID} was answered by olga"),
        (late, "olga claim", EXPIRED),
        (over, "olga claim", EXPIRED),
        (over, "olga answer", EXPIRED),
        (over_while_held, "olga answer", EXPIRED),
        (lapsed, "olga answer", f"{ID} is not claimed"),
    ],
)
def test_what_is_refused(
    queue: Installation, clock: Clock, before: Any, who: str, why: str
) -> None:
    user, act = who.split()
    acts: dict[str, Callable[[], object]] = {
        "claim": lambda: reviews.claim(queue, ID, user=user),
        "answer": lambda: reviews.answer(queue, ID, user=user, decision=True),
        "change": lambda: reviews.answer(queue, ID, user=user, decision=False),
    }
    if before:
        before(queue, clock)
    stands = row(queue)
    with pytest.raises(NotPermitted if "may not" in why else StateConflict) as caught:
        acts[act]()
    assert why in caught.value.what
    assert row(queue) == stands


def test_listed_are_those_that_one_may_see_and_all_are_counted(queue: Installation) -> None:
    """What is hidden takes no place in the list, and what one holds is always on it."""
    with queue.database.begin() as connection:
        for name in ("hidden", "quiet"):
            versions.register_model(
                connection, name=name, owner="ada", risk_tier="limited", purpose="tests"
            )
    for number in range(5):
        add(queue, f"hidden-{number}", expires=NOW + HOUR, model="hidden")
        add(queue, f"mine-{number}", expires=NOW + (2 + number) * HOUR)
    reviews.claim(queue, ID, user="olga")

    def ids(**how: Any) -> list[str]:
        return [one.decision_id for one in reviews.listed(queue, limit=3, **how)]

    assert ids() == ["hidden-0", "hidden-1", "hidden-2"]
    assert ids(models=["loan_ok"]) == ["mine-0", "mine-1", "mine-2"]
    assert ids(models=["loan_ok"], holder="olga") == [ID, "mine-0", "mine-1"]
    assert ids(models=[]) == []
    assert reviews.counted(queue) == {"hidden": 5, "loan_ok": 6}
    assert reviews.counted(queue, ["claimed"]) == {"loan_ok": 1}


def test_an_unknown_decision_is_named(queue: Installation) -> None:
    with pytest.raises(TenureError, match="No decision nope is in the review queue"):
        reviews.claim(queue, "nope", user="olga")


@pytest.mark.parametrize(("minutes", "is_free"), [(29, False), (30, True), (31, True)])
def test_a_claim_ends(queue: Installation, clock: Clock, minutes: int, is_free: bool) -> None:
    held(queue, clock)
    clock.moment = NOW + timedelta(minutes=minutes)
    if is_free:
        assert reviews.claim(queue, ID, user="otto").claimed_by == "otto"
        with pytest.raises(StateConflict):
            reviews.answer(queue, ID, user="olga", decision=True)
    else:
        with pytest.raises(StateConflict):
            reviews.claim(queue, ID, user="otto")


@pytest.mark.parametrize(
    ("after", "expired"),
    [(timedelta(seconds=-1), {}), (timedelta(0), {"loan_ok": 1}), (HOUR, {"loan_ok": 1})],
)
def test_what_nobody_answers_expires_and_is_reported(
    queue: Installation, clock: Clock, after: timedelta, expired: dict[str, int]
) -> None:
    clock.moment = NOW + 10 * HOUR + after
    assert reviews.expire(queue) == expired
    assert reviews.expire(queue) == {}
    with queue.database.begin() as connection:
        kinds = connection.exec_driver_sql("SELECT kind FROM incident").scalars().all()
    assert kinds == ["review_expired"] * len(expired)


def test_what_expired_is_reported_until_somebody_answers_again(
    queue: Installation, clock: Clock
) -> None:
    late(queue, clock)
    assert incident_states(queue) == ["open"]
    another = ID[:-1] + "e"
    add(queue, another, expires=clock.moment + HOUR)
    reviews.claim(queue, another, user="olga")
    assert incident_states(queue) == ["open"]
    reviews.answer(queue, another, user="olga", decision=True)
    assert incident_states(queue) == ["closed"]


def incident_states(platform: Installation) -> list[str]:
    with platform.database.begin() as connection:
        return list(connection.exec_driver_sql("SELECT state FROM incident").scalars())


@pytest.mark.parametrize("state", ["answered", "expired"])
def test_the_database_keeps_what_is_closed(queue: Installation, clock: Clock, state: str) -> None:
    (answered if state == "answered" else late)(queue, clock)
    for change in ("UPDATE review SET answer = false", "DELETE FROM review"):
        with pytest.raises(StateConflict, match="stays so"), queue.database.begin() as connection:
            connection.exec_driver_sql(change)
