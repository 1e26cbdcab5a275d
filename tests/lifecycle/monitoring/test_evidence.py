"""E-values have a mean of at most 1, by enumeration; alarms stay within their budget."""

from itertools import permutations

import numpy as np
import pytest

from tenure.lifecycle.monitoring.evidence import (
    DAYS_A_QUARTER,
    GRID,
    NOTHING,
    add,
    change_start,
    level,
    levels,
    loss_evidence,
    rank,
    rank_evidence,
    threshold,
)


def mean_over_u(value: float, pool: list[float]) -> np.ndarray:
    """The exact mean of k p^(k-1) over u in (0, 1): its antiderivative is p^k."""
    low, high = rank(value, pool, 0.0), rank(value, pool, 1.0)
    return np.asarray((high**GRID - low**GRID) / (high - low))


@pytest.mark.parametrize(
    "values",
    [
        (1.0,),
        (1.0, 2.0),
        (1.0, 1.0, 2.0),
        (3.0, 1.0, 4.0, 1.0, 5.0),
        (1.0,) * 4,
        (1, 2, 2, 3, 3, 3),
    ],
)
def test_the_mean_of_a_window_is_one_over_all_orders(values: tuple[float, ...]) -> None:
    """Exchangeable windows: each order is as likely; up to six, with and without ties."""
    orders = list(permutations(values))
    means = [mean_over_u(order[-1], sorted(order[:-1])) for order in orders]
    assert np.mean(means, axis=0) == pytest.approx(1.0, abs=1e-12)


def test_the_mean_is_one_given_what_the_detector_saw_before() -> None:
    """The product of all windows as well: ranks say nothing about the ranks before them."""
    values = (1.0, 2.0, 3.0, 4.0, 5.0)
    products = [
        np.prod([mean_over_u(o[i], sorted(o[:i])) for i in range(len(o))], axis=0)
        for o in permutations(values)
    ]
    assert np.mean(products, axis=0) == pytest.approx(1.0, abs=1e-12)


def test_a_rank_without_its_own_window_would_break_the_bound() -> None:
    """Mutation: the classical rank k / n is 0 for the greatest, and E has no mean."""
    orders = list(permutations((1.0, 2.0, 3.0)))

    def wrong(value: float, pool: list[float]) -> np.ndarray:
        p = max(sum(v >= value for v in pool) / len(pool), 0.01)
        return np.asarray(np.exp(rank_evidence(p)))

    assert np.mean([wrong(o[-1], sorted(o[:-1])) for o in orders], axis=0).min() > 1.04


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2, 0.5, 1.0])
def test_a_bet_on_the_loss_is_fair_at_the_accepted_mean(loss: float) -> None:
    """Two-point losses around the accepted mean; below it the bet loses."""
    most, other = 0.2, 0.9 if loss <= 0.2 else 0.1
    chance = (most - other) / (loss - other)
    e = [np.exp(loss_evidence(x, most)) for x in (loss, other)]
    assert chance * e[0] + (1 - chance) * e[1] == pytest.approx(1.0, abs=1e-12)
    assert (np.exp(loss_evidence(0.1, most)) < 1).all()
    assert (np.exp(loss_evidence(0.0, most)) > 0).all()


def test_the_detector_by_hand() -> None:
    one = add(NOTHING, np.log(np.full(len(GRID), 3.0)))
    assert level(one) == pytest.approx(np.log(3.0))
    assert level(add(one, np.log(np.full(len(GRID), 0.5)))) == pytest.approx(np.log(2.0))
    assert level(add(NOTHING, np.zeros(len(GRID)))) == pytest.approx(0.0)  # inconclusive: E = 1


def test_all_windows_at_once_give_what_one_after_another_gives() -> None:
    log_es = np.random.default_rng(1).normal(size=(200, len(GRID)))
    log_m, one_by_one = NOTHING, []
    for log_e in log_es:
        log_m = add(log_m, log_e)
        one_by_one.append(level(log_m))
    assert levels(log_es) == pytest.approx(one_by_one, rel=1e-11)


def test_thresholds_share_the_budget() -> None:
    """20 streams, one page a quarter: c = 20 quarters of days; weekly windows are fewer."""
    assert np.exp(threshold(20.0, 1)) == pytest.approx(20 * DAYS_A_QUARTER)
    assert np.exp(threshold(20.0, 7)) == pytest.approx(20 * DAYS_A_QUARTER / 7)


def test_the_change_starts_where_evidence_began_to_rise() -> None:
    quiet, loud = np.log(np.full(len(GRID), 0.9)), np.log(np.full(len(GRID), 5.0))
    log_es = [quiet, quiet, loud, loud]
    log_m = NOTHING
    for log_e in log_es:
        log_m = add(log_m, log_e)
    assert change_start(log_es, log_m) == 2
    assert change_start([loud], add(NOTHING, loud)) == 0
