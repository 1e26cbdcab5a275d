"""A regression on probation: promoted by its absolute errors, or rolled back by them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tenure.errors import CanaryRolledBack
from tenure.lifecycle.promotion.canary import CanaryAction
from tenure.usecases.promotion import canary
from tenure.vocabulary import State

pytestmark = pytest.mark.service

MODEL = """
name: flight_late
purpose: tests
owner: ada
dataset: flights
task: regression
label: {column: distance, horizon_hours: 24}
subject_column: flight_id
features: {numeric: [hour], categorical: [carrier]}
evaluation: {gates: [{metric: mae, maximum: 20}]}
bias: {attributes: [carrier], max_difference: 9, metric: mean_error}
serving: {fallback_score: 10}
canary:
  shares_bp: [500, 5000, 10000]
  analysis_seconds: 1
  lease_seconds: 20
  min_step_subjects: 100
  max_analyses: 3
  metrics:
    - {event: error, margin: 1.5, required: false}
    - {event: absolute_error, margin: 1.2, min_subjects: 100}
monitoring: {metric: mae}
"""


def on_probation(world: Callable[..., Any]) -> tuple[Any, canary.Probation, Any, Any]:
    life = world()
    path = life.platform.settings.include / "configs" / "models" / "flight_late.yaml"
    path.write_text(MODEL)
    life.stated = {"task": "regression", "threshold": None}
    champion = life.champion()
    challenger = life.approved()
    entered = canary.enter(life.platform, challenger, life.run())
    assert entered.probation is not None
    return life, entered.probation, champion, challenger


def ship(life: Any, share_bp: int, **arms: tuple[float, int]) -> None:
    """Decisions and mature outcomes: (mean absolute error, subjects) of each arm."""
    now, part = datetime.now(tz=UTC), next(life.numbers)
    rng = np.random.default_rng(part)
    rows, outcomes = [], []
    for arm, (error, subjects) in arms.items():
        for n in range(subjects):
            one = f"{part}-{arm}-{n}"
            truth = float(rng.normal(30, 40))
            rows.append(
                {
                    "decision_id": one,
                    "request_id": one,
                    "subject": one,
                    "arm_assigned": arm,
                    "generation": life.plan().generation if not rows else rows[0]["generation"],
                    "share_bp": share_bp,
                    "received_at": now,
                    "event_time": now - timedelta(days=9),
                    "fallback_level": "model",
                    "score": truth + float(rng.choice([-1, 1]) * rng.exponential(error)),
                    "decision": None,
                }
            )
            outcomes.append(
                {
                    "outcome_id": f"o-{one}",
                    "decision_id": one,
                    "request_id": None,
                    "label": truth,
                    "received_at": now,
                }
            )
    life._ship("decisions", rows, now, part)
    life._ship("outcomes", outcomes, now, part)
    with life.platform.database.begin() as connection:
        connection.exec_driver_sql("UPDATE model SET watermark = %s", (now,))


def test_a_good_challenger_is_promoted(world: Callable[..., Any]) -> None:
    life, probation, champion, challenger = on_probation(world)
    assert probation.analyse().action is CanaryAction.WAIT
    ship(life, 500, canary=(10.0, 120), champion=(10.0, 1900))
    assert probation.analyse().action is CanaryAction.ADVANCE
    ship(life, 5000, canary=(9.0, 2000), champion=(10.0, 2000))
    judgement = probation.analyse()
    assert judgement.action is CanaryAction.PROMOTE
    assert life.now(challenger).state is State.CHAMPION
    assert life.now(champion).state is State.SUPERSEDED
    (metric,) = [m for m in judgement.metrics if m.event == "absolute_error"]
    assert metric.rate_ratio == pytest.approx(0.9, abs=0.06)
    assert metric.champion_mean == pytest.approx(10.0, abs=0.5)
    assert metric.canary_subjects == 2120
    with life.platform.database.begin() as connection:
        body = connection.exec_driver_sql(
            "SELECT body FROM report WHERE stage = 'canary'"
        ).scalar_one()
    assert body["facts"]["losses"][1]["canary"]["subjects"] == 2000
    assert "mean absolute error of 2,120" in body["summary"]
    assert "ratio of means 0.9" in body["summary"]


def test_a_bad_one_is_rolled_back(world: Callable[..., Any]) -> None:
    life, probation, champion, challenger = on_probation(world)
    ship(life, 500, canary=(30.0, 120), champion=(10.0, 1900))
    assert probation.analyse().action is CanaryAction.ROLL_BACK
    assert life.now(challenger).state is State.ROLLED_BACK
    assert life.plan().champion_id == champion.id
    with pytest.raises(CanaryRolledBack) as caught:
        canary.enter(life.platform, challenger, life.run())
    assert "mean absolute error of 120, champion" in caught.value.what
    assert "ratio of means 3" in caught.value.what


def test_only_the_first_mature_decision_of_a_subject_counts(world: Callable[..., Any]) -> None:
    life, probation, _, _ = on_probation(world)
    ship(life, 500, canary=(10.0, 99), champion=(10.0, 1900))
    judgement = probation.analyse()
    (metric,) = [m for m in judgement.metrics if m.event == "absolute_error"]
    assert (metric.canary_subjects, metric.log_harm) == (99, 0.0)  # before the burn-in
