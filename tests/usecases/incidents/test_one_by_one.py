"""An item that fails is set aside with one incident, and those after it are handled."""

from typing import Any

import pytest
from sqlalchemy import text

from tenure.errors import ServiceUnreachable, StateConflict
from tenure.installation import Installation
from tenure.usecases.incidents import one_by_one as module
from tenure.usecases.incidents.one_by_one import one_by_one
from tenure.usecases.incidents.outbox import Delivery, deliver

pytestmark = pytest.mark.service


def incidents(platform: Installation, state: str = "open") -> list[tuple[str, int]]:
    with platform.database.begin() as connection:
        query = text("SELECT dedupe_key, seen FROM incident WHERE state = :s ORDER BY id")
        return [(row.dedupe_key, row.seen) for row in connection.execute(query, {"s": state})]


class Worker:
    """Doubles numbers; one of them raises."""

    def __init__(self, bad: int | None, error: Exception) -> None:
        self.bad, self.error = bad, error
        self.seen: list[int] = []

    def __call__(self, number: int) -> int:
        self.seen.append(number)
        if number == self.bad:
            raise self.error
        return number * 2


def run(platform: Installation, worker: Worker) -> list[int]:
    return one_by_one(platform, "doubling", range(4), name=lambda n: f"n{n}", do=worker)


ERRORS: list[Exception] = [
    StateConflict("late", still_safe="all", next_step="look"),
    ValueError("a\x00b\ud800"),
    KeyError("x"),
    RecursionError("deep"),
    TypeError("x" * 5000),
]


@pytest.mark.parametrize("bad", range(4))
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_the_others_are_handled(platform: Installation, bad: int, error: Exception) -> None:
    worker = Worker(bad, error)
    assert run(platform, worker) == [n * 2 for n in range(4) if n != bad]
    assert worker.seen == [0, 1, 2, 3]
    assert incidents(platform) == [(f"doubling:n{bad}", 1)]


def test_the_incident_closes_when_the_item_works_again_or_is_gone(platform: Installation) -> None:
    error = ValueError("broken")
    run(platform, Worker(1, error))
    run(platform, Worker(1, error))
    assert incidents(platform) == [("doubling:n1", 2)]
    run(platform, Worker(2, error))
    assert incidents(platform) == [("doubling:n2", 1)]
    one_by_one(platform, "doubling", [], name=str, do=Worker(None, error))
    assert incidents(platform) == []
    assert len(incidents(platform, "closed")) == 2


AWAY = ServiceUnreachable("down", still_safe="all", next_step="wait")


class Away(Worker):
    """A service does not answer for these."""

    def __init__(self, *bad: int) -> None:
        super().__init__(None, AWAY)
        self.away = bad

    def __call__(self, number: int) -> int:
        self.bad = number if number in self.away else None
        return super().__call__(number)


@pytest.mark.parametrize(
    ("away", "seen"), [((0, 1), [0, 1]), ((1, 2), [0, 1, 2]), ((3,), [0, 1, 2, 3])]
)
def test_what_every_item_would_meet_is_not_about_one(
    platform: Installation, away: tuple[int, ...], seen: list[int]
) -> None:
    worker = Away(*away)
    with pytest.raises(ServiceUnreachable):
        run(platform, worker)
    assert worker.seen == seen
    assert incidents(platform) == []


@pytest.mark.parametrize("away", [(0,), (1,), (0, 2)])
def test_a_service_that_answers_for_the_next_item_is_not_away(
    platform: Installation, away: tuple[int, ...]
) -> None:
    assert run(platform, Away(*away)) == [n * 2 for n in range(4) if n not in away]
    assert incidents(platform) == [(f"doubling:n{n}", 1) for n in away]


NAMES = ["a\x00b\ud800", "x" * 400, "\x00" * 100]


@pytest.mark.parametrize("name", NAMES, ids=["odd", "long", "long when it is stored"])
def test_whatever_an_item_is_called_its_incident_stays_open_while_it_fails(
    platform: Installation, name: str
) -> None:
    def fail(_: str) -> None:
        raise ValueError("no")

    for _ in range(2):
        one_by_one(platform, "part", [name, f"{name}2"], name=str, do=fail)
    assert [seen for _, seen in incidents(platform)] == [2, 2]
    one_by_one(platform, "part", [name], name=str, do=lambda _: None)
    assert incidents(platform) == []


def test_a_message_that_no_receiver_can_take_holds_up_no_other(
    platform: Installation, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tenure.usecases.incidents import outbox

    send = outbox._send

    def explode(webhook: Any, message: Any, env: Any) -> None:
        if message.op_key == "k2":
            raise UnicodeError("half of a pair \ud800\x00")
        send(webhook, message, env)

    monkeypatch.setattr(outbox, "_send", explode)
    for key in ("k1", "k2", "k3"):
        with platform.database.begin() as connection:
            platform.ledger.enqueue(
                connection, topic="t", body={"webhook": receiver.url}, op_key=key
            )
    assert deliver(platform) == Delivery(delivered=2, failed=1)
    assert receiver.ids == ["k1", "k3"]


def test_a_bug_has_its_trace_in_the_log(
    platform: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    run(platform, Worker(0, KeyError("x")))
    assert "Traceback" in caplog.text
    assert module.cause_of(KeyError("x")) == "KeyError: 'x'"
