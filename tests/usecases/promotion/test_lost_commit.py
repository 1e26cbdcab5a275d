"""F20: the connection breaks off at COMMIT of a move of traffic; nobody says what is not known."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tenure.adapters.sql import plans, versions
from tenure.config import load_model
from tenure.errors import ServiceUnreachable
from tenure.installation import Installation
from tenure.usecases.audit.ledger import verify_ledger
from tenure.usecases.promotion import rollback, traffic
from tenure.vocabulary import State

pytestmark = [pytest.mark.service, pytest.mark.fault]
MODEL = "flight_late"
LOST = pytest.mark.parametrize("how", ["lose_reply", "lose_request"])


class Far:
    """The same installation over a wire that breaks at the COMMIT of the next plan."""

    def __init__(self, platform: Installation, wire: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        url = wire.url(platform.settings.database_url)
        self.platform = Installation(replace(platform.settings, database_url=url))
        self._wire = wire
        self._how = ""
        self._stays_away = False
        publish = plans.publish

        def publish_and_break(*given: Any, **named: Any) -> Any:
            plan = publish(*given, **named)
            if self._how:
                wire.at_commit, self._how = self._how, ""
                wire.mode = "cut" if self._stays_away else wire.mode
            return plan

        monkeypatch.setattr(plans, "publish", publish_and_break)

    def breaks(self, how: str, *, stays_away: bool = False) -> None:
        self._how, self._stays_away = how, stays_away

    def is_back(self) -> None:
        assert self._wire.lost == 1
        self._wire.mode = "pass"


@pytest.fixture
def life(world: Callable[..., Any]) -> Any:
    return world()


@pytest.fixture
def far(life: Any, wire: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    made = Far(life.platform, wire, monkeypatch)
    yield made
    made.platform.database.dispose()


def canary_of(life: Any) -> Any:
    """A canary beside a champion."""
    life.champion()
    version = life.approved()
    policy = load_model(life.platform.settings.include, MODEL)[0].canary
    traffic.start_canary(life.platform, version.id, policy, actor="controller")
    return life.now(version)


def settled(life: Any) -> None:
    found = verify_ledger(life.platform, invariants=True)
    assert found.ok, found
    with life.platform.database.begin() as c:
        champions = "SELECT count(*) FROM model_version WHERE state = 'champion'"
        assert c.exec_driver_sql(champions).scalar_one() == 1


@LOST
@pytest.mark.parametrize("what", ["champion", "canary"])
def test_a_rollback_looks_whether_it_was_done(life: Any, far: Far, how: str, what: str) -> None:
    if what == "canary":
        bad = canary_of(life)
    else:
        life.champion()
        bad = life.promoted()
    before = life.plan().generation
    intent = rollback.intend(far.platform, MODEL)
    far.breaks(how)
    plan = rollback.roll_back(far.platform, intent, reason="harm", actor="olga")
    far.is_back()
    assert (plan.generation, life.plan().generation) == (before + 1, before + 1)
    assert life.events(bad).count("rolled_back") == 1
    settled(life)


@LOST
def test_while_it_is_away_the_rollback_says_that_it_does_not_know(
    life: Any, far: Far, how: str
) -> None:
    life.champion()
    bad = life.promoted()
    before = life.plan().generation
    intent = rollback.intend(far.platform, MODEL)
    far.breaks(how, stays_away=True)
    with pytest.raises(ServiceUnreachable) as caught:
        rollback.roll_back(far.platform, intent, reason="harm", actor="olga")
    error = caught.value
    assert error.what.startswith(
        f"Whether {bad.name} was rolled back is not known: the answer was lost. "
        "The lifecycle database does not answer: "
    )
    again = (
        f"Bring the service back, then run `tenure rollback {MODEL} --version {bad.version} "
        "--reason …`: when it was done, that changes nothing. Without --version the next one would "
        "be taken out."
    )
    assert error.next_step.endswith(again)
    far.is_back()
    is_done = how == "lose_reply"
    with traffic.turn(life.platform, bad.id, actor="test") as mine:  # after the lost one
        assert (mine.version.state is State.ROLLED_BACK) is is_done
    second = rollback.intend(far.platform, MODEL, bad.version)
    assert second.done is is_done
    plan = rollback.roll_back(far.platform, second, reason="harm", actor="olga")
    assert plan.generation == life.plan().generation == before + 1
    assert life.events(bad).count("rolled_back") == 1
    settled(life)


def first(life: Any, far: Far) -> Callable[[], Any]:
    version = life.approved()
    return lambda: traffic.promote_first(far.platform, version.id, actor="controller")


def begin(life: Any, far: Far) -> Callable[[], Any]:
    life.champion()
    version = life.approved()
    policy = load_model(life.platform.settings.include, MODEL)[0].canary
    return lambda: traffic.start_canary(far.platform, version.id, policy, actor="controller")


@LOST
@pytest.mark.parametrize(("prepare", "ends"), [(first, "champion"), (begin, "canary")])
def test_a_promotion_is_sent_again(  # as its task does: it is retryable
    life: Any, far: Far, how: str, prepare: Callable[..., Callable[[], Any]], ends: str
) -> None:
    act = prepare(life, far)
    far.breaks(how)
    with pytest.raises(ServiceUnreachable) as caught:
        act()
    assert caught.value.may_be_done
    assert caught.value.still_safe == (
        "Nothing was half written: the connection broke off at COMMIT, so all of the transaction "
        "or nothing of it stands; gateways keep serving."
    )
    far.is_back()
    assert act().generation == life.plan().generation
    newest = max((life.now(v) for v in _versions(life)), key=lambda version: int(version.version))
    assert newest.state == ends
    assert life.events(newest).count(ends) == 1
    settled(life)


@LOST
def test_a_canary_becomes_champion_once(life: Any, far: Far, how: str) -> None:
    canary = canary_of(life)
    seen = life.plan()

    def act() -> None:
        with traffic.turn(far.platform, canary.id, actor="controller") as mine:
            if mine.version.state is State.CANARY:  # as the controller looks on each try
                traffic.promote(mine, seen, evidence="e" * 64)

    far.breaks(how)
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        act()
    far.is_back()
    act()
    assert life.events(canary).count("champion") == 1
    assert life.plan().generation == seen.generation + 1
    settled(life)


def test_what_broke_before_the_commit_was_not_done(life: Any, far: Far, wire: Any) -> None:
    bad = canary_of(life)

    def act() -> None:
        with traffic.turn(far.platform, bad.id, actor="olga") as mine:
            traffic.roll_back_canary(mine, reason="harm")
            wire.cut()
            mine.connection.exec_driver_sql("SELECT 1")

    with pytest.raises(ServiceUnreachable) as caught:
        act()
    assert not caught.value.may_be_done
    assert "the transaction was rolled back" in caught.value.still_safe
    assert life.now(bad).state is State.CANARY


def _versions(life: Any) -> list[Any]:
    with life.platform.database.begin() as c:
        return list(versions.in_state(c, MODEL, tuple(State)))
