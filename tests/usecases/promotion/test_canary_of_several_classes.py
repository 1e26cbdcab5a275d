"""A multiclass model on probation: promoted by its right answers, or rolled back by wrong ones."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tenure.lifecycle.promotion.canary import CanaryAction
from tenure.usecases.promotion import canary
from tenure.vocabulary import State

pytestmark = pytest.mark.service

MODEL = """
name: flight_late
purpose: tests
owner: ada
dataset: flights
task: multiclass
label: {column: carrier_kind, horizon_hours: 24}
subject_column: flight_id
features: {numeric: [hour], categorical: [carrier]}
evaluation: {gates: [{metric: accuracy, minimum: 0.5}]}
bias: {attributes: [carrier], max_difference: 0.9, metric: accuracy}
serving: {fallback_class: a}
canary:
  shares_bp: [500, 5000, 10000]
  analysis_seconds: 1
  lease_seconds: 20
  min_step_subjects: 100
  max_analyses: 3
  metrics:
    - {event: error, margin: 1.5, required: false}
    - {event: wrong_label, margin: 1.5, min_subjects: 100}
monitoring: {metric: accuracy}
"""
CLASSES = ("a", "b", "c")


def on_probation(world: Callable[..., Any]) -> tuple[Any, canary.Probation, Any, Any]:
    life = world()
    path = life.platform.settings.include / "configs" / "models" / "flight_late.yaml"
    path.write_text(MODEL)
    life.stated = {
        "task": "multiclass",
        "threshold": None,
        "classes": dict.fromkeys(CLASSES, 100),
    }
    champion = life.champion()
    challenger = life.approved()
    entered = canary.enter(life.platform, challenger, life.run())
    assert entered.probation is not None
    return life, entered.probation, champion, challenger


def ship(life: Any, share_bp: int, **arms: tuple[float, int]) -> None:
    """Decisions and mature outcomes: (share of wrong answers, subjects) of each arm."""
    now, part = datetime.now(tz=UTC), next(life.numbers)
    rng, generation = np.random.default_rng(part), life.plan().generation
    rows, outcomes = [], []
    for arm, (wrong, subjects) in arms.items():
        for n in range(subjects):
            one, answer = f"{part}-{arm}-{n}", str(rng.choice(CLASSES))
            is_wrong = rng.random() < wrong
            rows.append(
                {
                    "decision_id": one,
                    "request_id": one,
                    "subject": one,
                    "arm_assigned": arm,
                    "generation": generation,
                    "share_bp": share_bp,
                    "received_at": now,
                    "event_time": now - timedelta(days=9),
                    "fallback_level": "model",
                    "score": 0.6,
                    "decision": None,
                    "answer": answer,
                }
            )
            truth = CLASSES[(CLASSES.index(answer) + 1) % 3] if is_wrong else answer
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
    life, probation, _, challenger = on_probation(world)
    ship(life, 500, canary=(0.3, 120), champion=(0.3, 1900))
    assert probation.analyse().action is CanaryAction.ADVANCE
    ship(life, 5000, canary=(0.25, 2000), champion=(0.3, 2000))
    judgement = probation.analyse()
    assert judgement.action is CanaryAction.PROMOTE
    assert life.now(challenger).state is State.CHAMPION
    (metric,) = [m for m in judgement.metrics if m.event == "wrong_label"]
    assert metric.canary_subjects == 2120


def test_a_bad_one_is_rolled_back(world: Callable[..., Any]) -> None:
    life, probation, champion, challenger = on_probation(world)
    ship(life, 500, canary=(0.9, 120), champion=(0.2, 1900))
    assert probation.analyse().action is CanaryAction.ROLL_BACK
    assert life.now(challenger).state is State.ROLLED_BACK
    assert life.plan().champion_id == champion.id
