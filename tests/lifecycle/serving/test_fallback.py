"""A version that keeps failing is cut off; it comes back through one probe at a time."""

import pytest

from tenure.lifecycle.serving import Breaker, Circuit


def breaker(calls: str = "", at: float = 0.0) -> Breaker:
    """A breaker that saw these calls: `x` failed, `.` succeeded."""
    made = Breaker()
    for call in calls:
        made.failed(at) if call == "x" else made.succeeded(at)
    return made


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        pytest.param("", Circuit.CLOSED, id="nothing yet"),
        pytest.param("xxxx", Circuit.CLOSED, id="fewest: below"),
        pytest.param("xxxxx", Circuit.OPEN, id="fewest: at"),
        pytest.param("xxxxxx", Circuit.OPEN, id="fewest: above"),
        pytest.param("." * 6 + "x" * 5, Circuit.CLOSED, id="half: below"),
        pytest.param("." * 5 + "x" * 5, Circuit.OPEN, id="half: at"),
        pytest.param("." * 4 + "x" * 5, Circuit.OPEN, id="half: above"),
        pytest.param("." * 100 + "x" * 9, Circuit.CLOSED, id="window: 9 of the last 20"),
        pytest.param("." * 100 + "x" * 10, Circuit.OPEN, id="window: 10 of the last 20"),
        pytest.param("x" * 4 + "." * 20 + "x" * 4, Circuit.CLOSED, id="old failures are forgotten"),
        pytest.param("..x" * 50, Circuit.CLOSED, id="a third fails for ever"),
    ],
)
def test_when_it_opens(calls: str, expected: Circuit) -> None:
    made = breaker(calls)
    assert made.circuit(0.0) is expected
    assert made.allows(0.0) is (expected is Circuit.CLOSED)


@pytest.mark.parametrize(("after", "allowed"), [(0.999, False), (1.0, True), (1.001, True)])
def test_one_probe_after_a_second(after: float, allowed: bool) -> None:
    made = breaker("xxxxx", at=100.0)
    assert made.allows(100.0 + after) is allowed
    assert not made.allows(100.0 + after)


def test_a_fatal_call_opens_at_once() -> None:
    made = breaker("." * 20)
    made.failed(0.0, fatal=True)
    assert made.circuit(0.0) is Circuit.OPEN
    assert not made.allows(0.999)
    assert made.allows(1.0)


def test_a_good_probe_closes_and_forgets() -> None:
    made = breaker("xxxxx")
    assert made.allows(1.0)
    made.succeeded(1.1)
    assert made.circuit(1.1) is Circuit.CLOSED
    for _ in range(4):
        made.failed(1.2)
    assert made.allows(1.2)


def test_bad_probes_double_the_wait_up_to_half_a_minute() -> None:
    made = breaker("xxxxx")
    now, waits = 0.0, []
    for _ in range(7):
        began = now
        while not made.allows(now):
            now += 0.25
        waits.append(now - began)
        made.failed(now)
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_the_wait_begins_anew_after_it_was_closed() -> None:
    made = breaker("xxxxx")
    assert made.allows(1.0)
    made.failed(1.0)
    assert made.allows(3.0)
    made.succeeded(3.0)
    for _ in range(5):
        made.failed(4.0)
    assert not made.allows(4.999)
    assert made.allows(5.0)


def test_a_probe_of_which_nothing_is_heard_is_lost() -> None:
    """A client that goes away takes its request along: neither a success nor a failure."""
    made = breaker("xxxxx")
    assert made.allows(1.0)
    assert not made.allows(1.9)
    assert made.allows(2.0)


@pytest.mark.parametrize("late", ["x", "."])
def test_late_answers_of_earlier_calls_change_nothing(late: str) -> None:
    made = breaker("xxxxx")
    made.failed(0.9) if late == "x" else made.succeeded(0.9)
    assert made.circuit(0.9) is Circuit.OPEN
    assert made.allows(1.0)
