"""Effect sizes against scipy and hand numbers; a null and a planted case with stated rates."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from tenure.lifecycle.monitoring import MonitoringPolicy, drift
from tenure.ports import FeatureCounts
from tenure.verdicts import Verdict

POLICY = MonitoringPolicy(bins=10, max_psi=0.25, max_drifted_share=0.3)


def counts(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_psi_by_hand() -> None:
    a, b = counts(50, 50), counts(20, 80)
    p, q = [50.5 / 101, 50.5 / 101], [20.5 / 101, 80.5 / 101]
    by_hand = sum((y - x) * np.log(y / x) for x, y in zip(p, q, strict=True))
    assert drift.psi(a, b) == pytest.approx(by_hand)
    assert drift.psi(a, a) == 0.0
    assert np.isfinite(drift.psi(counts(100, 0), counts(0, 100)))


def test_bins_that_are_empty_on_both_sides_change_nothing() -> None:
    a, b = counts(50, 50), counts(20, 80)
    wide = [np.insert(side, 1, 0.0) for side in (a, b)]
    assert drift.psi(*wide) == drift.psi(a, b)
    assert drift.psi_noise(*wide, 0.95) == drift.psi_noise(a, b, 0.95)
    assert drift.psi_interval(*wide, 0.95) == drift.psi_interval(a, b, 0.95)


def test_ks_equals_scipy_on_the_binned_values() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 9, 4000), rng.integers(1, 10, 3000)
    table = [np.bincount(side, minlength=10).astype(float) for side in (a, b)]
    exact = stats.ks_2samp(a, b, method="asymp")
    distance, p_value = drift.ks(*table)
    assert distance == pytest.approx(exact.statistic)
    assert p_value == pytest.approx(exact.pvalue, abs=1e-6)


def test_cramers_v_equals_scipy() -> None:
    a, b = counts(30, 20, 0, 50), counts(10, 40, 0, 60)
    v, p_value = drift.chi2(a, b)
    table = np.array([[30, 20, 50], [10, 40, 60]])
    assert v == pytest.approx(stats.contingency.association(table, method="cramer"))
    assert p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)


@pytest.mark.parametrize(
    ("name", "a", "b"),
    [("one category", counts(9, 0), counts(7, 0)), ("no rows", counts(9, 3), counts(0, 0))],
)
def test_nothing_to_compare(name: str, a: np.ndarray, b: np.ndarray) -> None:
    assert drift.chi2(a, b) == (0.0, 1.0), name


def test_null_case_false_alarm_rate() -> None:
    """Equal distributions, 400 draws of 20 bins: the noise floor is passed in about 5%."""
    rng = np.random.default_rng(7)
    shares = rng.dirichlet(np.full(20, 5.0))
    above = drifted = 0
    for _ in range(400):
        a = rng.multinomial(5000, shares).astype(float)
        b = rng.multinomial(600, shares).astype(float)
        above += drift.psi(a, b) > drift.psi_noise(a, b, 0.95)
        drifted += drift.shift("x", "numeric", a, b, POLICY).verdict is Verdict.FAILED
    assert 0.02 <= above / 400 <= 0.08
    assert drifted == 0


def test_interval_covers_the_true_psi() -> None:
    """A planted change of PSI 0.46: in 95% intervals at least 90% of the time."""
    rng = np.random.default_rng(8)
    p, q = np.full(10, 0.1), np.linspace(0.01, 0.19, 10)
    true = float(np.sum((q - p) * np.log(q / p)))
    covered = found = 0
    for _ in range(300):
        a = rng.multinomial(20_000, p).astype(float)
        b = rng.multinomial(5_000, q).astype(float)
        low, high = drift.psi_interval(a, b, 0.95)
        covered += low <= true <= high
        found += drift.shift("x", "numeric", a, b, POLICY).verdict is Verdict.FAILED
    assert true == pytest.approx(0.462, abs=0.001)
    assert covered / 300 >= 0.90
    assert found == 300


@pytest.mark.parametrize(
    ("name", "limit", "verdict"),
    [
        ("limit below the interval", -0.001, Verdict.FAILED),
        ("limit at its lower end", 0.0, Verdict.PASSED),
        ("limit above its lower end", 0.001, Verdict.PASSED),
    ],
)
def test_the_whole_interval_must_lie_beyond(name: str, limit: float, verdict: Verdict) -> None:
    a, b = counts(5000, 5000), counts(2000, 8000)
    low, _ = drift.psi_interval(a, b, 0.95)
    policy = MonitoringPolicy(max_psi=low + limit)
    assert drift.shift("x", "numeric", a, b, policy).verdict is verdict, name


def test_too_few_rows_cannot_tell() -> None:
    a, b = counts(*[500] * 20), counts(*[2] * 20)
    found = drift.shift("x", "numeric", a, b, POLICY)
    assert found.noise > POLICY.max_psi
    assert found.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("name", "quantiles", "seen", "edges"),
    [
        ("spread", [0, 1, 2, 3, 4], None, (0, 1, 2, 3, 4)),
        ("training saw more", [1, 2, 3], [0, 5], (0, 1, 2, 3, 5)),
        ("training saw less", [0, 1, 2, 3, 4], [1, 3], (1, 2, 3)),
        ("heaped at the lowest", [0, 0, 0, 1, 2], None, (0, 0, 1, 2)),
        ("constant", [3, 3, 3], None, (3, 3)),
        ("no value", [], None, (0, 0)),
        ("no value, range known", [], [1, 2], (1, 2)),
    ],
)
def test_bin_edges(
    name: str, quantiles: Sequence[float], seen: Sequence[float] | None, edges: tuple[float, ...]
) -> None:
    assert drift.bin_edges(quantiles, seen) == edges, name


def test_rare_and_new_categories_are_merged() -> None:
    names, a, b = drift.merged({"a": 9, "b": 5, "c": 1}, {"a": 3, "c": 2, "new": 4}, most=2)
    assert names == ["a", "b", "other", "unseen"]
    assert a.tolist() == [9, 5, 1, 0]
    assert b.tolist() == [3, 0, 2, 4]


def test_a_thousand_texts_that_training_saw_are_no_drift() -> None:
    """A holdout of 1,500 rows lacks many of them: they are other, and only strangers are unseen."""
    draw, policy = np.random.default_rng(8), MonitoringPolicy()
    known = [f"town {n}" for n in range(1_000)]
    sides = [
        FeatureCounts(n, {}, {"town": dict(Counter(draw.choice(known, n).tolist()))}, {"town": 0})
        for n in (1_500, 6_000)
    ]
    assert drift.shifts(*sides, policy, {"town": known})[0].verdict is Verdict.PASSED
    assert drift.shifts(*sides, policy)[0].verdict is Verdict.FAILED


def side(rows: int, moved: int, features: int = 10) -> FeatureCounts:
    """Features of two bins; the first `moved` of them have all rows in the second."""
    half = (0, rows // 2, rows - rows // 2, 0)
    return FeatureCounts(
        rows=rows,
        bins={f"x{i}": (0, 0, rows, 0) if i < moved else half for i in range(features)},
        categories={},
        nulls={f"x{i}": 0 for i in range(features)},
    )


@pytest.mark.parametrize(
    ("moved", "verdict"), [(2, Verdict.PASSED), (3, Verdict.PASSED), (4, Verdict.FAILED)]
)
def test_share_of_drifted_features(moved: int, verdict: Verdict) -> None:
    found = drift.shifts(side(5000, 0), side(5000, moved), POLICY)
    report = drift.judge_drift(found, POLICY, subject="m@1", facts={"kind": "drift"})
    assert report.verdict is verdict
    assert report.summary.startswith(
        f"Drift {verdict}: {moved} of 10 features moved beyond PSI 0.25"
    )
    assert report.facts["kind"] == "drift"
    assert [c.verdict for c in report.checks[:moved]] == [Verdict.FAILED] * moved


def test_a_few_rows_are_inconclusive() -> None:
    found = drift.shifts(side(5000, 0), side(12, 0), POLICY)
    report = drift.judge_drift(found, POLICY, subject="m@1", facts={})
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "10 have too few rows to tell" in report.summary


def test_the_score_only_informs() -> None:
    reference = FeatureCounts(
        5000, {"x": (0, 2500, 2500, 0), "score": (0, 2500, 2500, 0)}, {}, {"x": 0, "score": 0}
    )
    current = FeatureCounts(
        5000, {"x": (0, 2500, 2500, 0), "score": (0, 0, 5000, 0)}, {}, {"x": 0, "score": 0}
    )
    found = drift.shifts(reference, current, POLICY)
    report = drift.judge_drift(found, POLICY, subject="m@1", facts={})
    assert report.verdict is Verdict.PASSED
    assert report.checks[0].name == "prediction drift (info)"
    assert report.checks[0].verdict is Verdict.FAILED
    assert not report.enforced


def test_nulls_and_unseen_categories_are_drift() -> None:
    reference = FeatureCounts(1000, {}, {"c": {"a": 1000}}, {"c": 0})
    nulls = FeatureCounts(1000, {}, {"c": {"a": 400}}, {"c": 600})
    unseen = FeatureCounts(1000, {}, {"c": {"a": 400, "zz": 600}}, {"c": 0})
    for current in (nulls, unseen):
        (found,) = drift.shifts(reference, current, POLICY)
        assert found.verdict is Verdict.FAILED


def test_one_filled_bin_or_no_rows_have_no_noise_and_no_distance() -> None:
    assert drift.psi_noise(counts(9, 0), counts(7, 0), 0.95) == 0.0
    assert drift.ks(counts(0, 0), counts(7, 1)) == (0.0, 1.0)
