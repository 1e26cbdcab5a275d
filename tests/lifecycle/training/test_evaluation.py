"""Metrics equal scikit-learn's, intervals cover, gates have edges."""

from datetime import date
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats
from sklearn import metrics as sk

from tenure.lifecycle.training.evaluation import (
    EvaluationPolicy,
    Metric,
    MetricEstimate,
    MetricGate,
    intervals,
    judge,
    values,
)
from tenure.lifecycle.training.evaluation.metrics import measure, wilson
from tenure.lifecycle.training.evaluation.policy import ClassMetric
from tenure.verdicts import Report, Verdict

TODAY = date(2026, 11, 22)


def sample(n: int = 2000, seed: int = 3) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = rng.beta(2, 4, n)
    return np.round(truth, 2), rng.random(n) < truth  # rounded: with ties


def test_metrics_equal_scikit_learn() -> None:
    scores, labels = sample()
    found = values(measure(scores, labels, threshold=0.4))
    decided = scores >= 0.4
    assert found == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(labels, scores),
            "brier": sk.brier_score_loss(labels, scores),
            "log_loss": sk.log_loss(labels, scores),
            "accuracy": sk.accuracy_score(labels, decided),
            "precision": sk.precision_score(labels, decided),
            "recall": sk.recall_score(labels, decided),
            "wrong_label_rate": 1 - sk.accuracy_score(labels, decided),
            "ece": found["ece"],
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("part", [0, 1, 20, 99, 100])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_equals_scipy(part: int, confidence: float) -> None:
    found = stats.binomtest(part, 100).proportion_ci(confidence, method="wilson")
    assert wilson(part, 100, confidence) == pytest.approx((found.low, found.high), rel=1e-12)


def test_wilson_at_the_ends() -> None:
    assert wilson(0, 0, 0.95) == (0.0, 1.0)
    assert wilson(0, 7, 0.95)[0] == 0.0
    assert wilson(7, 7, 0.95)[1] == 1.0


def test_ece_by_hand() -> None:
    scores = np.array([0.12, 0.18, 0.91, 0.95, 1.0])
    labels = np.array([False, True, True, True, False])
    expected = (abs(0.30 - 1) + abs(2.86 - 2)) / 5
    assert measure(scores, labels, threshold=0.5)["ece"].value == pytest.approx(expected)


def test_certain_and_wrong_has_a_finite_log_loss() -> None:
    found = measure(np.array([0.0, 1.0]), np.array([True, False]), threshold=0.5)["log_loss"]
    assert found.value is not None
    assert np.isfinite(found.value)


@pytest.mark.parametrize(
    ("case", "scores", "labels", "undefined"),
    [
        ("no rows", [], [], set(get_args(ClassMetric))),
        ("one label only", [0.2, 0.3, 0.9], [True] * 3, {"roc_auc"}),
        ("nothing decided positive", [0.1, 0.2, 0.3, 0.3], [True, False, True, False],
         {"precision"}),
        ("no positive label", [0.9, 0.2], [False, False], {"roc_auc", "recall"}),
    ],
)  # fmt: skip
def test_what_rows_do_not_define(
    case: str, scores: list[float], labels: list[bool], undefined: set[str]
) -> None:
    found = measure(np.array(scores), np.array(labels, bool), threshold=0.5)
    assert {name for name, m in found.items() if m.value is None} == undefined, case
    assert set(intervals(found)) == set(values(found)), case


def test_intervals_cover_the_truth_about_95_times_of_100() -> None:
    names: tuple[Metric, ...] = ("roc_auc", "brier", "log_loss", "accuracy", "recall")
    truth = values(measure(*sample(200_000, seed=99), threshold=0.4))
    hits = dict.fromkeys(names, 0)
    for seed in range(200):
        found = measure(*sample(600, seed=seed), threshold=0.4)
        for name in names:
            low, high = intervals(found)[name]
            hits[name] += low <= truth[name] <= high
    assert all(180 <= hit <= 199 for hit in hits.values()), hits


def verdict_of(gate: MetricGate, value: float | None, *, rows: int = 500, **policy: Any) -> Report:
    found = dict.fromkeys(
        get_args(ClassMetric), MetricEstimate(value, 0.0, 1.0) if value else MetricEstimate(None)
    )
    return judge(
        EvaluationPolicy(gates=(gate,), min_rows=500, **policy),
        found,
        subject="m@1",
        rows=rows,
        threshold=0.5,
        baseline={},
        today=TODAY,
    )


MINIMUM = MetricGate(metric="roc_auc", minimum=0.65)
MAXIMUM = MetricGate(metric="brier", maximum=0.2)


@pytest.mark.parametrize(
    ("case", "gate", "value", "rows", "expected"),
    [
        ("below a minimum", MINIMUM, 0.6499, 500, Verdict.FAILED),
        ("at a minimum", MINIMUM, 0.65, 500, Verdict.PASSED),
        ("above a minimum", MINIMUM, 0.6501, 500, Verdict.PASSED),
        ("below a maximum", MAXIMUM, 0.1999, 500, Verdict.PASSED),
        ("at a maximum", MAXIMUM, 0.2, 500, Verdict.PASSED),
        ("above a maximum", MAXIMUM, 0.2001, 500, Verdict.FAILED),
        ("not defined", MINIMUM, None, 500, Verdict.INCONCLUSIVE),
        ("a row too few, however good", MINIMUM, 0.99, 499, Verdict.INCONCLUSIVE),
        ("a row more than needed", MINIMUM, 0.99, 501, Verdict.PASSED),
    ],
)
def test_gate(
    case: str, gate: MetricGate, value: float | None, rows: int, expected: Verdict
) -> None:
    assert verdict_of(gate, value, rows=rows).verdict is expected, case


def test_summary_names_observed_and_allowed() -> None:
    report = verdict_of(MINIMUM, 0.6)
    assert report.summary == ("1 of 1 checks failed on 500 held-out rows: kpi:roc_auc 0.60 < 0.65")
    few = verdict_of(MINIMUM, 0.6, rows=20)
    assert few.summary == (
        "1 of 1 checks inconclusive on 20 held-out rows: rows 20 labelled rows, "
        "allowed at least 500"
    )


@pytest.mark.parametrize(
    ("case", "expires", "enforced"),
    [
        ("the day before", date(2026, 11, 23), False),
        ("the day itself", TODAY, False),
        ("the day after", date(2026, 11, 21), True),
    ],
)
def test_an_excuse_ends(case: str, expires: date, enforced: bool) -> None:
    report = verdict_of(MINIMUM, 0.1, mode="report_only", reason="new sensor", expires=expires)
    assert report.verdict is Verdict.FAILED
    assert report.enforced is enforced, case


def test_the_report_carries_the_trivial_baseline() -> None:
    scores, labels = sample()
    trivial = measure(np.full(len(labels), labels.mean()), labels, threshold=0.5)
    report = judge(
        EvaluationPolicy(gates=(MINIMUM,)),
        measure(scores, labels, threshold=0.5),
        subject="m@1",
        rows=len(labels),
        threshold=0.5,
        baseline=trivial,
        today=TODAY,
    )
    assert report.facts["baseline"]["roc_auc"] == 0.5  # type: ignore[index]
    assert len(report.digest) == 64


@pytest.mark.parametrize("bounds", [{}, {"minimum": 0.1, "maximum": 0.9}])
def test_a_gate_states_exactly_one_bound(bounds: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="exactly one of minimum and maximum"):
        MetricGate(metric="brier", **bounds)


def test_one_row_has_a_mean_without_an_interval() -> None:
    found = measure(np.array([0.3]), np.array([True]), threshold=0.5)["brier"]
    assert found == MetricEstimate(pytest.approx(0.49), None, None)
