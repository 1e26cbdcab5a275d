"""What a mitigation changed and what it costs: two models on the same held-out rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenure.lifecycle.training.bias.cells import Bools
from tenure.lifecycle.training.evaluation.costs import PER_DECISIONS
from tenure.lifecycle.training.evaluation.paired import PairedDifference, Scored, paired_difference
from tenure.lifecycle.training.evaluation.policy import DecisionCosts, GateMetric
from tenure.verdicts import Check, Report, Severity

COMPARED: tuple[GateMetric, ...] = ("accuracy", "roc_auc", "brier", "expected_cost")
"""Metrics that are stated of both."""
_JUDGED_FACTS = ("metric", "by", "worst", "best", "difference", "ratio", "rule", "limit", "verdict")


@dataclass(frozen=True)
class TradeOff:
    """Two models side by side.

    Args:
        facts: `before` and `after`, each with `verdict`, `overall` rates and the judged
            `comparisons`; `costs`, how much better (or, negative, worse) each metric is with the
            mitigation, paired by row with its interval.
        checks: The judged gaps of the model without it, for information.
        summary: For people.
    """

    facts: Mapping[str, object]
    checks: tuple[Check, ...]
    summary: str


def compare_mitigated(
    labels: Bools,
    after: Scored,
    before: Scored,
    *,
    after_audit: Report,
    before_audit: Report,
    costs: DecisionCosts | None,
) -> TradeOff:
    """The version beside the same training without its mitigation.

    Args:
        labels: Of the holdout, shape (n,).
        after: The version's scores.
        before: Those of the other.
        after_audit: The version's audit.
        before_audit: That of the other, by the same policy.
        costs: Of the two kinds of error; None: no money is stated.
    """
    found = [paired_difference(name, labels, after, before, costs) for name in COMPARED]
    paired = [one for one in found if one is not None]
    return TradeOff(
        facts={
            "before": _side(before_audit, before),
            "after": _side(after_audit, after),
            "costs": [_paired(one) for one in paired],
        },
        checks=tuple(_shown(before_audit)),
        summary=_summary(before_audit, after_audit, paired),
    )


def _side(audit: Report, scored: Scored) -> dict[str, object]:
    return {
        "verdict": str(audit.verdict),
        "threshold": scored.threshold,
        "overall": audit.facts["overall"],
        "comparisons": [{key: one[key] for key in _JUDGED_FACTS} for one in _judged(audit)],
    }


def _judged(audit: Report) -> list[Mapping[str, Any]]:
    compared: Any = audit.facts["comparisons"]
    return [one for one in compared if one["rule"] is not None]


def _paired(one: PairedDifference) -> dict[str, object]:
    stated = one.facts()
    return {
        "metric": one.metric,
        "before": one.other,
        "after": one.value,
        "better_by": stated["better_by"],
        "interval": stated["interval"],
    }


def _shown(audit: Report) -> Iterator[Check]:
    """The gaps that were judged, as those of the model that is not served."""
    for check in audit.checks:
        if check.limit is not None and check.interval is not None:
            yield replace(check, rule=f"unmitigated {check.rule}", severity=Severity.INFO)


def _summary(before: Report, after: Report, paired: list[PairedDifference]) -> str:
    said = [_gap(before, after)]
    for one in paired:
        if one.metric == "accuracy":
            said.append(f"accuracy {one.other:.4f} before and {one.value:.4f} after")
        if one.metric == "expected_cost":
            was, now = (PER_DECISIONS * cost for cost in (one.other, one.value))
            said.append(f"{PER_DECISIONS:,} decisions cost {was:,.1f} before and {now:,.1f} after")
    return ", ".join(said)


def _gap(before: Report, after: Report) -> str:
    """The gap that was worst before, and the same one after."""
    pairs = [
        (one, other)
        for one, other in zip(_judged(before), _judged(after), strict=True)
        if _size(one) is not None and _size(other) is not None
    ]
    if not pairs:
        return f"{before.verdict} before and {after.verdict} after"
    one, other = max(pairs, key=lambda pair: _size(pair[0]) or 0.0)
    kind = "ratio" if one["rule"] == "min_ratio" else "difference"
    return (
        f"{' & '.join(one['by'])} {one['metric']} {kind} {one[kind]:.4f} before and "
        f"{other[kind]:.4f} after"
    )


def _size(one: Mapping[str, Any]) -> float | None:
    """How bad a gap is: the difference, or what a ratio lacks to 1."""
    if one["rule"] == "min_ratio":
        return None if one["ratio"] is None else 1.0 - float(one["ratio"])
    return None if one["difference"] is None else float(one["difference"])
