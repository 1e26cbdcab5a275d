"""The controller on a real database: files once, wakes again what nobody picked up."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenure.adapters.sql import monitoring, training
from tenure.adapters.sql.tables import retrain_request
from tenure.usecases.monitoring import retraining
from tenure.usecases.monitoring.monitor import monitor
from tenure.vocabulary import RunRef, State

DAY = timedelta(days=1)


def run(number: int = 1) -> RunRef:
    return RunRef("retrain_models", f"run-{number}", "decide")


def age_requests(life: Any, **how_long: float) -> None:
    with life.platform.database.begin() as connection:
        connection.execute(
            retrain_request.update().values(
                created_at=retrain_request.c.created_at - timedelta(**how_long)
            )
        )


def close(life: Any, state: str = "done") -> None:
    with life.platform.database.begin() as connection:
        connection.execute(
            retrain_request.update().values(state=state, closed_at=life.platform.clock.now())
        )


def test_the_first_version_is_asked_for_at_three_batches(life: Any) -> None:
    life.publish(1, 2)
    early = retraining.decide_all(life.platform, run(1))
    assert early.chosen == []
    assert "2 of the 3 batches" in early.decisions["late"].sentence
    life.publish(3)
    (chosen,) = retraining.decide_all(life.platform, run(2)).chosen
    assert (chosen.model, chosen.reason_code) == ("late", "first_version")
    (row,) = life.rows("retrain_request")
    assert (row["state"], row["reason_code"]) == ("open", "first_version")
    assert row["requested_by"] == "service:retraining"
    (event,) = life.rows("ledger_event")
    assert event["body"]["request_id"] == row["id"]
    assert event["body"]["run_id"] == "run-2"


def test_tried_again_it_files_nothing_twice_and_wakes_again(life: Any) -> None:
    life.publish(1, 2, 3)
    first = retraining.decide_all(life.platform, run(1))
    again = retraining.decide_all(life.platform, run(1))
    assert again.chosen == first.chosen
    assert len(life.rows("retrain_request")) == 1
    assert "is not finished yet" in again.decisions["late"].sentence


@pytest.mark.parametrize(("seconds", "woken"), [(50, 0), (60, 1), (70, 1)])
def test_a_lost_event_is_emitted_again(life: Any, seconds: int, woken: int) -> None:
    life.publish(1, 2, 3)
    retraining.decide_all(life.platform, run(1))
    age_requests(life, seconds=seconds)
    assert len(retraining.decide_all(life.platform, run(2)).chosen) == woken


def test_a_running_training_is_not_woken(life: Any) -> None:
    life.publish(1, 2, 3)
    retraining.decide_all(life.platform, run(1))
    draft = life.version()
    with life.platform.database.begin() as connection:
        training.start_request(connection, life.rows("retrain_request")[0]["id"], draft.id)
    age_requests(life, hours=9)
    assert retraining.decide_all(life.platform, run(2)).chosen == []


def test_what_did_not_change_is_reported_once(life: Any) -> None:
    life.publish(1, 2)
    for number in range(3):
        retraining.decide_all(life.platform, run(number))
    assert len(life.rows("report")) == 1
    life.publish(3)
    retraining.decide_all(life.platform, run(4))
    retraining.decide_all(life.platform, run(5))
    retraining.decide_all(life.platform, run(6))
    actions = [row["body"]["facts"]["action"] for row in life.rows("report")]
    assert actions == ["nothing", "retrain", "hold"]


def test_a_flapping_reason_asks_once(life: Any) -> None:
    """F53: failed a hundred times, one open request."""
    life.publish(1, 2, 3)
    for number in range(20):
        retraining.decide_all(life.platform, run(number))
    assert len(life.rows("retrain_request")) == 1


def test_from_decay_to_request_over_the_race_of_the_batches(life: Any) -> None:
    life.publish(1, 2, 3)
    retraining.decide_all(life.platform, run(1))
    close(life)
    age_requests(life, hours=2)
    champion = life.champion(months=(1, 2, 3))
    end = life.ship(champion, 3000, wrong=0.3)
    life.watermark(end + DAY)
    monitor(life.platform, "late", life.run())
    nothing_new = retraining.decide_all(life.platform, run(2)).decisions["late"]
    assert "nothing new to learn from, version 1 is trained on" in nothing_new.sentence
    for number, month, told in [
        (3, 6, "a batch that seems to be missing between 2013-03 and 2013-06"),
        (4, 4, "a batch that seems to be missing between 2013-04 and 2013-06"),
    ]:
        life.publish(month)
        held = retraining.decide_all(life.platform, run(number))
        assert held.chosen == []
        assert told in held.decisions["late"].sentence
    life.publish(5)
    (chosen,) = retraining.decide_all(life.platform, run(5)).chosen
    assert chosen.reason_code == "performance"
    assert "wrong_label_rate 0.300" in chosen.reason
    assert chosen.reason.endswith("Trains on 2013-04, 2013-05, 2013-06.")


def test_results_of_a_former_champion_are_no_reason(life: Any) -> None:
    life.publish(1, 2, 3)
    life.version(state=State.VALIDATED, months=(1, 2, 3))
    assert retraining.decide_all(life.platform, run(1)).chosen == []
    with life.platform.database.begin() as connection:
        assert monitoring.judged_before(connection, 1) == {}


def test_a_broken_yaml_stops_nobody_else(life: Any, caplog: pytest.LogCaptureFixture) -> None:
    life.publish(1, 2, 3)
    path = life.platform.settings.configs / "models" / "broken.yaml"
    path.write_text("name: broken\n")
    assert [c.model for c in retraining.decide_all(life.platform, run(1)).chosen] == ["late"]
    assert "broken.yaml" in caplog.text


def test_a_model_that_cannot_be_decided_about_holds_up_no_other(
    life: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second YAML, before ours by its name, raises when it is looked at."""
    from tenure.config import load_all

    life.publish(1, 2, 3)
    known = load_all(life.platform.settings.include)
    odd = known.models["late"].model_copy(update={"name": "early"})
    monkeypatch.setattr(
        retraining, "load_all", lambda _: replace(known, models={"early": odd, **known.models})
    )
    decide = retraining._decide

    def explode(platform: Any, config: Any, run: RunRef, now: Any) -> Any:
        if config.name == "early":
            raise ValueError("\x00")
        return decide(platform, config, run, now)

    monkeypatch.setattr(retraining, "_decide", explode)
    found = retraining.decide_all(life.platform, run(1))
    assert [one.model for one in found.chosen] == ["late"]
    assert [row["dedupe_key"] for row in life.rows("incident")] == ["retrain:early"]
