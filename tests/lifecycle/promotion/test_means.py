"""The sequential comparison of mean losses: right in direction, and wrong as seldom as promised."""

import math

import numpy as np
import pytest

from tenure.lifecycle.promotion import means
from tenure.lifecycle.promotion.means import BURN_IN, ArmLoss, ShareLosses, log_harm, log_safe

ALPHA = 0.05
LIMIT = math.log(1 / ALPHA)


def of(losses: np.ndarray) -> ArmLoss:
    return ArmLoss(len(losses), float(losses.sum()), float((losses**2).sum()))


def share(canary: float, champion: float, *, subjects: int = 2000, bp: int = 5000) -> ShareLosses:
    rng = np.random.default_rng(3)
    return ShareLosses(
        bp, of(rng.exponential(canary, subjects)), of(rng.exponential(champion, subjects))
    )


@pytest.mark.parametrize(
    ("canary", "harm", "safe"), [(1.0, False, True), (0.5, False, True), (2.0, True, False)]
)
def test_it_tells_a_challenger_that_is_worse(canary: float, harm: bool, safe: bool) -> None:
    losses = [share(canary, 1.0)]
    assert (log_harm(losses, margin=1.2) >= LIMIT) is harm
    assert (log_safe(losses, margin=1.2) >= LIMIT) is safe


def test_the_unit_of_the_label_makes_no_difference() -> None:
    small, large = [share(1.3, 1.0)], [share(1.3e6, 1.0e6)]
    assert log_harm(small, margin=1.2) == pytest.approx(log_harm(large, margin=1.2))
    assert means.loss_ratio(small) == pytest.approx(means.loss_ratio(large))


@pytest.mark.parametrize("subjects", [BURN_IN - 1, BURN_IN, BURN_IN + 1])
def test_a_share_counts_from_the_burn_in_on(subjects: int) -> None:
    found = log_harm([share(5.0, 1.0, subjects=subjects)], margin=1.2)
    assert (found == 0.0) is (subjects < BURN_IN)


@pytest.mark.parametrize(
    "nothing",
    [
        [],
        [share(5.0, 1.0, bp=10_000)],
        [ShareLosses(500, ArmLoss(200, 200.0, 200.0), ArmLoss(200, 100.0, 50.0))],  # all alike
        [ShareLosses(500, ArmLoss(200, math.inf, math.inf), ArmLoss(200, 1.0, 1.0))],
    ],
)
def test_what_compares_nothing_says_nothing(nothing: list[ShareLosses]) -> None:
    assert log_harm(nothing, margin=1.2) == log_safe(nothing, margin=1.2) == 0.0


def test_days_with_other_weights_do_not_make_a_difference() -> None:
    """The mean rises at a share where the challenger has more traffic: Simpson's paradox."""
    early = ShareLosses(500, ArmLoss(100, 100.0, 200.0), ArmLoss(1900, 1900.0, 3800.0))
    later = ShareLosses(5000, ArmLoss(1000, 3000.0, 18e3), ArmLoss(1000, 3000.0, 18e3))
    assert means.loss_ratio([early, later]) == pytest.approx(1.0)
    assert log_harm([early, later], margin=1.2) < 0


DRAWS = {
    "half normal": lambda rng, n: np.abs(rng.normal(size=n)),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0.0, 1.0, size=n),
}


def wrong(kind: str, ratio: float, judge: object, *, runs: int) -> float:
    """Share of canaries that are ever judged so, along 60 looks and two shares."""
    rng = np.random.default_rng(17)
    hits = 0
    for _ in range(runs):
        held: dict[int, list[ArmLoss]] = {500: [ArmLoss()] * 2, 2500: [ArmLoss()] * 2}
        for look in range(60):
            bp = 500 if look < 15 else 2500
            n = int(rng.binomial(400, bp / 10_000))
            new = [ratio * DRAWS[kind](rng, n), DRAWS[kind](rng, 400 - n)]
            held[bp] = [old + of(part) for old, part in zip(held[bp], new, strict=True)]
            losses = [ShareLosses(key, *arms) for key, arms in held.items()]
            if judge(losses, margin=1.2) >= LIMIT:  # type: ignore[operator]
                hits += 1
                break
    return hits / runs


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize(("ratio", "judge"), [(1.0, log_harm), (1.2, log_safe)])
def test_it_is_ever_wrong_as_seldom_as_promised(kind: str, ratio: float, judge: object) -> None:
    assert wrong(kind, ratio, judge, runs=300) <= ALPHA


@pytest.mark.exhaustive
def test_it_finds_what_there_is() -> None:
    assert wrong("exponential", 1.5, log_harm, runs=50) == 1.0
    assert wrong("exponential", 1.0, log_safe, runs=50) == 1.0
