"""The evaluation gate: metrics of the holdout against stated bounds.

A gate compares the point value with its bound (at the bound passes): the bound is the owner's
floor, and `min_rows` keeps the number from being noise. The interval stands beside it, and so do
the numbers of the trivial model that always answers the base rate of the training rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy, Metric, MetricGate
from tenure.verdicts import Check, Report, Verdict, worst

CONFIDENCE = 0.95
"""Of every metric's interval."""


@dataclass(frozen=True)
class MetricEstimate:
    """A metric with its 95% interval; all None where the rows do not define it."""

    value: float | None
    low: float | None = None
    high: float | None = None


def judge(
    policy: EvaluationPolicy,
    measured: Mapping[Metric, MetricEstimate],
    *,
    subject: str,
    rows: int,
    baseline: Mapping[Metric, MetricEstimate],
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
                rule="rows",
                verdict=Verdict.INCONCLUSIVE,
                observed=f"{rows:,} labelled rows",
                allowed=f"at least {policy.min_rows:,}",
                value=float(rows),
                limit=float(policy.min_rows),
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
            "excuse": policy.reason,
        },
        enforced=policy.enforces(today),
    )


def values(measured: Mapping[Metric, MetricEstimate]) -> dict[str, float]:
    """The metrics that are defined, by name."""
    return {name: m.value for name, m in measured.items() if m.value is not None}


def intervals(measured: Mapping[Metric, MetricEstimate]) -> dict[str, tuple[float, float]]:
    """Their intervals, (low, high)."""
    return {
        name: (m.low, m.high)
        for name, m in measured.items()
        if m.low is not None and m.high is not None
    }


_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


def _check(gate: MetricGate, measured: Mapping[Metric, MetricEstimate]) -> Check:
    found = measured[gate.metric]
    bound = gate.minimum if gate.minimum is not None else gate.maximum
    allowed = f"{'at least' if gate.minimum is not None else 'at most'} {bound:g}"
    if found.value is None or found.low is None or found.high is None:
        return Check(
            gate.metric, Verdict.INCONCLUSIVE, "not defined on these rows", allowed, limit=bound
        )
    kept = (gate.minimum is None or found.value >= gate.minimum) and (
        gate.maximum is None or found.value <= gate.maximum
    )
    return Check(
        rule=gate.metric,
        verdict=Verdict.PASSED if kept else Verdict.FAILED,
        observed=f"{found.value:.4f}",
        allowed=allowed,
        value=found.value,
        limit=bound,
        interval=(found.low, found.high),
    )


def _summary(checks: list[Check], verdict: Verdict, rows: int) -> str:
    if verdict is Verdict.PASSED:
        told = ", ".join(f"{c.name} {c.observed}" for c in checks)
        return f"all {len(checks)} gates passed on {rows:,} held-out rows: {told}"
    bad = [c for c in checks if c.verdict is verdict]
    told = "; ".join(f"{c.name} {c.observed}, allowed {c.allowed}" for c in bad)
    return f"{len(bad)} of {len(checks)} checks {verdict} on {rows:,} held-out rows: {told}"
