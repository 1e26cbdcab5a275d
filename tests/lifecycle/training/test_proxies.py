"""A planted proxy is found, noise is none, and what cannot be looked at is listed."""

from typing import Any

import numpy as np
import pytest

from tenure.adapters.proxy_learner import learn_groups
from tenure.lifecycle.training.bias.proxies import (
    MIN_ROWS,
    AttributeProxies,
    Told,
    find_proxies,
    judge_proxies,
)
from tenure.lifecycle.training.bias.training_data import grouped
from tenure.verdicts import Severity, Verdict

RNG = np.random.default_rng(11)
GROUPS = RNG.integers(0, 2, 2_000)
NOISE = RNG.integers(0, 8, 2_000)


def view(groups: Any, name: str = "race") -> Any:
    texts = np.array([f"g{n}" for n in groups], dtype=object)
    return grouped({name: texts}, (name,), {})


def found(features: dict[str, Any], groups: Any = GROUPS) -> AttributeProxies:
    return find_proxies(view(groups), features, seed=7, together=learn_groups)


def test_the_feature_that_gives_a_group_away_is_named_first() -> None:
    street = np.where(RNG.random(2_000) < 0.9, GROUPS, 1 - GROUPS)
    told = found({"noise": NOISE, "street": street}).told
    assert [one.feature for one in told] == [None, "street", "noise"]
    assert told[1].roc_auc == pytest.approx(0.9, abs=0.03)
    assert told[2].interval[0] < 0.5 < told[2].interval[1]


def test_together_features_tell_what_none_tells_alone() -> None:
    other = (GROUPS + (NOISE > 3)) % 2
    told = found({"half": (NOISE > 3).astype(int), "other": other}).told
    assert (told[0].feature, told[0].roc_auc) == (None, pytest.approx(1.0, abs=0.01))
    assert max(one.roc_auc for one in told[1:]) < 0.6


def test_the_same_rows_give_the_same_numbers() -> None:
    assert found({"noise": NOISE}) == found({"noise": NOISE})


def test_an_attribute_that_is_a_feature_needs_no_proxy() -> None:
    one = find_proxies(view(GROUPS), {"race": GROUPS}, seed=7, together=learn_groups)
    assert (one.is_feature, one.told) == (True, ())
    [check] = judge_proxies([one], 0.9)
    assert (check.verdict, check.observed) == (Verdict.FAILED, "the model reads it itself")


@pytest.mark.parametrize(("rows", "looked_at"), [(MIN_ROWS - 1, False), (MIN_ROWS, True)])
def test_a_group_that_is_too_small_is_listed(rows: int, looked_at: bool) -> None:
    groups = np.repeat([0, 1, 2], [500, 500, rows])
    one = found({"noise": RNG.integers(0, 3, len(groups))}, groups)
    assert one.left_out == (() if looked_at else ("g2",))
    lonely = found({"noise": np.zeros(rows + 500, dtype=int)}, np.repeat([0, 2], [500, rows]))
    [check] = judge_proxies([lonely], None)
    assert check.verdict is (Verdict.PASSED if looked_at else Verdict.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("low", "value", "limit", "verdict"),
    [
        (0.6, 0.70, 0.7, Verdict.PASSED),
        (0.6, 0.71, 0.7, Verdict.INCONCLUSIVE),
        (0.7, 0.80, 0.7, Verdict.INCONCLUSIVE),
        (0.701, 0.80, 0.7, Verdict.FAILED),
        (0.79, 0.85, None, Verdict.INCONCLUSIVE),
        (0.81, 0.85, None, Verdict.FAILED),
    ],
)
def test_beyond_its_limit_it_fails_when_that_is_sure(
    low: float, value: float, limit: float | None, verdict: Verdict
) -> None:
    one = AttributeProxies("race", 100, False, (Told("zip", "b", value, (low, 0.9)),), ())
    [check] = judge_proxies([one], limit)
    assert check.verdict is verdict
    assert check.severity is (Severity.INFO if limit is None else Severity.CRITICAL)


@pytest.mark.exhaustive
def test_noise_is_no_finding_even_at_a_low_limit() -> None:
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        noise = {f"x{n}": rng.integers(0, 10, 600) for n in range(6)}
        one = find_proxies(view(rng.integers(0, 4, 600)), noise, seed=seed, together=learn_groups)
        [check] = judge_proxies([one], 0.55)
        alarms += check.verdict is Verdict.FAILED
    assert alarms <= 1
