"""Metrics from counts against the metrics of the rows; the bound below, at and above."""

from dataclasses import replace

import numpy as np
import pytest

from tenure.lifecycle.monitoring import MonitoringPolicy, performance
from tenure.lifecycle.training.evaluation import metrics
from tenure.ports import OutcomeCounts, ScoreBin
from tenure.verdicts import Verdict

POLICY = MonitoringPolicy(metric="wrong_label_rate", max_decay=0.1, min_label_coverage=0.5)


def counted(scores: np.ndarray, labels: np.ndarray, bins: int = 200) -> OutcomeCounts:
    """What the engine gives for these rows, at threshold 0.5."""
    decided = scores >= 0.5
    cell = tuple(
        int(x.sum())
        for x in (decided & labels, decided & ~labels, ~decided & labels, ~decided & ~labels)
    )
    place = np.minimum((scores * bins).astype(int), bins - 1)
    squared = (scores - labels) ** 2
    loss = -np.log(np.clip(np.where(labels, scores, 1 - scores), np.finfo(float).eps, 1))
    found = []
    for number in np.unique(place):
        at = place == number
        sums = (scores, squared, squared**2, loss, loss**2)
        found.append(
            ScoreBin(
                int(number),
                int(at.sum()),
                int(labels[at].sum()),
                *(float(s[at].sum()) for s in sums),
            )
        )
    n = len(scores)
    return OutcomeCounts(n, n, n, {("a",): cell}, found, bins)


def cells(wrong: int, right: int, *, answered: int | None = None) -> OutcomeCounts:
    n = wrong + right
    return OutcomeCounts(n, answered or n, n, {(): (right, wrong, 0, 0)}, BIN(n), 10)


def BIN(n: int) -> list[ScoreBin]:
    return [ScoreBin(9, n, n // 2, n * 0.9, 1.0, 1.0, 1.0, 1.0)] if n else []


def test_equal_the_metrics_of_the_rows() -> None:
    rng = np.random.default_rng(5)
    scores = rng.beta(2, 3, 5000)
    scores[:3] = [0.0, 1.0, 0.5]
    labels = rng.uniform(size=5000) < scores * 0.8
    rows = metrics.measure(scores, labels, threshold=0.5)
    found = performance.measure(counted(scores, labels), confidence=0.95, seed=1)
    assert set(found) == set(rows)
    for name, expected in rows.items():
        loose = 2e-3 if name in {"roc_auc", "ece"} else 1e-9
        assert found[name].value == pytest.approx(expected.value, abs=loose), name
        assert found[name].low == pytest.approx(expected.low, abs=5e-3), name
        assert found[name].high == pytest.approx(expected.high, abs=5e-3), name


def test_of_no_rows_nothing_is_defined() -> None:
    assert performance.measure(cells(0, 0), confidence=0.95, seed=1) == {}


@pytest.mark.parametrize(
    ("name", "wrong", "right", "verdict"),
    [
        ("as the holdout", 2000, 8000, Verdict.PASSED),
        ("at the limit", 2200, 7800, Verdict.PASSED),
        ("just above the limit, perhaps noise", 2210, 7790, Verdict.INCONCLUSIVE),
        ("the whole interval above", 2300, 7700, Verdict.FAILED),
        ("as far above on few rows", 23, 77, Verdict.INCONCLUSIVE),
    ],
)
def test_decay(name: str, wrong: int, right: int, verdict: Verdict) -> None:
    report = performance.judge_performance(
        cells(wrong, right),
        POLICY,
        holdout={"wrong_label_rate": 0.2},
        subject="m@1",
        seed=1,
        facts={"kind": "performance"},
    )
    assert report.verdict is verdict, name
    assert report.summary.startswith(f"Performance {verdict}: wrong_label_rate 0.2")
    assert report.summary.endswith("allowed at most 0.220 (10% worse).")


def test_sentence_has_the_numbers() -> None:
    report = performance.judge_performance(
        cells(2930, 7070),
        POLICY,
        holdout={"wrong_label_rate": 0.25},
        subject="m@1",
        seed=1,
        facts={},
    )
    assert report.summary == (
        "Performance failed: wrong_label_rate 0.293 [0.284, 0.302] against 0.250 on the holdout "
        "(+17.2%); allowed at most 0.275 (10% worse)."
    )
    assert report.facts["metrics"]["accuracy"] == pytest.approx(0.707)


@pytest.mark.parametrize(
    ("name", "right", "verdict"),
    [
        ("better", 9000, Verdict.PASSED),
        ("at the limit", 7200, Verdict.PASSED),
        ("point below", 7190, Verdict.INCONCLUSIVE),
        ("interval below", 7000, Verdict.FAILED),
    ],
)
def test_metrics_that_should_be_high(name: str, right: int, verdict: Verdict) -> None:
    report = performance.judge_performance(
        cells(10_000 - right, right),
        MonitoringPolicy(metric="accuracy", max_decay=0.1),
        holdout={"accuracy": 0.8},
        subject="m@1",
        seed=1,
        facts={},
    )
    assert report.verdict is verdict, name


@pytest.mark.parametrize(
    ("labelled", "verdict"),
    [(499, Verdict.INCONCLUSIVE), (500, Verdict.PASSED), (501, Verdict.PASSED)],
)
def test_label_coverage(labelled: int, verdict: Verdict) -> None:
    found = cells(0, labelled, answered=1000)
    report = performance.judge_performance(
        found, POLICY, holdout={"wrong_label_rate": 0.2}, subject="m@1", seed=1, facts={}
    )
    assert report.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert "499 of 1,000 mature decisions have an outcome (49.9%)" in report.summary


def test_outcomes_that_could_be_of_several_callers_are_said() -> None:
    found = replace(cells(0, 499, answered=1000), ambiguous=1_200)
    report = performance.judge_performance(
        found, POLICY, holdout={"wrong_label_rate": 0.2}, subject="m@1", seed=1, facts={}
    )
    assert report.facts["ambiguous_outcomes"] == 1_200
    assert report.checks[0].observed == (
        "499 of 1,000 mature decisions have an outcome (49.9%); 1,200 outcomes do not count: "
        "they do not say which of several callers used their request id, or name one who never "
        "did"
    )


@pytest.mark.parametrize("holdout", [{}, {"brier": 0.1}])
def test_a_holdout_without_the_metric(holdout: dict[str, float]) -> None:
    report = performance.judge_performance(
        cells(10, 90), POLICY, holdout=holdout, subject="m@1", seed=1, facts={}
    )
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "is not defined on the holdout" in report.summary


def test_one_row_has_a_mean_without_interval_and_no_auc() -> None:
    found = performance.measure(counted(np.array([0.7]), np.array([True])), confidence=0.95, seed=1)
    assert found["brier"].value == pytest.approx(0.09)
    assert found["brier"].low is None
    assert found["roc_auc"].value is None
    assert found["precision"].value == 1.0
