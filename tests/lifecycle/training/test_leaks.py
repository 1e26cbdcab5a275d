"""Features that know too much: planted ones are named, honest ones are not."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tenure.adapters.single_columns import scan
from tenure.lifecycle.training.evaluation import EvaluationPolicy, MetricGate
from tenure.lifecycle.training.evaluation.leaks import (
    LAGS,
    ColumnScan,
    area_of_rates,
    judge_leaks,
    judge_overfit,
    rank_correlation,
)
from tenure.verdicts import Severity, Verdict

ROWS = 2_000
GATES = {"gates": (MetricGate(metric="roc_auc", minimum=0.5),)}


def planted(seed: int = 1, share: float = 0.3, *, shuffled: bool = False) -> Any:
    """A frame of honest columns, labels, and times (in the order of the rows, or not)."""
    rng = np.random.default_rng(seed)
    labels = rng.random(ROWS) < share
    frame = pd.DataFrame(
        {
            "useful": labels + rng.normal(size=ROWS),
            "noise": rng.normal(size=ROWS),
            "whole": rng.integers(0, 40, ROWS).astype(float),
            "kind": rng.choice(["a", "b", None], ROWS),  # type: ignore[arg-type]
        }
    )
    times = np.arange(ROWS) * 1_000_000
    return frame, labels, rng.permutation(times) if shuffled else times


def found(frame: Any, labels: Any, times: Any, **stated: Any) -> list[tuple[str, str]]:
    """(rule, feature) of what stops the version."""
    order = np.argsort(times, kind="stable")
    seen = scan(frame, labels, times, before=order[:1500], holdout=order[1500:])
    checks = judge_leaks(EvaluationPolicy(**GATES | stated), seen).checks
    failed = [c for c in checks if c.verdict is Verdict.FAILED]
    return [(c.rule, c.subject) for c in failed if c.severity is Severity.CRITICAL]


@pytest.mark.parametrize("share", [0.5, 0.3, 0.02])
@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("lag", LAGS)
def test_a_label_shifted_in_file_order_is_a_leak(lag: int, shuffled: bool, share: float) -> None:
    frame, labels, times = planted(share=share, shuffled=shuffled)
    frame["slipped"] = np.roll(labels, lag).astype(float)
    assert found(frame, labels, times) == [("leak:target", "slipped")]


@pytest.mark.parametrize("lag", [-1, 1])
def test_a_label_shifted_in_time_order_is_a_leak(lag: int) -> None:
    frame, labels, times = planted(shuffled=True)
    order = np.argsort(times)
    slipped = np.empty(ROWS, dtype=object)
    slipped[order] = np.where(np.roll(labels[order], lag), "yes", "no")
    frame["slipped"] = slipped
    seen = scan(frame, labels, times, before=order[:1500], holdout=order[1500:])
    assert (seen.shifted["slipped"].lag, seen.shifted["slipped"].order) == (lag, "time")
    (check, _) = judge_leaks(EvaluationPolicy(**GATES), seen).checks
    side = "before" if lag > 0 else "after"
    assert check.observed == (
        f"slipped tells the label of the row {side} (in time order): alone it reaches an ROC AUC "
        "of 1.000"
    )


@pytest.mark.parametrize(
    ("case", "column", "rule"),
    [
        ("the label itself", lambda labels: labels.astype(float), "leak:target"),
        (
            "a rare amount that only positives have",
            lambda labels: np.where(labels, 7.5, 0.0),
            "leak:target",
        ),
        ("missing for positives", lambda labels: np.where(labels, np.nan, 1.0), "leak:target"),
        ("a number of the row", lambda labels: np.arange(ROWS)[::-1] * 3.0, "leak:id"),
        (
            "texts that name rows",
            lambda labels: np.array([f"c{i}" for i in range(ROWS)], dtype=object),
            "leak:id",
        ),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.02])
def test_planted_columns(case: str, column: Any, rule: str, share: float) -> None:
    frame, labels, times = planted(share=share)
    frame["planted"] = column(labels)
    assert found(frame, labels, times) == [(rule, "planted")], case


def test_a_feature_that_follows_rows_which_are_sorted_by_the_label() -> None:
    frame, labels, times = planted(shuffled=True)
    labels = np.sort(labels)  # in the file, not in time
    frame["position"] = np.arange(ROWS) + 0.5
    rules = found(frame.drop(columns="useful"), labels, times)
    assert ("leak:time", "position") in rules


def test_honest_columns_raise_no_alarm() -> None:
    alarms = [found(*planted(seed, share)) for seed in range(20) for share in (0.3, 0.05)]
    assert alarms == [[]] * 40


def test_an_accepted_leak_is_said_and_stops_nothing() -> None:
    frame, labels, times = planted()
    frame["known"] = labels.astype(float)
    order = np.arange(ROWS)
    seen = scan(frame, labels, times, before=order[:1500], holdout=order[1500:])
    policy = EvaluationPolicy(**GATES, accepted_leaks={"known": "asked before the decision"})
    check = judge_leaks(policy, seen).checks[0]
    assert (check.severity, check.verdict) == (Severity.INFO, Verdict.FAILED)
    assert check.observed.endswith("; accepted: asked before the decision")


@pytest.mark.parametrize(
    ("most", "verdict", "severity"),
    [
        (None, Verdict.PASSED, Severity.INFO),
        (0.1, Verdict.PASSED, Severity.CRITICAL),
        (0.0999, Verdict.FAILED, Severity.CRITICAL),
    ],
)
def test_duplicates_across_the_split_are_counted(
    most: float | None, verdict: Verdict, severity: Severity
) -> None:
    frame, labels, times = planted()
    frame.iloc[1500:1550] = frame.iloc[:50].to_numpy()
    order = np.arange(ROWS)
    seen = scan(frame, labels, times, before=order[:1500], holdout=order[1500:])
    policy = EvaluationPolicy(**GATES, max_duplicate_share=most)
    check = judge_leaks(policy, seen).checks[-1]
    assert check.counts == (50, 500)
    assert (check.verdict, check.severity) == (verdict, severity)


def test_areas_and_correlations_equal_scikit_learn_and_scipy() -> None:
    frame, labels, _ = planted()
    codes = frame["whole"].to_numpy().astype(np.int64)
    rates = np.array([labels[codes == code].mean() for code in range(40)])
    assert area_of_rates(codes, labels) == pytest.approx(roc_auc_score(labels, rates[codes]))
    rho = rank_correlation(frame["whole"].to_numpy(), np.arange(ROWS))
    assert rho == pytest.approx(stats.spearmanr(frame["whole"], np.arange(ROWS)).statistic)
    assert rank_correlation(np.full(ROWS, 2.0), np.arange(ROWS)) == 0.0


@pytest.mark.parametrize(
    ("most", "learned", "verdict"),
    [
        (None, 0.9, None),
        (0.2, 0.9, Verdict.PASSED),
        (0.19, 0.9, Verdict.FAILED),
        (0.2, None, Verdict.INCONCLUSIVE),
    ],
)
def test_overfit(most: float | None, learned: float | None, verdict: Verdict | None) -> None:
    policy = EvaluationPolicy(**GATES, max_overfit_gap=most)
    seen = judge_overfit(policy, learned=learned, held_out=0.7000000000000001)
    assert [c.verdict for c in seen.checks] == ([verdict] if verdict else [])
    assert seen.facts["overfit"]["metric"] == "roc_auc"  # type: ignore[index]


def test_nothing_that_could_be_tried_is_said() -> None:
    (check, _) = judge_leaks(EvaluationPolicy(**GATES), ColumnScan(rows=3, alone={})).checks
    assert check.observed == "nothing could be tried"


def numbers(seed: int = 1, *, trend: float = 0.0, carried: float = 0.0) -> Any:
    """As `planted`, of a label that is a number with a long tail.

    It rises by `trend` from first to last row; each row has `carried` of the row before.
    """
    frame, _, times = planted(seed)
    rng = np.random.default_rng(seed)
    labels = np.exp(rng.normal(size=ROWS)) + trend * np.arange(ROWS) / ROWS
    for row in range(1, ROWS if carried else 0):
        labels[row] += carried * labels[row - 1]
    frame["useful"] = labels * np.exp(rng.normal(size=ROWS))
    return frame, labels, times


@pytest.mark.parametrize("trend", [0.0, 30.0])
@pytest.mark.parametrize(
    "column",
    [
        np.array,
        lambda labels: -1e6 * labels,
        lambda labels: np.round(labels, 1),
        lambda labels: np.where(np.arange(ROWS) % 5 == 0, np.nan, labels),
        np.log,
        lambda labels: pd.qcut(labels, 12).astype(str).astype(object),
    ],
)
def test_a_number_that_a_column_knows_is_a_leak(column: Any, trend: float) -> None:
    frame, labels, times = numbers(trend=trend)
    frame["planted"] = column(labels)
    texts_of_a_trend = frame["planted"].dtype == object and trend  # older rows do not have these
    expected = [] if texts_of_a_trend else [("leak:target", "planted")]
    assert found(frame, labels, times) == expected


@pytest.mark.parametrize("lag", LAGS)
def test_a_number_shifted_by_rows_is_a_leak(lag: int) -> None:
    frame, labels, times = numbers()
    frame["slipped"] = np.roll(labels, lag)
    order = np.arange(ROWS)
    seen = scan(frame, labels, times, before=order[:1500], holdout=order[1500:])
    check = judge_leaks(EvaluationPolicy(**GATES), seen).checks[0]
    assert (check.rule, check.subject, seen.shifted["slipped"].lag) == (
        "leak:target",
        "slipped",
        lag,
    )
    assert "of the ranks of the label" in check.observed


def test_honest_columns_of_numbers_raise_no_alarm() -> None:
    """Neither do yesterday's numbers where a number carries over, or the time of a trend."""
    for seed in range(10):
        assert found(*numbers(seed)) == []
        frame, labels, times = numbers(seed, carried=0.9)
        frame["before"] = np.roll(labels, 7)
        assert found(frame, labels, times) == []
        frame, labels, times = numbers(seed, trend=30.0)
        frame["day"] = np.floor(np.arange(ROWS) / 24)
        assert found(frame, labels, times) == []


@pytest.mark.parametrize("rows", [0, 1, 3, 8])
def test_few_numbers_tell_nothing(rows: int) -> None:
    frame, labels, times = numbers()
    frame, labels, times = frame.head(rows), np.zeros(rows), times[:rows]
    order = np.arange(rows)
    seen = scan(frame, labels, times, before=order[: rows // 2], holdout=order[rows // 2 :])
    assert (dict(seen.alone), dict(seen.shifted), seen.measure) == ({}, {}, "r2")
