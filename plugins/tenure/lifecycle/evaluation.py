"""Is the candidate good enough: metrics with intervals against a stated gate.

A gate compares the point value with its bound (at the bound passes): the bound is the owner's
floor, and `min_rows` keeps the number from being noise. The interval stands beside it, and so do
the numbers of the trivial model that always answers the base rate of the training rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.stats import norm, rankdata

from tenure.lifecycle.policy import GatePolicy, Policy
from tenure.verdicts import Check, Report, Verdict, worst

Metric = Literal[
    "roc_auc", "brier", "log_loss", "accuracy", "precision", "recall", "wrong_label_rate", "ece"
]
CONFIDENCE = 0.95
ECE_BINS = 10
_DRAWS = 1000
_SEED = 2013

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class MetricGate(Policy):
    """A bound on one metric of the holdout; exactly one of minimum and maximum."""

    metric: Metric
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> "MetricGate":
        if (self.minimum is None) == (self.maximum is None):
            raise ValueError("state exactly one of minimum and maximum")
        return self


class EvaluationPolicy(GatePolicy):
    """The gate between trained and validated."""

    threshold: float = Field(default=0.5, ge=0.0, le=1.0)
    """Scores at or above it decide `positive`."""
    min_rows: int = Field(default=500, ge=1)
    gates: tuple[MetricGate, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Measured:
    """A metric with its 95% interval; all None where the rows do not define it."""

    value: float | None
    low: float | None = None
    high: float | None = None


def measure(scores: Floats, labels: Bools, *, threshold: float) -> dict[Metric, Measured]:
    """Every metric of a scored sample.

    Args:
        scores: Probabilities of the positive label, shape (n,).
        labels: What came true, shape (n,).
        threshold: Scores at or above it decide `positive`.

    Returns:
        All metrics by name. Without rows none is defined; precision needs a positive decision,
        recall a positive label, roc_auc both labels.

    Sources: Wilson (1927) for shares; DeLong, DeLong and Clarke-Pearson (1988) for roc_auc;
        the normal interval of a mean for brier and log_loss; a multinomial bootstrap over
        (bin, label) cells for ece.
    """
    scores = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.bool_)
    if not len(labels):
        return {name: Measured(None) for name in get_args(Metric)}
    decided = scores >= threshold
    n, right = len(labels), int((decided == labels).sum())
    hits = int((decided & labels).sum())
    near_one = np.finfo(np.float64).eps
    likelihood = np.clip(np.where(labels, scores, 1.0 - scores), near_one, 1.0)
    return {
        "roc_auc": _roc_auc(scores, labels),
        "brier": _mean((scores - labels) ** 2),
        "log_loss": _mean(-np.log(likelihood)),
        "accuracy": _share(right, n),
        "precision": _share(hits, int(decided.sum())),
        "recall": _share(hits, int(labels.sum())),
        "wrong_label_rate": _share(n - right, n),
        "ece": _ece(scores, labels),
    }


def judge(
    policy: EvaluationPolicy,
    measured: Mapping[Metric, Measured],
    *,
    subject: str,
    rows: int,
    baseline: Mapping[Metric, Measured],
    today: date,
) -> Report:
    """Compare the holdout's metrics with the gates.

    Args:
        policy: The gate.
        measured: From `measure` on the holdout.
        subject: `model@version`.
        rows: Labelled rows of the holdout; below `policy.min_rows` nothing is judged.
        baseline: From `measure` on the same rows, scored with the training rows' base rate.
        today: Decides whether an excuse (`mode: report_only`) still holds.
    """
    if rows < policy.min_rows:
        checks: list[Check] = [
            Check(
                name="rows",
                verdict=Verdict.INCONCLUSIVE,
                observed=f"{rows:,} labelled rows",
                allowed=f"at least {policy.min_rows:,}",
            )
        ]
    else:
        checks = sorted(
            (_check(g, measured) for g in policy.gates), key=lambda c: _ORDER[c.verdict]
        )
    verdict = worst(check.verdict for check in checks)
    return Report(
        stage="evaluation",
        subject=subject,
        verdict=verdict,
        summary=_summary(checks, verdict, rows),
        checks=tuple(checks),
        facts={
            "rows": rows,
            "threshold": policy.threshold,
            "metrics": values(measured),
            "intervals": intervals(measured),
            "baseline": values(baseline),
            "enforced": policy.enforces(today),
            "excuse": policy.reason,
        },
    )


def values(measured: Mapping[Metric, Measured]) -> dict[str, float]:
    """The metrics that are defined, by name."""
    return {name: m.value for name, m in measured.items() if m.value is not None}


def intervals(measured: Mapping[Metric, Measured]) -> dict[str, list[float]]:
    """Their intervals, [low, high]."""
    return {
        name: [m.low, m.high]
        for name, m in measured.items()
        if m.low is not None and m.high is not None
    }


_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


def _check(gate: MetricGate, measured: Mapping[Metric, Measured]) -> Check:
    found = measured[gate.metric]
    bound = gate.minimum if gate.minimum is not None else gate.maximum
    allowed = f"{'at least' if gate.minimum is not None else 'at most'} {bound:g}"
    if found.value is None or found.low is None or found.high is None:
        return Check(gate.metric, Verdict.INCONCLUSIVE, "not defined on these rows", allowed)
    kept = (gate.minimum is None or found.value >= gate.minimum) and (
        gate.maximum is None or found.value <= gate.maximum
    )
    return Check(
        name=gate.metric,
        verdict=Verdict.PASSED if kept else Verdict.FAILED,
        observed=f"{found.value:.4f}",
        allowed=allowed,
        interval=(found.low, found.high),
    )


def _summary(checks: list[Check], verdict: Verdict, rows: int) -> str:
    if verdict is Verdict.PASSED:
        told = ", ".join(f"{c.name} {c.observed}" for c in checks)
        return f"all {len(checks)} gates passed on {rows:,} held-out rows: {told}"
    bad = [c for c in checks if c.verdict is verdict]
    told = "; ".join(f"{c.name} {c.observed}, allowed {c.allowed}" for c in bad)
    return f"{len(bad)} of {len(checks)} checks {verdict} on {rows:,} held-out rows: {told}"


def _share(part: int, whole: int) -> Measured:
    if not whole:
        return Measured(None)
    z, p = float(norm.ppf(0.5 + CONFIDENCE / 2)), part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * np.sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return Measured(p, max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def _mean(losses: Floats) -> Measured:
    value = float(losses.mean())
    if len(losses) < 2:
        return Measured(value)
    half = float(norm.ppf(0.5 + CONFIDENCE / 2) * losses.std(ddof=1) / np.sqrt(len(losses)))
    return Measured(value, max(0.0, value - half), value + half)


def _roc_auc(scores: Floats, labels: Bools) -> Measured:
    positive, negative = scores[labels], scores[~labels]
    m, n = len(positive), len(negative)
    if m < 2 or n < 2:
        return Measured(None)
    ranks = rankdata(scores)
    value = float((ranks[labels].sum() - m * (m + 1) / 2) / (m * n))
    above = (ranks[labels] - rankdata(positive)) / n  # share of negatives below each positive
    below = 1.0 - (ranks[~labels] - rankdata(negative)) / m
    half = norm.ppf(0.5 + CONFIDENCE / 2) * np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n)
    return Measured(value, max(0.0, float(value - half)), min(1.0, float(value + half)))


def _ece(scores: Floats, labels: Bools) -> Measured:
    bins = np.minimum((scores * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    cell = 2 * bins + labels
    counts = np.bincount(cell, minlength=2 * ECE_BINS)
    sums = np.bincount(cell, weights=scores, minlength=2 * ECE_BINS)
    gain = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    gain[1::2] -= 1.0  # what one row adds to (sum of scores - positives) of its bin
    rng = np.random.default_rng(_SEED)
    draws = rng.multinomial(len(labels), counts / len(labels), size=_DRAWS)

    def error(cells: NDArray[np.int64]) -> Floats:
        gaps = np.abs((cells * gain).reshape(*cells.shape[:-1], ECE_BINS, 2).sum(axis=-1))
        return np.asarray(gaps.sum(axis=-1) / len(labels))

    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(error(draws), [tail, 1 - tail])
    return Measured(float(error(counts)), float(low), float(high))
