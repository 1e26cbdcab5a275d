"""Moves that meet each other or are killed half-way: one wins, nothing is mixed, nothing twice."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tenure.adapters.sql import incidents
from tenure.adapters.sql.tables import incident
from tenure.cli import app
from tenure.errors import StateConflict, TenureError
from tenure.installation import Installation
from tenure.layout import artifact_key
from tenure.settings import REPOSITORY
from tenure.usecases.promotion import canary, traffic
from tenure.usecases.promotion.approval import load_model
from tenure.usecases.promotion.rollback import intend, roll_back
from tenure.vocabulary import State

pytestmark = pytest.mark.service


def in_canary(life: Any) -> tuple[Any, Any, Any]:
    champion, challenger = life.champion(), life.approved()
    policy = load_model(life.platform.settings.include, "flight_late")[0].canary
    return (
        champion,
        challenger,
        traffic.start_canary(life.platform, challenger.id, policy, actor="controller"),
    )


def promote(platform: Installation, version_id: int, plan: Any) -> None:
    with traffic.turn(platform, version_id, actor="controller") as mine:
        traffic.promote(mine, plan, evidence="e" * 64)


def together(*actions: Callable[[], object]) -> list[Exception | None]:
    """Run all at the same moment; what each raised."""
    gate, ends = threading.Barrier(len(actions)), [None] * len(actions)

    def act(place: int) -> None:
        gate.wait()
        try:
            actions[place]()
        except TenureError as error:
            ends[place] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=act, args=(n,)) for n in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return ends  # type: ignore[return-value]


def test_what_monitoring_found_of_a_replaced_champion_is_closed(
    world: Callable[..., Any],
) -> None:
    life = world()
    champion, challenger, plan = in_canary(life)
    with life.platform.database.begin() as connection:
        for version in (champion, challenger):
            incidents.open_incident(
                connection,
                dedupe_key=f"monitoring:{version.model}:{version.version}",
                kind="performance_failed",
                subject=version.name,
                summary="worse",
                facts={},
                at=life.platform.clock.now(),
            )
    promote(life.platform, challenger.id, plan)
    with life.platform.database.begin() as connection:
        left = connection.execute(select(incident.c.subject).where(incident.c.state == "open"))
        assert list(left.scalars()) == [challenger.name]


def test_two_promotions_at_once_have_one_winner(world: Callable[..., Any]) -> None:
    life = world()
    champion, challenger, plan = in_canary(life)
    others = [Installation(life.platform.settings) for _ in range(4)]
    ends = together(*(lambda p=p: promote(p, challenger.id, plan) for p in others))
    assert sum(end is None for end in ends) == 1
    assert all(isinstance(end, StateConflict) for end in ends if end is not None)
    assert life.events(challenger).count("champion") == 1
    assert life.events(champion).count("superseded") == 1
    assert life.plan().generation == plan.generation + 1
    for other in others:
        other.database.dispose()


def test_two_first_promotions_at_once_have_one_winner(world: Callable[..., Any]) -> None:
    life = world()
    first, second = life.approved(), life.approved()
    others = [Installation(life.platform.settings) for _ in range(2)]
    ends = together(
        *(
            lambda p=p, v=v: traffic.promote_first(p, v.id, actor="test")
            for p, v in zip(others, (first, second), strict=True)
        )
    )
    assert sum(end is None for end in ends) == 1
    states = sorted(str(life.now(v).state) for v in (first, second))
    assert (states, life.count("traffic_plan")) == (["approved", "champion"], 1)
    for other in others:
        other.database.dispose()


@pytest.mark.parametrize("attempt", range(3))
def test_promote_against_rollback_is_never_mixed(world: Callable[..., Any], attempt: int) -> None:
    life = world()
    champion, challenger, plan = in_canary(life)
    other = Installation(life.platform.settings)
    intent = intend(other, "flight_late")
    lost, refused = together(
        lambda: promote(life.platform, challenger.id, plan),
        lambda: roll_back(other, intent, reason="race", actor="olga"),
    )
    other.database.dispose()
    states = (life.now(champion).state, life.now(challenger).state, life.plan().champion_id)
    if lost is None:
        assert refused is not None
        assert states == (State.SUPERSEDED, State.CHAMPION, challenger.id)
    else:
        assert refused is None
        assert states == (State.CHAMPION, State.ROLLED_BACK, champion.id)
    assert life.plan().canary_id is None


def test_a_stale_promotion_after_a_rollback_loses(world: Callable[..., Any]) -> None:
    life = world()
    champion, challenger, plan = in_canary(life)
    roll_back(life.platform, intend(life.platform, "flight_late"), reason="harm", actor="olga")
    with pytest.raises(StateConflict, match="is rolled_back, not canary"):
        promote(life.platform, challenger.id, plan)
    assert life.now(champion).state is State.CHAMPION


def test_a_promotion_on_an_old_plan_leaves_nothing_half_done(world: Callable[..., Any]) -> None:
    life = world()
    champion, challenger, plan = in_canary(life)
    policy = load_model(life.platform.settings.include, "flight_late")[0].canary
    traffic.start_canary(life.platform, challenger.id, policy, actor="second controller")
    events = life.count("ledger_event")
    with pytest.raises(StateConflict, match="moved on to generation 3, fence 3"):
        promote(life.platform, challenger.id, plan)
    assert life.count("ledger_event") == events
    assert (life.now(champion).state, life.now(challenger).state) == (
        State.CHAMPION,
        State.CANARY,
    )


KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from sqlalchemy import event
    from tenure.adapters.sql import plans, versions
    from tenure.settings import Settings
    from tenure.vocabulary import RunRef
    from tenure.installation import Installation
    from tenure.usecases.promotion import canary, traffic

    home, include, database, store, step, point, number = sys.argv[1:]
    platform = Installation(Settings(Path(home), Path(include), database, store, "", "", ""))
    with platform.database.begin() as connection:
        version = versions.get(connection, "flight_late", int(number))
        plan = plans.newest(connection, "flight_late")
    written = []

    def die(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    def look(connection, cursor, statement, *_):
        if statement.startswith("UPDATE model_version") and point == "after the first move":
            die()
        if statement.startswith("INSERT INTO traffic_plan"):
            written.append(1)

    engine = platform.database.engine
    event.listen(engine, "after_cursor_execute", look)
    if point == "before commit":
        event.listen(engine, "commit", lambda connection: die() if written else None)
    if step == "promote":
        with traffic.turn(platform, version.id, actor="controller") as mine:
            traffic.promote(mine, plan, evidence="e" * 64)
    else:
        canary.enter(platform, version, RunRef("d", "r", "canary"))
    assert written
    die()
    """
)
TARGETS = {"first": "champion", "canary": "canary", "promote": "champion"}


def killed(life: Any, step: str, point: str, version: Any) -> None:
    settings = life.platform.settings
    victim = subprocess.run(
        [
            sys.executable,
            "-c",
            KILLED,
            str(settings.home),
            str(settings.include),
            settings.database_url,
            settings.store_url,
            step,
            point,
            str(version.version),
        ],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "plugins")},
        check=False,
        capture_output=True,
        timeout=60,
    )
    assert victim.returncode == -signal.SIGKILL, victim.stderr.decode()


POINTS = ("after the first move", "before commit", "after commit")


def killed_at() -> Iterator[Any]:
    """Every step at every point; `make test` has each step and each point at least once."""
    for i, step in enumerate(TARGETS):
        for j, point in enumerate(POINTS):
            marks = () if j == i % len(POINTS) else pytest.mark.exhaustive
            yield pytest.param(step, point, marks=marks)


@pytest.mark.parametrize(("step", "point"), [*killed_at()])
def test_a_task_killed_at_any_point_is_done_once(
    world: Callable[..., Any], point: str, step: str
) -> None:
    life = world()
    version = life.approved() if step == "first" else in_canary(life)[1]
    if step == "canary":
        roll_back(life.platform, intend(life.platform, "flight_late"), reason="-", actor="olga")
        version = life.approved()
    plans, target, done = life.count("traffic_plan"), TARGETS[step], point == "after commit"
    killed(life, step, point, version)
    assert life.events(version).count(target) == int(done)
    assert life.count("traffic_plan") == plans + int(done)
    for _ in range(2):  # the retry, and a finished task that is cleared again
        entered = canary.enter(life.platform, version, life.run())
        if step == "promote" and entered.probation is not None:
            promote(life.platform, version.id, entered.probation.plan)
    assert life.events(version).count(target) == 1
    assert str(life.now(version).state) == target


def test_champion_rollback_gives_traffic_to_the_newest_that_loads(
    world: Callable[..., Any],
) -> None:
    life = world()
    oldest, broken, bad = life.champion(), life.promoted(), life.promoted()
    life.platform.store.put(artifact_key(broken.artifact_digest), b"other bytes")
    intent = intend(life.platform, "flight_late")
    assert intent.describe() == (
        "flight_late@3 (champion) loses all traffic; flight_late@1, loaded here, serves 100%."
    )
    assert [name for name, _ in intent.refused] == ["flight_late@2"]
    fence = life.plan().fence
    plan = roll_back(life.platform, intent, reason="complaints", actor="olga")
    assert (plan.champion_id, plan.canary_id, plan.fence) == (oldest.id, None, fence + 1)
    states = [life.now(v).state for v in (oldest, broken, bad)]
    assert states == [State.CHAMPION, State.SUPERSEDED, State.ROLLED_BACK]
    assert roll_back(life.platform, intent, reason="complaints", actor="olga") == plan
    assert intend(life.platform, "flight_late", version=3).done
    with pytest.raises(StateConflict, match="no superseded version that loads"):
        intend(life.platform, "flight_late")


def test_champion_rollback_ends_its_canary_in_the_same_moment(
    world: Callable[..., Any],
) -> None:
    life = world()
    oldest, champion = life.champion(), life.promoted()
    challenger = life.approved()
    policy = load_model(life.platform.settings.include, "flight_late")[0].canary
    traffic.start_canary(life.platform, challenger.id, policy, actor="controller")
    intent = intend(life.platform, "flight_late", champion.version)
    plan = roll_back(life.platform, intent, reason="complaints", actor="olga")
    assert (plan.champion_id, plan.canary_id) == (oldest.id, None)
    states = [life.now(v).state for v in (champion, challenger)]
    assert states == [State.ROLLED_BACK, State.ROLLED_BACK]


def test_the_command_works_without_airflow_and_once(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    life = world()
    oldest, bad = life.champion(), life.promoted()
    settings = life.platform.settings
    for name, value in {
        "TENURE_HOME": str(settings.home),
        "TENURE_INCLUDE": str(settings.include),
        "TENURE_DATABASE_URL": settings.database_url,
        "TENURE_STORE_URL": settings.store_url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tenure.cli.arguments.login_name", lambda: "olga")
    runner = CliRunner()
    options = ["flight_late", "--reason", "complaints"]
    refused = runner.invoke(app, ["rollback", *options], input="n\n")
    assert (refused.exit_code, life.now(bad).state) == (1, State.CHAMPION)
    for done_before in (False, True):
        result = runner.invoke(app, ["rollback", *options, "--version", "2", "--json"])
        answer = json.loads(result.stdout)
        assert (answer["removed"], answer["serving"], answer["done_before"]) == (2, 1, done_before)
    assert (life.now(oldest).state, life.now(bad).state) == (State.CHAMPION, State.ROLLED_BACK)
    assert life.events(bad).count("rolled_back") == 1


def test_nothing_to_roll_back_is_said(world: Callable[..., Any]) -> None:
    life = world()
    version = life.approved()
    with pytest.raises(StateConflict, match="no champion"):
        intend(life.platform, "flight_late")
    traffic.promote_first(life.platform, version.id, actor="test")
    with pytest.raises(StateConflict, match=r"no superseded version that loads \(there is none\)"):
        intend(life.platform, "flight_late")
    with pytest.raises(StateConflict, match="no version 9"):
        intend(life.platform, "flight_late", version=9)
