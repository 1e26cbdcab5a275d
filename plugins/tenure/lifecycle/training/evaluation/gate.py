"""The evaluation gate: metrics of the holdout against stated bounds.

A gate compares the point value with its bound (at the bound passes): the bound is the owner's
floor, and `min_rows` keeps the number from being noise. The interval stands beside it, and so do
the numbers of the trivial model that always answers the base rate of the training rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy, GateMetric, MetricGate
from tenure.verdicts import Check, Report, Severity, Verdict, worst

CONFIDENCE = 0.95
"""Of every metric's interval."""
KPI = "kpi:"
"""Before the metric in the rule of a check that a gate of the YAML asks for."""


@dataclass(frozen=True)
class MetricEstimate:
    """A metric with its 95% interval; all None where the rows do not define it."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Appraisal:
    """What one more look at a version says: checks that decide, and numbers beside them."""

    checks: tuple[Check, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


def judge(
    policy: EvaluationPolicy,
    measured: Mapping[GateMetric, MetricEstimate],
    *,
    subject: str,
    rows: int,
    threshold: float | None,
    baseline: Mapping[GateMetric, MetricEstimate],
    today: date,
    findings: Sequence[Appraisal] = (),
) -> Report:
    """Compare the holdout's metrics with the gates.

    Args:
        policy: The gate.
        measured: From `measure` on the holdout.
        subject: `model@version`.
        rows: Labelled rows of the holdout; below `policy.min_rows` no metric is judged.
        threshold: The version's: scores at or above it decide `positive`; None of a regression.
        baseline: From `measure` on the same rows, scored with the training rows' base rate.
        today: Decides whether an excuse (`mode: report_only`) still holds.
        findings: What other looks at the version say; their checks count like those of the gates.
    """
    gates = (
        [_check(g, measured) for g in policy.gates]
        if rows >= policy.min_rows
        else [_few(policy, rows)]
    )
    found = [check for one in findings for check in one.checks]
    checks = sorted(gates + found, key=lambda c: _ORDER[c.verdict])
    verdict = worst(c.verdict for c in checks if c.severity is Severity.CRITICAL)
    facts: dict[str, object] = {
        "rows": rows,
        "threshold": threshold,
        "metrics": values(measured),
        "intervals": intervals(measured),
        "baseline": values(baseline),
        "excuse": policy.reason,
    }
    for one in findings:
        facts |= one.facts
    return Report(
        stage="evaluation",
        subject=subject,
        verdict=verdict,
        summary=_summary(checks, verdict, rows),
        checks=tuple(checks),
        facts=facts,
        enforced=policy.enforces(today),
    )


def values(measured: Mapping[GateMetric, MetricEstimate]) -> dict[str, float]:
    """The metrics that are defined, by name."""
    return {name: m.value for name, m in measured.items() if m.value is not None}


def intervals(measured: Mapping[GateMetric, MetricEstimate]) -> dict[str, tuple[float, float]]:
    """Their intervals, (low, high)."""
    return {
        name: (m.low, m.high)
        for name, m in measured.items()
        if m.low is not None and m.high is not None
    }


def plain(value: float, bound: float | None = None) -> str:
    """At least two decimals, at most four, more only where it would look like another bound.

    >>> plain(0.79), plain(0.79999), plain(0.79999999, 0.8)
    ('0.79', '0.8000', '0.79999999')
    """
    digits = 4
    while bound is not None and value != bound and digits < _MOST and _looks(value, bound, digits):
        digits += 1
    text = f"{value:.{digits}f}"
    while text.endswith("0") and float(text) == value and len(text.partition(".")[2]) > _LEAST:
        text = text[:-1]
    return text


_LEAST, _MOST = 2, 16
_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


def _looks(value: float, bound: float, digits: int) -> bool:
    return f"{value:.{digits}f}" == f"{bound:.{digits}f}"


def _few(policy: EvaluationPolicy, rows: int) -> Check:
    return Check(
        rule="rows",
        verdict=Verdict.INCONCLUSIVE,
        observed=f"{rows:,} labelled rows",
        allowed=f"at least {policy.min_rows:,}",
        value=float(rows),
        limit=float(policy.min_rows),
    )


def _check(gate: MetricGate, measured: Mapping[GateMetric, MetricEstimate]) -> Check:
    found, rule = measured[gate.metric], f"{KPI}{gate.metric}"
    bound = gate.minimum if gate.minimum is not None else gate.maximum
    allowed = f"{'at least' if gate.minimum is not None else 'at most'} {bound:g}"
    if found.value is None or found.low is None or found.high is None:
        return Check(rule, Verdict.INCONCLUSIVE, "not defined on these rows", allowed, limit=bound)
    kept = (gate.minimum is None or found.value >= gate.minimum) and (
        gate.maximum is None or found.value <= gate.maximum
    )
    return Check(
        rule=rule,
        verdict=Verdict.PASSED if kept else Verdict.FAILED,
        observed=plain(found.value, bound),
        allowed=allowed,
        value=found.value,
        limit=bound,
        interval=(found.low, found.high),
    )


def _summary(checks: Sequence[Check], verdict: Verdict, rows: int) -> str:
    decisive = [c for c in checks if c.severity is Severity.CRITICAL]
    if verdict is Verdict.PASSED:
        told = ", ".join(f"{c.rule} {c.observed}" for c in decisive if c.rule.startswith(KPI))
        return f"all {len(decisive)} checks passed on {rows:,} held-out rows: {told}"
    bad = [c for c in decisive if c.verdict is verdict]
    told = "; ".join(_told(c) for c in bad)
    return f"{len(bad)} of {len(decisive)} checks {verdict} on {rows:,} held-out rows: {told}"


def _told(check: Check) -> str:
    """`kpi:precision 0.79 < 0.80` of a KPI that is not reached."""
    is_kpi = check.rule.startswith(KPI) and check.value is not None and check.limit is not None
    if is_kpi and check.value is not None and check.limit is not None:
        sign = "<" if check.value < check.limit else ">"
        return f"{check.rule} {check.observed} {sign} {plain(check.limit)}"
    return f"{check.rule} {check.observed}, allowed {check.allowed}"
