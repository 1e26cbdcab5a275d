"""Routing, leases, the order of fallback."""

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from version_rows import facts, record

from tenure.lifecycle import serving
from tenure.lifecycle.serving import (
    Arm,
    ClockReading,
    HeldPlan,
    Level,
    Signature,
    TrafficPlan,
    assign,
    hold,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SUBJECTS = [f"subject-{n}" for n in range(20_000)]


def a_plan(generation: int = 1, *, lease_until: datetime | None = None) -> TrafficPlan:
    return TrafficPlan(
        model="m",
        generation=generation,
        fence=1,
        champion_id=1,
        canary_id=2,
        share_bp=500,
        salt="s",
        lease_seconds=20,
        lease_until=lease_until or NOW + timedelta(seconds=20),
        champion_until=NOW + timedelta(days=30),
        canary_until=NOW + timedelta(days=7),
    )


STABLE = replace(
    a_plan(), canary_id=None, share_bp=0, lease_seconds=None, lease_until=None, canary_until=None
)
CLOCK = ClockReading(NOW, 1000.0)


def share_of(route: Callable[[str], int], share_bp: int) -> int:
    return sum(route(subject) < share_bp for subject in SUBJECTS)


def within_bounds(taken: int, share_bp: int) -> bool:
    """Six standard deviations of a binomial: a right router fails once in 500 million."""
    expected = len(SUBJECTS) * share_bp / 10_000
    return abs(taken - expected) <= 6 * math.sqrt(expected * (1 - share_bp / 10_000)) + 1e-9


@pytest.mark.parametrize("share_bp", [0, 1, 500, 5000, 9999, 10_000])
@pytest.mark.parametrize("salt", ["a", "b"])
def test_share_of_subjects(share_bp: int, salt: str) -> None:
    assert within_bounds(share_of(lambda s: serving.bucket(salt, s), share_bp), share_bp)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda s: serving.bucket("a", s) % 100, id="percent instead of basis points"),
        pytest.param(lambda s: serving.bucket("a", s[:9]), id="looks at a part of the subject"),
        pytest.param(lambda s: serving.bucket(s, "a") * 11 // 10, id="a tenth too few"),
    ],
)
def test_share_of_subjects_finds_planted_bugs(broken: Callable[[str], int]) -> None:
    assert not within_bounds(share_of(broken, 5000), 5000)


def test_ramp_is_nested_and_sticky() -> None:
    arms = {
        share: {s for s in SUBJECTS if assign(s, salt="x", share_bp=share) is Arm.CANARY}
        for share in (500, 5000, 10_000)
    }
    assert arms[500] < arms[5000] < arms[10_000] == set(SUBJECTS)
    again = {s for s in reversed(SUBJECTS) if assign(s, salt="x", share_bp=500) is Arm.CANARY}
    assert again == arms[500]


def test_new_salt_draws_other_subjects() -> None:
    first, second = (
        {s for s in SUBJECTS if assign(s, salt=salt, share_bp=5000) is Arm.CANARY} for salt in "ab"
    )
    overlap = len(first & second)
    assert 0.4 * len(first) < overlap < 0.6 * len(first)


@pytest.mark.parametrize(
    ("bucket_of", "share_bp", "expected"),
    [(499, 500, Arm.CANARY), (500, 500, Arm.CHAMPION), (501, 500, Arm.CHAMPION)],
    ids=["below", "at", "above"],
)
def test_bound_of_share(
    monkeypatch: pytest.MonkeyPatch, bucket_of: int, share_bp: int, expected: Arm
) -> None:
    monkeypatch.setattr(serving.plan, "bucket", lambda _salt, _subject: bucket_of)
    assert assign("any", salt="s", share_bp=share_bp) is expected


@pytest.mark.parametrize(
    ("read_after", "elapsed", "share_bp"),
    [
        pytest.param(0, 0, 500, id="read at once"),
        pytest.param(0, 19.9, 500, id="just before the end"),
        pytest.param(0, 20, 0, id="at the end"),
        pytest.param(0, 100, 0, id="long after"),
        pytest.param(15, 4.9, 500, id="read late: the rest of it"),
        pytest.param(15, 5, 0, id="read late: not the whole length"),
        pytest.param(20, 0, 0, id="read when it had ended"),
        pytest.param(86_400, 0, 0, id="read a day later"),
        pytest.param(-86_400, 19.9, 500, id="published by a clock that is a day ahead"),
        pytest.param(-86_400, 20, 0, id="the same: no longer than the lease"),
    ],
)
def test_lease(read_after: float, elapsed: float, share_bp: int) -> None:
    read_at = NOW + timedelta(seconds=read_after)
    held = hold(a_plan(), read_at=read_at, monotonic_at=1000, clock=CLOCK)
    assert held.share_bp(1000 + elapsed) == share_bp


def test_lease_seconds_left() -> None:
    held = hold(a_plan(), read_at=NOW, monotonic_at=1000, clock=CLOCK)
    assert [held.seconds_left(t) for t in (1000, 1015, 1020, 1030)] == [20, 5, 0, 0]
    held = hold(STABLE, read_at=NOW, monotonic_at=0, clock=CLOCK)
    assert held.seconds_left(10**9) is None


def test_plan_from_disk_gives_the_canary_nothing() -> None:
    held = hold(a_plan(), read_at=None, monotonic_at=1000, clock=CLOCK)
    assert held.share_bp(1000) == 0
    assert not held.is_confirmed


DAY = 86_400


@pytest.mark.parametrize(
    ("arm", "elapsed", "has_ended"),
    [
        pytest.param(Arm.CHAMPION, 30 * DAY - 1, False, id="champion: just before the end"),
        pytest.param(Arm.CHAMPION, 30 * DAY, True, id="champion: at the end"),
        pytest.param(Arm.CHAMPION, 400 * DAY, True, id="champion: long after"),
        pytest.param(Arm.CANARY, 7 * DAY - 1, False, id="canary: just before the end"),
        pytest.param(Arm.CANARY, 7 * DAY, True, id="canary: at the end"),
        pytest.param(Arm.RULE, 400 * DAY, False, id="a rule needs none"),
    ],
)
def test_authorization_ends_on_the_monotonic_clock(
    arm: Arm, elapsed: float, has_ended: bool
) -> None:
    held = hold(a_plan(), read_at=NOW, monotonic_at=1000, clock=CLOCK)
    until = {Arm.CHAMPION: NOW + timedelta(days=30), Arm.CANARY: NOW + timedelta(days=7)}
    assert held.ended(arm, 1000 + elapsed) == (until[arm] if has_ended else None)


def test_authorization_of_a_plan_from_disk_ends_as_well() -> None:
    held = hold(STABLE, read_at=None, monotonic_at=0, clock=CLOCK)
    assert held.ended(Arm.CHAMPION, 1000 + 30 * DAY) == STABLE.champion_until
    assert held.ended(Arm.CANARY, 10**9) is None


@pytest.mark.parametrize(
    ("at", "ends_after"),
    [
        pytest.param(NOW, 30 * DAY, id="the same time"),
        pytest.param(NOW - timedelta(days=300), 30 * DAY, id="a clock set back gives nothing"),
        pytest.param(NOW + timedelta(days=29), DAY, id="the machine slept for 29 days"),
        pytest.param(NOW + timedelta(days=31), 0, id="it slept beyond the end"),
    ],
)
def test_another_look_at_the_clock_only_shortens(at: datetime, ends_after: float) -> None:
    held = hold(a_plan(), read_at=NOW, monotonic_at=1000, clock=CLOCK)
    held = held.corrected(ClockReading(at, 1000.0))
    assert held.ended(Arm.CHAMPION, 1000 + ends_after) == held.plan.champion_until
    if ends_after:
        assert held.ended(Arm.CHAMPION, 1000 + ends_after - 1) is None


@pytest.mark.parametrize(
    ("generation", "confirmed", "held_confirmed", "expected"),
    [
        pytest.param(4, True, True, False, id="older"),
        pytest.param(5, True, True, False, id="same: reading again is no renewal"),
        pytest.param(6, True, True, True, id="newer"),
        pytest.param(5, True, False, True, id="same, now confirmed"),
        pytest.param(5, False, False, False, id="same, from disk again"),
        pytest.param(4, True, False, False, id="older than what is on disk"),
    ],
)
def test_supersedes(generation: int, confirmed: bool, held_confirmed: bool, expected: bool) -> None:
    held = HeldPlan(a_plan(5), 0.0, 0.0, 0.0, is_confirmed=held_confirmed)
    assert serving.supersedes(a_plan(generation), held, confirmed=confirmed) is expected


def test_fallback_chain() -> None:
    canary = serving.fallback_chain(Arm.CANARY, 2.0)
    assert [(s.arm, s.level, s.ends_after) for s in canary] == [
        (Arm.CANARY, Level.MODEL, 1.0),
        (Arm.CHAMPION, Level.CHAMPION, 2.0),
    ]
    champion = serving.fallback_chain(Arm.CHAMPION, 2.0)
    assert [(s.arm, s.level, s.ends_after) for s in champion] == [(Arm.CHAMPION, Level.MODEL, 2.0)]


def test_pseudonym() -> None:
    one = serving.pseudonym(b"k" * 32, "ada")
    assert len(one) == 32
    assert one == serving.pseudonym(b"k" * 32, "ada")
    assert one != serving.pseudonym(b"k" * 32, "Ada")
    assert one != serving.pseudonym(b"l" * 32, "ada")


@pytest.mark.parametrize(("score", "decision", "expected"), [(0.8, True, 0.8), (0.25, False, 0.75)])
def test_confidence(score: float, decision: bool, expected: float) -> None:
    assert serving.confidence(score, decision=decision) == expected


def test_signature_from_facts() -> None:
    stated = facts(
        features={"numeric": ["a"], "categorical": ["c"], "dates": []},
        categories={"c": ["x", "y"]},
        ranges={"a": [1, 3]},
    )
    signature = Signature.from_facts(record(stated).facts)
    assert signature.features == ("a", "c")
    examples = signature.examples()
    numbers, texts = ({row[i] for row in examples} for i in (0, 1))
    assert {1.0, 3.0, None} <= numbers
    assert texts == {"x", "y", None, "never seen"}
    assert examples == signature.examples()


def test_signature_while_two_versions_are_live() -> None:
    champion = Signature(("a",), ("c",), {"c": frozenset("x")}, {"a": (0, 1)})
    canary = Signature(("b", "a"), ("c",), {"c": frozenset("yz")}, {"a": (5, 6), "b": (2, 3)})
    both = champion.or_also(canary)
    assert both.features == ("a", "b", "c")
    assert both.categories["c"] == frozenset("x")
    assert both.ranges == {"a": (0, 1), "b": (2, 3)}
    assert champion.or_also(None) is champion


def test_version_ids() -> None:
    assert a_plan().version_ids == (1, 2)
    assert STABLE.version_ids == (1,)
