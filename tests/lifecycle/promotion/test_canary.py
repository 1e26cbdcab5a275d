"""The judge: a table of cases, three for each bound, and its false-alarm rates by simulation."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

from tenure.lifecycle.promotion.canary import (
    CanaryAction,
    CanaryJudgement,
    CanaryMetric,
    CanaryPolicy,
    judge,
)
from tenure.lifecycle.promotion.event_rates import (
    HARM_GRID,
    SAFE_FACTORS,
    Event,
    ShareCounts,
    log_e_value,
)
from tenure.verdicts import Verdict

POLICY = CanaryPolicy(
    shares_bp=(500, 5000, 10_000),
    min_step_subjects=200,
    max_analyses=50,
    metrics=(
        CanaryMetric(event="error", margin=1.5, required=False),
        CanaryMetric(event="wrong_label", margin=1.1, min_subjects=500),
    ),
)


def counts(
    share: int, canary: tuple[int, int], champion: tuple[int, int], event: Event = "wrong_label"
) -> ShareCounts:
    """(events, subjects) of each arm."""
    return ShareCounts(event, share, canary[1], canary[0], champion[1], champion[0])


def errors(share: int, canary: int, champion: int, subjects: int = 400) -> ShareCounts:
    return counts(share, (canary, subjects), (champion, subjects * 19), "error")


SAFE = [counts(500, (50, 200), (1140, 3800)), counts(5000, (800, 4000), (1200, 4000))]


def decide(rows: list[ShareCounts], share: int = 5000, analyses: int = 1) -> CanaryJudgement:
    return judge(POLICY, rows, share_bp=share, analyses=analyses)


@pytest.mark.parametrize(
    ("rows", "share", "analyses", "action", "verdict"),
    [
        pytest.param([], 500, 1, "wait", "inconclusive", id="no traffic at all"),
        pytest.param(
            [counts(500, (50, 199), (1000, 3800))],
            500,
            1,
            "wait",
            "inconclusive",
            id="step subjects below the bound",
        ),
        pytest.param(
            [counts(500, (50, 200), (1000, 3800))],
            500,
            1,
            "advance",
            "inconclusive",
            id="step subjects at the bound",
        ),
        pytest.param(
            [counts(500, (50, 201), (1000, 3800))],
            500,
            1,
            "advance",
            "inconclusive",
            id="step subjects above the bound",
        ),
        pytest.param(
            [counts(500, (50, 5000), (1000, 3800))],
            5000,
            1,
            "wait",
            "inconclusive",
            id="subjects of an earlier share do not count for this one",
        ),
        pytest.param(
            [counts(500, (50, 200), (1000, 3800))],
            500,
            49,
            "advance",
            "inconclusive",
            id="analyses below the horizon",
        ),
        pytest.param(
            [counts(500, (50, 200), (1000, 3800))],
            500,
            50,
            "hold",
            "inconclusive",
            id="analyses at the horizon",
        ),
        pytest.param(
            [counts(500, (50, 200), (1000, 3800))],
            500,
            51,
            "hold",
            "inconclusive",
            id="analyses above the horizon",
        ),
        pytest.param(SAFE, 5000, 1, "promote", "passed", id="safe at the last observed share"),
        pytest.param(SAFE, 5000, 99, "promote", "passed", id="safe beats the horizon"),
        pytest.param(SAFE, 500, 1, "advance", "inconclusive", id="safe too early: next share"),
        pytest.param(
            [*SAFE, errors(500, 40, 0)], 5000, 1, "roll_back", "failed", id="harm beats safe"
        ),
        pytest.param(
            [errors(500, 5, 0, subjects=5)],
            500,
            1,
            "roll_back",
            "failed",
            id="harm needs no minimum of subjects",
        ),
        pytest.param(
            [counts(5000, (1200, 4000), (1200, 4000))],
            5000,
            1,
            "wait",
            "inconclusive",
            id="equal so far",
        ),
        pytest.param(
            [*SAFE, counts(5000, (0, 4000), (0, 5000), "error")],
            5000,
            1,
            "hold",
            "inconclusive",
            id="a wrong split beats safe",
        ),
        pytest.param(
            [counts(500, (900, 1000), (0, 1000), "error")],
            500,
            1,
            "hold",
            "inconclusive",
            id="and harm",
        ),
        pytest.param(
            [counts(500, (50, 200), (1000, 9000), "wrong_label")],
            500,
            1,
            "advance",
            "inconclusive",
            id="labels that are late for one arm are no wrong split",
        ),
    ],
)
def test_judgements(
    rows: list[ShareCounts], share: int, analyses: int, action: str, verdict: str
) -> None:
    found = decide(rows, share, analyses)
    assert (found.action, found.verdict) == (CanaryAction(action), Verdict(verdict))


def test_a_wrong_split_is_said_with_its_numbers_and_checked_first() -> None:
    found = decide([*SAFE, counts(5000, (0, 4000), (0, 5000), "error")])
    said = "the traffic is not split as planned: 4000 of 9000 subjects were the canary's (44.4%)"
    assert found.explanation.startswith(f"{said} at a share of 50%")
    first = found.checks()[0]
    assert (first.rule, first.verdict, first.limit) == ("sample_ratio", Verdict.FAILED, 0.5)


@pytest.mark.parametrize(
    ("subjects", "action"), [(499, "wait"), (500, "promote"), (501, "promote")]
)
def test_a_metric_is_not_safe_below_its_minimum_of_subjects(subjects: int, action: str) -> None:
    rows = [counts(5000, (1, subjects), (300, subjects))]
    assert decide(rows).action == CanaryAction(action)


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_harm_is_judged_exactly_at_its_threshold(shift: int) -> None:
    """The smallest count whose e-value reaches m/alpha rolls back; one event fewer does not."""
    threshold = len(POLICY.metrics) / POLICY.alpha

    def e_value(events: int) -> float:
        row = counts(5000, (events, 2000), (100, 2000))
        return math.exp(log_e_value([row], null=1.0, grid=HARM_GRID))

    least = next(n for n in range(100, 400) if e_value(n) >= threshold)
    found = decide([counts(5000, (least + shift, 2000), (100, 2000))])
    assert (found.action is CanaryAction.ROLL_BACK) is (shift >= 0)


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_safety_is_judged_exactly_at_its_threshold(shift: int) -> None:
    """The largest count that is still safe promotes; one event more does not."""

    def e_value(events: int) -> float:
        row = counts(5000, (events, 2000), (600, 2000))
        return math.exp(log_e_value([row], null=1.1, grid=1.1 * SAFE_FACTORS))

    most = max(n for n in range(300, 700) if e_value(n) >= 1 / POLICY.alpha)
    found = decide([counts(5000, (most + shift, 2000), (600, 2000))])
    assert (found.action is CanaryAction.PROMOTE) is (shift <= 0)


def test_the_e_value_is_the_formula_of_the_source() -> None:
    rows = [counts(500, (3, 0), (20, 0)), counts(5000, (7, 0), (5, 0))]

    def q(r: float, pi: float) -> float:
        return pi * r / (pi * r + 1 - pi)

    def product(r: float) -> float:
        value = 1.0
        for row in rows:
            pi = row.share_bp / 10_000
            value *= (q(r, pi) / q(1, pi)) ** row.canary_events
            value *= ((1 - q(r, pi)) / (1 - q(1, pi))) ** row.champion_events
        return value

    mean = sum(product(float(r)) for r in HARM_GRID) / len(HARM_GRID)
    assert math.exp(log_e_value(rows, null=1.0, grid=HARM_GRID)) == pytest.approx(mean, rel=1e-12)


def test_huge_counts_stay_finite_and_shares_without_two_arms_say_nothing() -> None:
    huge = [counts(5000, (9_000_000, 10_000_000), (1_000_000, 10_000_000))]
    assert math.isfinite(log_e_value(huge, null=1.0, grid=HARM_GRID))
    assert "10^" in decide(huge).explanation
    alone = [counts(10_000, (90, 100), (0, 0)), counts(0, (0, 0), (90, 100))]
    assert log_e_value(alone, null=1.0, grid=HARM_GRID) == 0.0


def test_the_grids_are_those_of_the_facts() -> None:
    assert (len(HARM_GRID), HARM_GRID[0], HARM_GRID[-1]) == (24, 1.15, pytest.approx(8.0))
    assert (len(SAFE_FACTORS), SAFE_FACTORS[0], SAFE_FACTORS[-1]) == (16, 0.25, 0.9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shares_bp": (10_000,)}, "a share below 10000"),
        ({"shares_bp": (500, 5000)}, "must rise"),
        ({"shares_bp": (5000, 500, 10_000)}, "must rise"),
        ({"lease_seconds": 60, "analysis_seconds": 60}, "longer than analysis_seconds"),
        ({"metrics": (CanaryMetric(event="error", margin=2, required=False),)}, "must be required"),
        ({"metrics": (CanaryMetric(event="error", margin=2),) * 2}, "each event once"),
    ],
)
def test_a_policy_that_cannot_judge_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CanaryPolicy(**{"metrics": POLICY.metrics, **change})  # type: ignore[arg-type]


def live(
    policy: CanaryPolicy,
    rng: np.random.Generator,
    *,
    wrong: tuple[float, float],
    error: tuple[float, float] = (0.01, 0.01),
    each: int = 500,
    analyses: int = 60,
) -> CanaryAction:
    """One canary against (canary, champion) rates, with `each` subjects an analysis."""
    share, table = policy.shares_bp[0], dict[tuple[Event, int], list[int]]()

    def draw(n: int, p: float) -> int:
        return int(rng.binomial(n, p))

    for number in range(1, analyses + 1):
        canary = draw(each, share / 10_000)
        for event, rates in (("wrong_label", wrong), ("error", error)):
            row = table.setdefault((event, share), [0, 0, 0, 0])  # type: ignore[index]
            fresh = (canary, draw(canary, rates[0]), each - canary, draw(each - canary, rates[1]))
            row[:] = [a + b for a, b in zip(row, fresh, strict=True)]
        rows = [ShareCounts(event, at, *row) for (event, at), row in table.items()]
        found = judge(policy, rows, share_bp=share, analyses=number)
        if found.is_final or found.action is CanaryAction.HOLD:
            return found.action
        share = found.next_share_bp
    return CanaryAction.HOLD


RUNS = pytest.mark.parametrize("runs", [60, pytest.param(1_000, marks=pytest.mark.exhaustive)])


def rates(runs: int, **world: object) -> dict[CanaryAction, float]:
    policy = POLICY.model_copy(update={"max_analyses": 1000})
    rng = np.random.default_rng(20130701)
    ends = [live(policy, rng, **world) for _ in range(runs)]  # type: ignore[arg-type]
    return {action: ends.count(action) / runs for action in CanaryAction}


@RUNS
def test_null_false_rollback_rate_is_at_most_alpha(runs: int) -> None:
    """An equal model is rolled back in at most 5% of the canaries (two metrics, 60 analyses)."""
    assert rates(runs, wrong=(0.31, 0.31))[CanaryAction.ROLL_BACK] <= POLICY.alpha


@RUNS
def test_null_false_promotion_rate_is_at_most_alpha(runs: int) -> None:
    """A model exactly at the margin is promoted in at most 5% of the canaries."""
    assert rates(runs, wrong=(0.33, 0.30))[CanaryAction.PROMOTE] <= POLICY.alpha


def test_planted_harm_is_found() -> None:
    """Half as many wrong labels again, or four times the errors: rolled back nearly always."""
    assert rates(60, wrong=(0.45, 0.30))[CanaryAction.ROLL_BACK] >= 0.98
    assert rates(60, wrong=(0.30, 0.30), error=(0.08, 0.02))[CanaryAction.ROLL_BACK] >= 0.98


def test_a_better_model_is_promoted() -> None:
    assert rates(60, wrong=(0.27, 0.31))[CanaryAction.PROMOTE] >= 0.98
