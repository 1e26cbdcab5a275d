"""A probation from its first share to its end, on a real database, store and scan."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tenure.errors import CanaryRolledBack, NotPermitted, StateConflict
from tenure.lifecycle.promotion.canary import CanaryAction
from tenure.lifecycle.serving import CanaryStop
from tenure.usecases.promotion import canary
from tenure.usecases.promotion.rollback import intend, roll_back
from tenure.usecases.serving.gateway import PlanSource
from tenure.vocabulary import State

pytestmark = pytest.mark.service


def on_probation(world: Callable[..., Any]) -> tuple[Any, canary.Probation, Any, Any]:
    life = world()
    champion = life.champion()
    challenger = life.approved()
    entered = canary.enter(life.platform, challenger, life.run())
    assert entered.probation is not None
    return life, entered.probation, champion, challenger


def test_the_first_version_becomes_champion_directly(world: Callable[..., Any]) -> None:
    life = world()
    version = life.approved()
    entered = canary.enter(life.platform, version, life.run())
    assert entered.summary == "flight_late@1 is the first champion, plan 1"
    again = canary.enter(life.platform, version, life.run())
    assert again.summary == "flight_late@1 is champion: nothing to do"
    plan = life.plan()
    assert (plan.generation, plan.fence, plan.champion_id, plan.canary_id) == (
        1,
        1,
        version.id,
        None,
    )
    assert life.events(version).count("champion") == 1


def test_a_good_challenger_goes_5_50_100(
    world: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    life, probation, champion, challenger = on_probation(world)
    start = life.plan()
    assert (start.share_bp, start.fence, start.lease_seconds) == (500, 2, 20)
    with caplog.at_level(logging.INFO, logger="tenure.canary"):
        assert probation.analyse().action is CanaryAction.WAIT
        life.traffic(
            share_bp=500, canary=(25, 100), champion=(570, 1900), generation=start.generation
        )
        assert probation.analyse().action is CanaryAction.ADVANCE
        middle = life.plan()
        assert (middle.share_bp, middle.fence, middle.salt) == (5000, 2, start.salt)
        life.traffic(
            share_bp=5000, canary=(400, 2000), champion=(620, 2000), generation=middle.generation
        )
        assert probation.analyse().action is CanaryAction.PROMOTE
    end = life.plan()
    assert (end.champion_id, end.canary_id, end.share_bp, end.fence) == (challenger.id, None, 0, 3)
    assert life.now(champion).state is State.SUPERSEDED
    assert life.now(challenger).state is State.CHAMPION
    assert life.count("canary_analysis") == 3
    lines = [record.getMessage() for record in caplog.records]
    assert "analysis=3 model=flight_late@2 share=50% action=promote" in lines[2]
    assert (
        "wrong_label 0.66 times the champion's: canary 425/2100 (20.2%), champion 1190/3900 (30.5%)"
        in lines[2]
    )
    assert canary.enter(life.platform, challenger, life.run()).probation is None
    with life.platform.database.begin() as connection:
        report = connection.exec_driver_sql(
            "SELECT verdict, subject, body FROM report WHERE stage = 'canary'"
        ).one()
    assert (report.verdict, report.subject) == ("passed", "flight_late@2")
    assert report.body["facts"]["metrics"][1]["e_safe"] >= 20


def test_harm_takes_all_traffic_and_says_so_calmly(world: Callable[..., Any]) -> None:
    life, probation, champion, challenger = on_probation(world)
    generation = life.plan().generation
    life.traffic(share_bp=500, canary=(90, 100), champion=(570, 1900), generation=generation)
    assert probation.analyse().action is CanaryAction.ROLL_BACK
    plan = life.plan()
    assert (plan.champion_id, plan.canary_id, plan.fence) == (champion.id, None, 3)
    assert life.now(challenger).state is State.ROLLED_BACK
    for _ in range(2):  # a cleared task says the same again
        with pytest.raises(CanaryRolledBack) as caught:
            canary.enter(life.platform, challenger, life.run())
        assert str(caught.value).startswith("Safe: champion serves 100%; nothing is urgent")
        assert (
            "challenger 90 wrong of 100, champion 570 of 1,900: relative risk 3, E = 10^15 ≥ 40: "
            "rolled back at 5% after 1 analysis."
        ) in caught.value.what
        assert caught.value.evidence
    assert life.events(challenger).count("rolled_back") == 1


def test_decisions_before_the_canary_do_not_count(world: Callable[..., Any]) -> None:
    life, probation, _, _ = on_probation(world)
    generation = life.plan().generation
    life.traffic(share_bp=500, canary=(90, 100), champion=(0, 1900), generation=generation - 1)
    judgement = probation.analyse()
    assert (judgement.action, judgement.step_subjects) == (CanaryAction.WAIT, 0)


@pytest.mark.parametrize("minutes", [-59, 59])
def test_what_a_gateway_with_another_clock_logs_counts(
    world: Callable[..., Any], minutes: int
) -> None:
    life, probation, _, _ = on_probation(world)
    ahead = timedelta(minutes=minutes)
    life.traffic(
        share_bp=500,
        canary=(0, 100),
        champion=(0, 1900),
        generation=life.plan().generation,
        ahead=ahead,
    )
    assert probation.analyse().step_subjects == 100


def test_every_analysis_renews_the_lease_with_a_new_generation(world: Callable[..., Any]) -> None:
    life, probation, _, _ = on_probation(world)
    before = life.plan()
    probation.analyse()
    after = life.plan()
    assert (after.generation, after.fence) == (before.generation + 1, before.fence)
    assert after.lease_until > before.lease_until


def test_traffic_that_is_not_split_as_planned_is_judged_by_nobody(
    world: Callable[..., Any],
) -> None:
    """The canary's wrong answers are there, but half of the champion's decisions are not."""
    life, probation, _, challenger = on_probation(world)
    generation = life.plan().generation
    life.traffic(share_bp=500, canary=(90, 100), champion=(270, 900), generation=generation)
    judgement = probation.analyse()
    assert judgement.action is CanaryAction.HOLD
    assert "100 of 1000 subjects were the canary's (10.0%)" in judgement.explanation
    assert life.now(challenger).state is State.CANARY
    assert life.plan().generation == generation
    with life.platform.database.begin() as connection:
        query = "SELECT facts FROM canary_analysis ORDER BY number DESC LIMIT 1"
        facts = connection.exec_driver_sql(query).scalar_one()
        stored = connection.exec_driver_sql("SELECT body FROM report WHERE stage = 'canary'")
        report = stored.scalar_one()
    assert facts["split"]["wrong"] is True
    assert facts["split"]["champion_subjects"] == 900
    assert next(c["rule"] for c in report["checks"] if c["verdict"] == "failed") == "sample_ratio"


def test_without_verdict_it_holds_and_lets_the_lease_end(world: Callable[..., Any]) -> None:
    life, probation, _, challenger = on_probation(world)
    actions = [probation.analyse().action for _ in range(3)]
    assert actions == [CanaryAction.WAIT, CanaryAction.WAIT, CanaryAction.HOLD]
    held = life.plan()
    assert held.generation == probation.plan.generation
    with pytest.raises(NotPermitted, match="grace is not an operator"):
        canary.prolong(life.platform, challenger.id, user="grace")
    canary.prolong(life.platform, challenger.id, user="Olga")
    again = canary.enter(life.platform, challenger, life.run()).probation
    assert again is not None
    assert again.plan.fence == held.fence + 1
    assert [again.analyse().action for _ in range(3)] == [
        CanaryAction.WAIT,
        CanaryAction.WAIT,
        CanaryAction.HOLD,
    ]
    canary.give_up(life.platform, challenger.id, user="olga")
    canary.give_up(life.platform, challenger.id, user="olga")
    with pytest.raises(CanaryRolledBack, match="by olga: no verdict; a person ended the canary"):
        canary.enter(life.platform, challenger, life.run())


def test_a_zombie_controller_writes_nothing(world: Callable[..., Any]) -> None:
    life, zombie, _, challenger = on_probation(world)
    retry = canary.enter(life.platform, challenger, life.run()).probation
    assert retry is not None
    generation = life.plan().generation
    life.traffic(share_bp=500, canary=(1, 100), champion=(600, 1900), generation=generation)
    before = (life.plan(), life.count("canary_analysis"), life.count("ledger_event"))
    with pytest.raises(StateConflict, match="Another controller took over canary flight_late@2"):
        zombie.analyse()
    with pytest.raises(StateConflict, match="this one held fence 2, the plan in force has fence 3"):
        canary.resume(life.platform, challenger.id, zombie.plan.fence, life.run())
    assert (life.plan(), life.count("canary_analysis"), life.count("ledger_event")) == before
    assert (
        canary.resume(life.platform, challenger.id, 3, life.run()).analyse().action
        is CanaryAction.ADVANCE
    )


def test_a_person_rolls_back_while_the_controller_watches(world: Callable[..., Any]) -> None:
    life, probation, champion, challenger = on_probation(world)
    roll_back(
        life.platform, intend(life.platform, "flight_late"), reason="complaints", actor="olga"
    )
    with pytest.raises(CanaryRolledBack, match="rolled back by olga: complaints"):
        probation.analyse()
    assert life.plan().champion_id == champion.id
    assert life.events(challenger).count("rolled_back") == 1


def test_a_canary_stopped_at_a_gateway_is_not_promoted(world: Callable[..., Any]) -> None:
    life, probation, champion, challenger = on_probation(world)
    generation = life.plan().generation
    life.traffic(share_bp=500, canary=(25, 100), champion=(570, 1900), generation=generation)
    stop = CanaryStop(
        challenger.model,
        challenger.id,
        challenger.version,
        "ops",
        "complaints",
        life.platform.clock.now(),
    )
    PlanSource(life.platform, "gw-a").stop_canary(stop)
    with pytest.raises(CanaryRolledBack, match=r"by key:ops: stopped at gateway gw-a .*complaints"):
        probation.analyse()
    assert (life.plan().champion_id, life.plan().canary_id) == (champion.id, None)
    assert life.count("canary_analysis") == 0


def test_only_one_canary_at_a_time(world: Callable[..., Any]) -> None:
    life, _, _, _ = on_probation(world)
    third = life.approved()
    with pytest.raises(StateConflict, match="flight_late@2 is still in canary; flight_late@3 has"):
        canary.enter(life.platform, third, life.run(run_id="run-2"))


def test_one_harmed_carrier_stops_a_canary_whose_average_improves(
    world: Callable[..., Any],
) -> None:
    life, probation, champion, challenger = on_probation(world)
    same = {"share_bp": 500, "generation": life.plan().generation}
    life.traffic(canary=(20, 400), champion=(2_000, 7_600), carrier="UA", **same)
    life.traffic(canary=(1, 5), champion=(20, 95), carrier=None, **same)
    assert probation.analyse().action is CanaryAction.ADVANCE
    life.traffic(canary=(80, 100), champion=(380, 1_900), carrier="EV", **same)
    assert probation.analyse().action is CanaryAction.ROLL_BACK
    assert life.now(challenger).state is State.ROLLED_BACK
    assert life.plan().champion_id == champion.id
    with pytest.raises(CanaryRolledBack) as caught:
        canary.enter(life.platform, challenger, life.run())
    assert (
        "carrier EV: challenger 80 wrong of 100, champion 380 of 1,900: relative risk 4, E = "
    ) in caught.value.what
    assert "≥ 4,000 that it is above 1.5: rolled back at 50% after 2 analyses" in caught.value.what
    with life.platform.database.begin() as connection:
        body = connection.exec_driver_sql("SELECT body FROM report WHERE stage = 'canary'")
        report = body.scalar_one()
    groups, wrong = report["facts"]["groups"], report["facts"]["metrics"][1]
    assert wrong["rate_ratio"] < 1
    assert groups["unseen"] == {"origin": "it is no feature, so the decision log does not hold it"}
    assert {row["name"]: row["verdict"] for row in groups["rows"]} == {
        "carrier EV": "failed",
        "carrier UA": "passed",
        "carrier missing": "inconclusive",
    }
    for name in ("canary_subjects", "canary_events", "champion_subjects", "champion_events"):
        assert sum(row[name] for row in groups["rows"]) == wrong[name]


def test_a_small_group_holds_a_canary_that_is_safe_on_average(world: Callable[..., Any]) -> None:
    life, probation, _, challenger = on_probation(world)
    same = {"generation": life.plan().generation, "carrier": "UA"}
    life.traffic(share_bp=500, canary=(25, 100), champion=(570, 1_900), **same)
    assert probation.analyse().action is CanaryAction.ADVANCE
    same["generation"] = life.plan().generation
    life.traffic(share_bp=5000, canary=(400, 2_000), champion=(620, 2_000), **same)
    same["carrier"] = "HA"
    life.traffic(share_bp=5000, canary=(1, 49), champion=(10, 49), **same)
    judgement = probation.analyse()
    assert judgement.action is CanaryAction.WAIT
    said = "too small to pass: carrier HA (49 of 50 subjects of the challenger)"
    assert judgement.explanation.startswith(said)
    assert probation.analyse().action is CanaryAction.HOLD
    assert life.now(challenger).state is State.CANARY
    life.traffic(share_bp=5000, canary=(0, 1), champion=(0, 1), **same)
    canary.prolong(life.platform, challenger.id, user="olga")
    again = canary.enter(life.platform, challenger, life.run()).probation
    assert again is not None
    assert again.analyse().action is CanaryAction.PROMOTE
