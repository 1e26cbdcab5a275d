"""A regression against constants and against the champion, on the same rows."""

import numpy as np
import pytest

from tenure.lifecycle.training.evaluation import EvaluationPolicy, MetricGate
from tenure.lifecycle.training.evaluation.error_comparison import (
    judge_error_champion,
    judge_error_uplift,
)
from tenure.verdicts import Verdict

GATES = (MetricGate(metric="mae", maximum=99.0),)
RNG = np.random.default_rng(2)
OUTCOMES = RNG.normal(30.0, 10.0, 2000)
NOISE = RNG.normal(0.0, 5.0, 2000)
GOOD = OUTCOMES + NOISE


def policy(**changes: object) -> EvaluationPolicy:
    return EvaluationPolicy(gates=GATES, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("predictions", "verdicts"),
    [
        (GOOD, {Verdict.PASSED}),
        (np.full(2000, float(np.median(OUTCOMES))), {Verdict.FAILED, Verdict.PASSED}),
        (OUTCOMES + 40.0, {Verdict.FAILED}),
    ],
    ids=["good", "the median itself", "worse than nothing"],
)
def test_uplift(predictions: np.ndarray, verdicts: set[Verdict]) -> None:
    median = float(np.median(OUTCOMES))
    found = judge_error_uplift(policy(), OUTCOMES, predictions, median=median, rule_score=0.0)
    assert [check.subject for check in found.checks] == ["training median", "declared rule"]
    assert {check.verdict for check in found.checks} == verdicts


def test_without_a_minimum_the_numbers_only_stand_there() -> None:
    found = judge_error_uplift(
        policy(min_uplift=None), OUTCOMES, GOOD, median=30.0, rule_score=None
    )
    assert found.checks == ()
    assert set(found.facts["uplift"]) == {"training median"}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("challenger", "rows", "verdict"),
    [
        (OUTCOMES + 0.9 * NOISE, 2000, Verdict.PASSED),
        (OUTCOMES + 1.5 * NOISE, 2000, Verdict.FAILED),
        (OUTCOMES + np.roll(NOISE, 7), 2000, Verdict.INCONCLUSIVE),
        (OUTCOMES + 0.9 * NOISE, 300, Verdict.INCONCLUSIVE),
    ],
    ids=["better", "worse", "luck", "few rows"],
)
def test_the_champion_is_compared_with_by_row(
    challenger: np.ndarray, rows: int, verdict: Verdict
) -> None:
    found = judge_error_champion(
        policy(), OUTCOMES[:rows], challenger[:rows], GOOD[:rows], name="m@1", excluded=5
    )
    (check,) = found.checks
    assert check.verdict is verdict


def test_the_margin_is_a_share_of_the_champions_error() -> None:
    worse = OUTCOMES + 1.02 * NOISE
    strict = judge_error_champion(policy(), OUTCOMES, worse, GOOD, name="m@1", excluded=0)
    lax = judge_error_champion(
        policy(champion_margin=0.05), OUTCOMES, worse, GOOD, name="m@1", excluded=0
    )
    assert strict.checks[0].verdict is Verdict.FAILED
    assert lax.checks[0].verdict is Verdict.PASSED
