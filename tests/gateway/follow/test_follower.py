"""Plans are followed forwards only, and only by versions that are loaded."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import InternalError
from version_rows import WITHOUT_THRESHOLD

from tenure.errors import ServiceUnreachable, StateConflict
from tenure.gateway.app import Gateway
from tenure.lifecycle.serving import Arm, TrafficPlan

Plans = Callable[..., TrafficPlan]
DOWN = ServiceUnreachable("no database", still_safe="x", next_step="y")


def model_of(gateway: Gateway) -> Any:
    return gateway.follower.view.models["flight_late"]


@pytest.fixture
def restarted(world: Any) -> Iterator[Callable[[], Gateway]]:
    made: list[Gateway] = []

    def restart() -> Gateway:
        made.append(world.gateway())
        return made[-1]

    yield restart
    for one in made:
        one.close()


def test_serves_and_acknowledges_once_a_generation(world: Any, gateway: Gateway) -> None:
    for _ in range(3):
        gateway.follower.poll()
    assert world.source.acknowledged == [("flight_late", 1)]
    assert world.loader.loads == [11]


def test_acknowledges_after_the_canary_is_loaded(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    gateway.follower.poll()
    world.loader.models[12] = RuntimeError("not yet")
    world.publish(plans(2, canary=12, share_bp=500))
    gateway.follower.poll()
    assert world.source.acknowledged == [("flight_late", 1)]
    world.loader.models[12] = world.loader.models[11]
    world.clock.seconds += 6
    gateway.follower.poll()
    assert world.source.acknowledged == [("flight_late", 1), ("flight_late", 2)]


def test_keeps_the_old_plan_while_the_new_one_cannot_be_loaded(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    gateway.follower.poll()
    world.loader.models[12] = ValueError("flipped byte")
    world.publish(plans(2, canary=12, share_bp=5000))
    for _ in range(5):
        gateway.follower.poll()
    assert model_of(gateway).held.plan.generation == 1
    assert world.loader.loads == [11, 12]
    assert world.source.refusals == ["artifact_refused flight_late@2: ValueError('flipped byte')"]
    world.clock.seconds += 5
    gateway.follower.poll()
    assert world.loader.loads == [11, 12, 12]


def test_same_generation_is_no_renewal(world: Any, gateway: Gateway, plans: Plans) -> None:
    world.publish(plans(2, canary=12, share_bp=500))
    gateway.follower.poll()
    world.clock.seconds += 19
    world.clock.wall += timedelta(seconds=19)
    gateway.follower.poll()
    assert model_of(gateway).held.share_bp(world.clock.seconds) == 500
    world.clock.seconds += 1
    gateway.follower.poll()
    assert model_of(gateway).held.share_bp(world.clock.seconds) == 0


def test_next_generation_renews(world: Any, gateway: Gateway, plans: Plans) -> None:
    world.publish(plans(2, canary=12, share_bp=500))
    gateway.follower.poll()
    world.clock.seconds += 15
    world.clock.wall += timedelta(seconds=15)
    renewed = replace(
        plans(3, canary=12, share_bp=500), lease_until=world.clock.wall + timedelta(seconds=20)
    )
    world.publish(renewed)
    gateway.follower.poll()
    assert model_of(gateway).held.seconds_left(world.clock.seconds) == 20
    assert world.loader.loads == [11, 12]


def test_lease_that_ended_before_it_was_read_is_not_acknowledged(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    world.clock.wall += timedelta(seconds=60)
    world.publish(plans(2, canary=12, share_bp=500))
    gateway.follower.poll()
    assert model_of(gateway).held.share_bp(world.clock.seconds) == 0
    assert world.source.acknowledged == []


def test_older_generation_is_ignored(world: Any, gateway: Gateway, plans: Plans) -> None:
    world.publish(plans(5))
    gateway.follower.poll()
    world.publish(plans(4, canary=12, share_bp=10_000))
    gateway.follower.poll()
    assert model_of(gateway).held.plan.generation == 5


def test_database_away_keeps_the_plan(world: Any, gateway: Gateway) -> None:
    gateway.follower.poll()
    world.source.error = DOWN
    with pytest.raises(ServiceUnreachable):
        gateway.follower.poll()
    assert model_of(gateway).is_ready
    assert gateway.follower.view.keys


def test_restart_without_database_serves_the_stable_plan(
    world: Any, restarted: Callable[[], Gateway], eventually: Callable[..., Any]
) -> None:
    restarted().follower.poll()
    world.source.error = DOWN
    second = restarted()
    second.start()
    eventually(lambda: second.follower.view.models)
    assert model_of(second).is_ready
    assert len(second.follower.view.keys) == len(world.source.catalog.keys)
    assert second.follower.view.states["flight_late@1"] == "champion"


def test_copy_on_disk_is_written_when_something_is_new_and_says_no_time(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    gateway.follower.poll()
    state = world.folder / "state.json"
    first = state.stat().st_ino
    world.clock.wall += timedelta(seconds=1)
    gateway.follower.poll()
    assert state.stat().st_ino == first
    assert json.loads(state.read_bytes())["read_at"] is None
    world.publish(plans(2))
    gateway.follower.poll()
    assert state.stat().st_ino != first


@pytest.mark.parametrize(
    ("wall", "has_ended"),
    [
        pytest.param(timedelta(days=29), False, id="before the end"),
        pytest.param(timedelta(days=30), True, id="at the end"),
        pytest.param(timedelta(days=400), True, id="long after"),
    ],
)
def test_restart_without_database_knows_an_ended_authorization(
    world: Any, restarted: Callable[[], Gateway], wall: timedelta, has_ended: bool
) -> None:
    restarted().follower.poll()
    world.clock.wall += wall
    second = restarted()
    second.follower.restore()
    assert bool(model_of(second).held.ended(Arm.CHAMPION, world.clock.seconds)) is has_ended


def test_restart_without_database_does_not_believe_a_clock_that_was_set_back(
    world: Any, restarted: Callable[[], Gateway]
) -> None:
    """What time it was by the database's clock is kept, once a minute, also while that is away."""
    database = world.source.clock = type(world.clock)()
    database.wall += timedelta(days=29)
    first = restarted()
    first.follower.poll()
    world.source.error = DOWN
    world.clock.seconds += 12 * 3600
    first.follower._look()  # as its thread does twice a second
    world.clock.wall -= timedelta(days=400)
    second = restarted()
    second.follower.restore()
    held = model_of(second).held
    assert held.ended(Arm.CHAMPION, world.clock.seconds + 12 * 3600 - 1) is None
    assert held.ended(Arm.CHAMPION, world.clock.seconds + 12 * 3600 + 60) is not None


def test_the_database_overrules_a_clock_that_is_ahead(
    world: Any, restarted: Callable[[], Gateway]
) -> None:
    world.source.clock = type(world.clock)()
    restarted().follower.poll()
    world.clock.wall += timedelta(days=400)
    second = restarted()
    second.follower.restore()
    assert model_of(second).held.ended(Arm.CHAMPION, world.clock.seconds) is not None
    second.follower.poll()
    assert model_of(second).held.ended(Arm.CHAMPION, world.clock.seconds) is None


def test_a_machine_that_slept_is_put_right_by_the_next_look(world: Any, gateway: Gateway) -> None:
    gateway.follower.poll()
    world.clock.wall += timedelta(days=31)  # and its monotonic clock stood still
    gateway.follower.poll()
    assert model_of(gateway).held.ended(Arm.CHAMPION, world.clock.seconds) is not None


def test_restart_without_database_gives_a_canary_nothing_until_confirmed(
    world: Any, restarted: Callable[[], Gateway], plans: Plans
) -> None:
    world.publish(plans(2, canary=12, share_bp=10_000))
    restarted().follower.poll()
    second = restarted()
    second.follower.restore()
    assert model_of(second).held.share_bp(world.clock.seconds) == 0
    second.follower.poll()
    assert model_of(second).held.share_bp(world.clock.seconds) == 10_000


def test_canary_that_a_fresh_gateway_cannot_load_gets_nothing(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    world.loader.models[12] = ValueError("gone")
    world.publish(plans(2, canary=12, share_bp=10_000))
    gateway.follower.poll()
    assert model_of(gateway).is_ready
    assert model_of(gateway).held.share_bp(world.clock.seconds) == 0
    assert world.source.acknowledged == []


def test_copies_of_unnamed_artifacts_are_dropped(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    world.publish(plans(2, canary=12, share_bp=500))
    gateway.follower.poll()
    assert world.loader.kept == {f"{1:064}", f"{2:064}"}
    world.publish(plans(3))
    gateway.follower.poll()
    assert world.loader.kept == {f"{1:064}"}


def test_unnamed_versions_leave_memory_after_a_while(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    world.publish(plans(2, canary=12, share_bp=500))
    gateway.follower.poll()
    world.publish(plans(3))
    gateway.follower.poll()
    world.clock.seconds += 61
    gateway.follower.poll()
    world.clock.wall += timedelta(seconds=0)
    world.publish(plans(4, canary=12, share_bp=500))
    gateway.follower.poll()
    assert world.loader.loads == [11, 12, 12]


def test_a_load_is_reported_once_with_when_it_began(world: Any, gateway: Gateway) -> None:
    load = world.loader.load

    def slow(row: Any, *, distrust: str) -> Any:
        world.clock.seconds += 3
        return load(row, distrust=distrust)

    world.loader.load = slow
    for _ in range(3):
        gateway.follower.poll()
    began = world.clock.now() - timedelta(seconds=3)
    assert world.source.loads == [("flight_late@1", began, "")]


def test_a_start_without_the_database_tells_of_its_loads_later(
    world: Any, restarted: Callable[[], Gateway]
) -> None:
    restarted().follower.poll()
    world.source.loads.clear()
    world.source.error = DOWN
    second = restarted()
    second.follower.restore()
    assert (model_of(second).is_ready, world.source.loads) == (True, [])
    world.source.error = None
    second.follower.poll()
    assert [told[0] for told in world.source.loads] == ["flight_late@1"]


def test_what_the_database_does_not_take_is_reported_again(world: Any, gateway: Gateway) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise DOWN

    takes, world.source.report_load = world.source.report_load, down
    gateway.follower.poll()
    assert model_of(gateway).is_ready
    world.source.report_load = takes
    gateway.follower.poll()
    assert [one[0] for one in world.source.loads] == ["flight_late@1"]


def test_corrupt_state_file_does_not_stop_the_gateway(
    world: Any, gateway: Gateway, eventually: Callable[..., Any]
) -> None:
    (world.folder / "state.json").write_text("{broken")
    world.source.error = DOWN
    gateway.start()
    time.sleep(0.1)
    world.source.error = None
    eventually(lambda: gateway.follower.view.models)


def test_what_is_on_disk_is_not_used_while_the_database_answers(
    world: Any, restarted: Callable[[], Gateway], plans: Plans, eventually: Callable[..., Any]
) -> None:
    restarted().follower.poll()
    world.loader.loads.clear()
    world.publish(replace(plans(2), champion_id=12))
    second = restarted()
    second.start()
    eventually(lambda: second.follower.view.models)
    assert model_of(second).champion.version == 2
    assert world.loader.loads == [12]


def test_other_errors_of_a_poll_do_not_end_the_follower(
    world: Any, gateway: Gateway, eventually: Callable[..., Any]
) -> None:
    world.source.error = KeyError("a bug")
    gateway.start()
    time.sleep(0.1)
    world.source.error = None
    eventually(lambda: gateway.follower.view.models)


def test_a_canary_that_never_loads_does_not_keep_the_champion_away(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    world.loader.models = {11: OSError("store is down"), 12: ValueError("flipped byte")}
    world.publish(plans(2, canary=12, share_bp=10_000))
    gateway.follower.poll()
    assert not model_of(gateway).is_ready
    world.loader.models[11] = lambda rows: [0.8] * len(rows)
    world.clock.seconds += 6
    gateway.follower.poll()
    assert model_of(gateway).is_ready
    assert model_of(gateway).held.share_bp(world.clock.seconds) == 0
    assert world.source.acknowledged == []


def test_a_gateway_that_is_not_ready_takes_a_newer_champion_without_its_canary(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    world.loader.models = {11: OSError("gone"), 12: lambda rows: [0.2] * len(rows)}
    gateway.follower.poll()
    world.publish(replace(plans(2, canary=11, share_bp=500), champion_id=12))
    world.clock.seconds += 6
    gateway.follower.poll()
    assert model_of(gateway).is_ready
    assert model_of(gateway).champion.version == 2
    assert model_of(gateway).held.share_bp(world.clock.seconds) == 0


def test_a_version_without_a_threshold_is_refused_as_a_batch_refuses_it(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    """Like any load that is refused: the champion serves on, and an incident says why."""
    gateway.follower.poll()
    world.publish(plans(2, canary=12, share_bp=500))
    rows = world.source.catalog.versions
    stated = {k: v for k, v in rows[12].facts_json.items() if k != "threshold"}
    rows[12] = replace(rows[12], facts_json=stated)
    for _ in range(3):
        gateway.follower.poll()
    assert (model_of(gateway).champion.version, model_of(gateway).is_ready) == (1, True)
    assert (model_of(gateway).held.plan.generation, model_of(gateway).canary) == (1, None)
    assert world.loader.loads == [11]
    said = WITHOUT_THRESHOLD.format("flight_late@2")
    assert world.source.refusals == [f"artifact_refused flight_late@2: {said}"]


def test_a_row_that_cannot_be_read_holds_up_its_own_model_only(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    """Facts without features: other models must still follow their plans, rollbacks above all."""
    catalog = world.source.catalog
    other = replace(catalog.versions[12], id=21, model="broken", facts_json={})
    world.loader.models[21] = AssertionError("nobody loads it")
    world.source.catalog = replace(
        catalog,
        plans=[replace(plans(1), model="broken", champion_id=21), *catalog.plans],
        versions={**catalog.versions, 21: other},
    )
    gateway.follower.poll()
    assert model_of(gateway).is_ready
    assert world.source.acknowledged == [("flight_late", 1)]
    assert not gateway.follower.view.models["broken"].is_ready


def with_others(world: Any, plans: Plans, *names: str) -> None:
    """More models, each with a champion of its own; ours stands in the middle."""
    catalog, rows = world.source.catalog, {}
    for number, name in enumerate(names):
        rows[31 + number] = replace(catalog.versions[12], id=31 + number, model=name)
        world.loader.models[31 + number] = lambda rows: [0.5] * len(rows)
    more = [replace(plans(1), model=name, champion_id=31 + n) for n, name in enumerate(names)]
    world.source.catalog = replace(
        catalog,
        plans=[more[0], *catalog.plans, *more[1:]],
        versions={**catalog.versions, **rows},
    )


@pytest.mark.parametrize("bad", ["first", "flight_late", "last"])
@pytest.mark.parametrize("error", [ValueError("odd\x00"), KeyError("gone"), TypeError("no")])
def test_what_is_wrong_about_one_model_is_about_no_other(
    world: Any, plans: Plans, bad: str, error: Exception, restarted: Callable[[], Gateway]
) -> None:
    with_others(world, plans, "first", "last")
    gateway = restarted()
    policy, broken = gateway.follower._policy, True

    def explode(model: str) -> Any:
        if broken and model == bad:
            raise error
        return policy(model)

    gateway.follower._policy = explode
    for _ in range(3):
        gateway.follower.poll()
    served = {name for name, one in gateway.follower.view.models.items() if one.is_ready}
    assert served == {"first", "flight_late", "last"} - {bad}
    (said,) = world.source.refusals
    assert said.startswith(f"artifact_refused {bad}@")
    assert gateway.follower.seen_at is not None
    broken = False
    gateway.follower.poll()
    assert gateway.follower.view.models[bad].is_ready


def test_a_model_that_fails_later_serves_on_as_before(
    world: Any, gateway: Gateway, plans: Plans
) -> None:
    gateway.follower.poll()
    world.publish(plans(2))

    def explode(model: str) -> Any:
        raise ValueError(model)

    gateway.follower._policy = explode
    gateway.follower.poll()
    assert (model_of(gateway).is_ready, model_of(gateway).held.plan.generation) == (True, 1)


def test_a_key_that_cannot_be_read_closes_no_other(world: Any, gateway: Gateway) -> None:
    keys = world.source.catalog.keys
    bad = replace(keys[0], digest="0" * 64, scopes=None)  # type: ignore[arg-type]
    world.source.catalog = replace(world.source.catalog, keys=[bad, *keys])
    gateway.follower.poll()
    assert set(gateway.follower.view.keys or ()) == {key.digest for key in keys}
    assert model_of(gateway).is_ready


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_report_that_is_not_taken_holds_up_no_other(
    world: Any, plans: Plans, restarted: Callable[[], Gateway], bad: int
) -> None:
    with_others(world, plans, "first", "last")
    gateway, told = restarted(), []
    names = ["first", "flight_late", "last"]

    def report(model: str, version: int, **_: Any) -> None:
        if model == names[bad]:
            raise ValueError("\x00")
        told.append(model)

    world.source.report_load = report
    gateway.follower.poll()
    assert sorted(told) == sorted({*names} - {names[bad]})


@pytest.mark.parametrize("bad", ["first", "flight_late", "last"])
def test_an_acknowledgement_that_fails_holds_up_no_other(
    world: Any, plans: Plans, restarted: Callable[[], Gateway], bad: str
) -> None:
    with_others(world, plans, "first", "last")
    gateway, acknowledged = restarted(), []

    def acknowledge(plan: TrafficPlan) -> None:
        if plan.model == bad:
            raise ValueError(plan.model)
        acknowledged.append(plan.model)

    world.source.acknowledge = acknowledge
    gateway.follower.poll()
    assert sorted(acknowledged) == sorted({"first", "flight_late", "last"} - {bad})


ANY_ERROR: list[Exception] = [
    StateConflict("the database refuses it", still_safe="x", next_step="y"),
    ValueError("a\x00b"),
    OSError(5, "Input/output error"),
    InternalError("SELECT 1", {}, Exception("the transaction is aborted")),
]
STEPS = {
    "word that it is there": ("source", "renew"),
    "copy on disk": ("disk", "write"),
    "copies of artifacts": ("loader", "keep_only"),
    "acknowledgement of flight_late": ("source", "acknowledge"),
}


@pytest.mark.parametrize("error", ANY_ERROR, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("step", STEPS)
def test_what_one_step_of_a_look_meets_holds_up_no_other_and_is_told(
    world: Any, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, step: str, error: Exception
) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise error

    place, method = STEPS[step]
    where = {
        "source": world.source,
        "loader": world.loader,
        "disk": gateway.follower._disk,
    }[place]
    with monkeypatch.context() as patch:
        patch.setattr(where, method, explode)
        for _ in range(2):
            gateway.follower.poll()
    is_handled = isinstance(error, OSError) and step == "copy on disk"  # a full disk: logged once
    is_handled |= isinstance(error, StateConflict) and step == "word that it is there"
    assert [[*told] for told in world.source.aside] == [[] if is_handled else [step]]
    assert model_of(gateway).is_ready
    world.clock.seconds += 60
    gateway.follower.poll()
    assert world.source.aside[-1] == {}  # tried again
    assert world.source.acknowledged == [("flight_late", 1)]
    assert world.source.renewals


def test_what_could_not_be_told_is_told_with_the_next_look(
    world: Any, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what an earlier process of this gateway told is over, unless it holds still."""
    told: list[dict[str, str]] = []

    def refuse(items: dict[str, str]) -> None:
        told.append(dict(items))
        if len(told) == 1:
            raise ValueError("no")

    monkeypatch.setattr(world.source, "report_aside", refuse)
    for _ in range(3):
        gateway.follower.poll()
    assert told == [{}, {}]
