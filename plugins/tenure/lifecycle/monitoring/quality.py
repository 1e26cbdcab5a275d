"""Whether the decisions' features are still the kind of data that the model was trained on."""

from collections.abc import Mapping
from typing import Any

from tenure.lifecycle.monitoring.policy import MonitoringPolicy
from tenure.lifecycle.training.evaluation.metrics import wilson
from tenure.ports import FeatureCounts
from tenure.verdicts import Check, Report, Verdict, worst


def judge_quality(
    reference: FeatureCounts,
    current: FeatureCounts,
    policy: MonitoringPolicy,
    *,
    categories: Mapping[str, list[str]],
    subject: str,
    facts: Mapping[str, Any],
) -> Report:
    """Nulls and never seen values of each feature, with intervals.

    Args:
        reference: Counts of the training reference.
        current: Counts of the window; numeric bins begin and end with what lies outside.
        policy: Limits.
        categories: Values that training saw; a column that is absent takes the reference's.
        subject: What is judged.
        facts: Goes into the report.
    """
    checks = [_nulls(name, reference, current, policy) for name in current.nulls if name != "score"]
    checks += [
        _outside(name, bins[0] + bins[-1], sum(bins), "outside the range of training", policy)
        for name, bins in current.bins.items()
        if name != "score"
    ]
    for name, counts in current.categories.items():
        known = set(categories.get(name) or reference.categories[name])
        unseen = sum(n for value, n in counts.items() if value not in known)
        checks.append(
            _outside(
                name, unseen, sum(counts.values()), "of categories unknown to training", policy
            )
        )
    checks.sort(key=lambda c: (c.verdict is Verdict.PASSED, -(c.interval or (0.0, 0.0))[0]))
    bad = [c for c in checks if c.verdict is Verdict.FAILED]
    verdict = worst(c.verdict for c in checks)
    first = checks[0]
    summary = (
        f"Data quality {verdict}: {len(bad)} of {len(checks)} checks broken; "
        f"furthest {first.subject}: {first.observed} ({first.allowed})."
    )
    return Report(
        "monitoring", subject, verdict, summary, tuple(checks), dict(facts), enforced=False
    )


def _nulls(
    name: str, reference: FeatureCounts, current: FeatureCounts, policy: MonitoringPolicy
) -> Check:
    usual = reference.nulls[name] / max(reference.rows, 1)
    share = current.nulls[name] / max(current.rows, 1)
    allowed = min(usual + policy.max_null_increase, 1.0)
    interval = wilson(current.nulls[name], current.rows, policy.confidence)
    return Check(
        rule="nulls",
        verdict=Verdict.FAILED if interval[0] > allowed else Verdict.PASSED,
        observed=f"{share:.1%} nulls (reference {usual:.1%})",
        allowed=f"at most {allowed:.1%}",
        subject=name,
        columns=(name,),
        value=share,
        limit=allowed,
        counts=(current.nulls[name], current.rows),
        interval=interval,
    )


def _outside(name: str, count: int, known: int, what: str, policy: MonitoringPolicy) -> Check:
    interval, share = wilson(count, known, policy.confidence), count / max(known, 1)
    return Check(
        rule="never seen in training",
        verdict=Verdict.FAILED if interval[0] > policy.max_outside else Verdict.PASSED,
        observed=f"{share:.1%} {what}",
        allowed=f"at most {policy.max_outside:.1%}",
        subject=name,
        columns=(name,),
        value=share,
        limit=policy.max_outside,
        counts=(count, known),
        interval=interval,
    )
