"""Who loads the successor of a champion on trial: a gateway, or nobody but us."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from tenure.adapters.sql import serving, trials
from tenure.errors import StateConflict
from tenure.lifecycle.registry import artifact_key
from tenure.lifecycle.serving import TrafficPlan
from tenure.lifecycle.serving.trial import TrialAnswer
from tenure.vocabulary import State
from tenure.wiring.base import Platform
from tenure.wiring.rollback import Intent, intend, roll_back
from tenure.wiring.serving_models import VerifiedLoader

MODEL = "flight_late"
Says = Mapping[str, Callable[[str], str]]
"""By gateway: its refusal of a version by name, empty when it loads."""


@contextmanager
def gateways(platform: Platform, says: Says, silent: str = "") -> Iterator[None]:
    """Answer trials as gateways do; the silent one served once and answers no more."""
    plan = TrafficPlan(MODEL, 1, 1, 1, None, 0, "s", None, None)
    with platform.database.begin() as c:
        for name in filter(None, (*says, silent)):
            serving.acknowledge(c, gateway=name, plan=plan, seen_at=datetime.now(tz=UTC))
    over = threading.Event()

    def follow() -> None:
        while not over.wait(0.01):
            for name, refusal in says.items():
                with platform.database.begin() as c:
                    for trial in trials.asked(c, name):
                        why = refusal(f"{MODEL}@{trial.row['version']}")
                        trials.answer(c, trial.id, TrialAnswer(name, not why, why))

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


@pytest.fixture
def loads_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Versions that were loaded by this process."""
    found: list[str] = []
    load = VerifiedLoader.load

    def seen(loader: VerifiedLoader, row: Mapping[str, Any]) -> Any:
        found.append(f"{row['model']}@{row['version']}")
        return load(loader, row)

    monkeypatch.setattr(VerifiedLoader, "load", seen)
    return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long answers are waited for: long, so that a slow machine is no failure."""

    def of(seconds: float) -> None:
        monkeypatch.setattr("tenure.wiring.trials.TRIAL_PATIENCE_SECONDS", seconds)

    of(30)
    return of


def loads(_name: str) -> str:
    return ""


def refuses(name: str) -> str:
    return f"{name}: other bytes."


def refuses_2(name: str) -> str:
    return refuses(name) if name == f"{MODEL}@2" else ""


@pytest.mark.parametrize(
    ("says", "silent", "successor", "loaded", "refused", "here"),
    [
        pytest.param({"a": loads}, "", 2, "by gateway a", [], [], id="loads"),
        pytest.param({"a": loads}, "b", 2, "by gateway a", [], [], id="one ok is enough"),
        pytest.param({"a": refuses, "b": loads}, "", 2, "by gateway b", [], [], id="they differ"),
        pytest.param({"a": refuses_2}, "", 1, "by gateway a", [2], [], id="refused, the next one"),
        pytest.param({"a": refuses_2}, "b", 1, "by gateway a", [2], [], id="refused by who is up"),
        pytest.param({}, "b", 2, "here", [], [2], id="nobody answers"),
        pytest.param({}, "", 2, "here", [], [2], id="no gateway ever"),
    ],
)
def test_the_newest_that_loads(
    world: Callable[..., Any],
    loads_here: list[str],
    patience: Callable[[float], None],
    says: Says,
    silent: str,
    *,
    successor: int,
    loaded: str,
    refused: list[int],
    here: list[int],
) -> None:
    life = world()
    life.champion(), life.promoted(), life.promoted()
    if silent:
        patience(2 if says else 0)
    with gateways(life.platform, says, silent):
        intent = intend(life.platform, MODEL, actor="olga")
    assert (intent.successor.version, intent.loaded) == (successor, loaded)
    assert intent.refused == tuple((f"{MODEL}@{n}", f"{MODEL}@{n}: other bytes.") for n in refused)
    assert loads_here == [f"{MODEL}@{n}" for n in here]


def test_all_refused(world: Callable[..., Any]) -> None:
    life = world()
    life.champion(), life.promoted()
    says = f"no superseded version that loads \\({MODEL}@1: {MODEL}@1: other bytes.\\)"
    with (
        gateways(life.platform, {"a": refuses}),
        pytest.raises(StateConflict, match=says),
    ):
        intend(life.platform, MODEL)


def test_silence_is_waited_for_once(
    world: Callable[..., Any], loads_here: list[str], patience: Callable[[float], None]
) -> None:
    """Then all are tried here: the target loads before anything moves, as ever."""
    life = world()
    _, broken, _ = life.champion(), life.promoted(), life.promoted()
    life.platform.store.put(artifact_key(broken.artifact_digest), b"other bytes")
    patience(0)
    with gateways(life.platform, {}, silent="a"):
        intent = intend(life.platform, MODEL)
    assert (intent.successor.version, intent.loaded) == (1, "here")
    assert loads_here == [f"{MODEL}@2", f"{MODEL}@1"]
    assert life.count("trial") == 1


@pytest.mark.parametrize(
    ("says", "loaded"), [({"a": loads}, "by gateway a"), ({}, "here")], ids=["gateway", "here"]
)
def test_the_ledger_says_who_verified(world: Callable[..., Any], says: Says, loaded: str) -> None:
    life = world()
    first, _ = life.champion(), life.promoted()
    with gateways(life.platform, says):
        intent = intend(life.platform, MODEL, actor="olga")
    assert intent.describe() == (
        f"{MODEL}@2 (champion) loses all traffic; {MODEL}@1, loaded {loaded}, serves 100%."
    )
    roll_back(life.platform, intent, reason="harm", actor="olga")
    query = "SELECT dst, body ->> 'loaded' FROM ledger_event ORDER BY seq DESC LIMIT 2"
    with life.platform.database.begin() as c:
        told = dict(tuple(row) for row in c.exec_driver_sql(query))
    assert told == {"champion": loaded, "rolled_back": None}
    assert life.now(first).state is State.CHAMPION


def test_two_rollbacks_at_once(world: Callable[..., Any]) -> None:
    """Each has its own trials; the second finds it done."""
    life = world()
    life.champion(), life.promoted()
    found: list[Intent] = []
    with gateways(life.platform, {"a": loads}):
        both = [
            threading.Thread(target=lambda: found.append(intend(life.platform, MODEL)))
            for _ in range(2)
        ]
        for one in both:
            one.start()
        for one in both:
            one.join(10)
    assert [intent.loaded for intent in found] == ["by gateway a"] * 2
    plans = [roll_back(life.platform, one, reason="harm", actor="olga") for one in found]
    assert plans[0] == plans[1]
    assert life.count("trial") == life.count("trial_answer") == 2
