"""Who loads the successor of a champion on trial: a gateway, or nobody but us."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from tenure.adapters.sql import serving, trials
from tenure.cli import app
from tenure.errors import ServiceUnreachable, StateConflict
from tenure.installation import Installation
from tenure.layout import artifact_key
from tenure.lifecycle.model_version import VersionRecord
from tenure.lifecycle.promotion.trial_loads import TrialAnswer, verdict
from tenure.lifecycle.serving import TrafficPlan
from tenure.usecases.promotion.rollback import Intent, intend, roll_back
from tenure.usecases.promotion.trial_loads import refusals
from tenure.usecases.serving.loading import VerifiedLoader
from tenure.vocabulary import State

MODEL = "flight_late"
Says = Mapping[str, Callable[[str], str]]
"""By gateway: its refusal of a version by name, empty when it loads."""


@contextmanager
def gateways(platform: Installation, says: Says, mute: str = "", dead: str = "") -> Iterator[None]:
    """Answer trials as gateways do; the mute one lives and does not, the dead one is silent."""
    plan = TrafficPlan(MODEL, 1, 1, 1, None, 0, "s", None, None, datetime.now(tz=UTC), None)
    with platform.database.begin() as c:
        for name in filter(None, (*says, mute, dead)):
            serving.acknowledge(c, gateway=name, plan=plan, seen_at=datetime.now(tz=UTC))
        c.execute(
            text("UPDATE gateway_ack SET alive_at = now() - interval '31 s' WHERE gateway_id = :g"),
            {"g": dead},
        )
    over = threading.Event()

    def follow() -> None:
        while not over.wait(0.01):
            for name, refusal in says.items():
                with platform.database.begin() as c:
                    for trial in trials.asked(c, name):
                        why = refusal(f"{MODEL}@{trial.row.version}")
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

    def seen(loader: VerifiedLoader, row: VersionRecord) -> Any:
        found.append(row.name)
        return load(loader, row)

    monkeypatch.setattr(VerifiedLoader, "load", seen)
    return found


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long answers are waited for: long, so that a slow machine is no failure."""

    def of(seconds: float) -> None:
        monkeypatch.setattr("tenure.usecases.promotion.trial_loads.TRIAL_PATIENCE_SECONDS", seconds)

    of(30)
    return of


def loads(_name: str) -> str:
    return ""


def refuses(name: str) -> str:
    return f"{name}: other bytes."


def refuses_2(name: str) -> str:
    return refuses(name) if name == f"{MODEL}@2" else ""


@pytest.mark.parametrize(
    ("says", "mute", "successor", "loaded", "refused", "here"),
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
    mute: str,
    *,
    successor: int,
    loaded: str,
    refused: list[int],
    here: list[int],
) -> None:
    life = world()
    life.champion(), life.promoted(), life.promoted()
    if mute:
        patience(2 if says else 0)
    with gateways(life.platform, says, mute):
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
    with gateways(life.platform, {}, mute="a"):
        intent = intend(life.platform, MODEL)
    assert (intent.successor.version, intent.loaded) == (1, "here")
    assert loads_here == [f"{MODEL}@2", f"{MODEL}@1"]
    assert life.count("trial") == 1


@pytest.mark.parametrize(
    ("says", "loaded", "asked"),
    [
        pytest.param({"a": loads}, "by gateway a", 1, id="loads"),
        pytest.param({"a": refuses_2}, "by gateway a", 2, id="refused, the next one"),
        pytest.param({}, "here", 0, id="nobody is there to ask"),
    ],
)
def test_nobody_waits_for_the_dead(
    world: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    says: Says,
    loaded: str,
    asked: int,
) -> None:
    """A pod that was replaced is not among those whose answer is awaited."""
    life = world()
    life.champion(), life.promoted(), life.promoted()
    awaited: set[str] = set()

    def watched(given: Any, *, known: Any, is_over: bool) -> TrialAnswer | None:
        awaited.update(known)
        return verdict(given, known=known, is_over=is_over)

    monkeypatch.setattr("tenure.usecases.promotion.trial_loads.verdict", watched)
    with gateways(life.platform, says, dead="dead"):
        intent = intend(life.platform, MODEL)
        assert refusals(life.platform, MODEL, intent.trial) == ()
    assert (intent.loaded, awaited, life.count("trial")) == (loaded, set(says), asked)


TOLD = f"{MODEL}@2 (champion) loses all traffic; {MODEL}@1, loaded by gateway a, serves 100%."
DONE = "Done: plan generation 4, fence 4."
CANNOT = f"Gateway b cannot load {MODEL}@1 and keeps the plan that it has: no\\x1b[2J\\ntrust."


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`tenure rollback`, with what the person answers when asked."""

    def invoke(platform: Installation, *words: str, answer: str = "") -> Result:
        settings = platform.settings
        monkeypatch.setenv("TENURE_HOME", str(settings.home))
        monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
        monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
        command = ["rollback", MODEL, "--reason", "harm", *words]
        return CliRunner().invoke(app, command, input=answer)

    return invoke


def distrusts(_name: str) -> str:
    """Says so when one ok was enough long before."""
    time.sleep(0.2)
    return "no\x1b[2J\ntrust."


@pytest.mark.parametrize(
    ("words", "answer", "lines"),
    [
        pytest.param(["--yes"], "", [TOLD, DONE, CANNOT], id="not asked: traffic moves first"),
        pytest.param([], "y", [TOLD, CANNOT, "Do it? [y/N]: y", DONE], id="asked"),
        pytest.param([], "n", [TOLD, CANNOT, "Do it? [y/N]: n"], id="asked, and no"),
    ],
)
def test_who_rolls_back_learns_who_could_not_load_it(
    world: Callable[..., Any],
    run: Callable[..., Result],
    words: list[str],
    answer: str,
    lines: list[str],
) -> None:
    """One that loads it is enough; the other goes on by the plan that it has, and it is said."""
    life = world()
    life.champion(), life.promoted()
    with gateways(life.platform, {"a": loads, "b": distrusts}, dead="c"):
        done = run(life.platform, *words, answer=answer)
    assert done.stdout.splitlines() == lines


def test_programs_learn_it_too(world: Callable[..., Any], run: Callable[..., Result]) -> None:
    life = world()
    life.champion(), life.promoted()
    with gateways(life.platform, {"a": loads, "b": distrusts}, dead="c"):
        done = run(life.platform, "--json")
    assert json.loads(done.stdout)["refused_by"] == [{"gateway": "b", "reason": distrusts("")}]
    assert "\x1b" not in done.stdout


def test_done_is_said_although_the_database_goes_away(
    world: Callable[..., Any], run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world()
    life.champion(), life.promoted()

    def gone(*_: object) -> None:
        raise ServiceUnreachable("gone", still_safe="x", next_step="y")

    monkeypatch.setattr("tenure.usecases.promotion.trial_loads.refusals", gone)
    with gateways(life.platform, {"a": loads}):
        done = run(life.platform, "--yes")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1:] == [
        DONE,
        "What other gateways found is not known: the lifecycle database does not answer.",
    ]


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
    query = (
        "SELECT dst, body ->> 'loaded' FROM ledger_event WHERE dst IS NOT NULL "
        "ORDER BY seq DESC LIMIT 2"
    )
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
