"""Is the version better than nothing, and no worse than the champion: paired, on the same rows."""

import numpy as np

from tenure.lifecycle.training.evaluation.gate import Appraisal, MetricEstimate, plain
from tenure.lifecycle.training.evaluation.metrics import Bools
from tenure.lifecycle.training.evaluation.paired import (
    MIN_OF_A_CLASS,
    PairedDifference,
    Scored,
    fewest_of_a_class,
    paired_difference,
)
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy, GateMetric
from tenure.verdicts import Check, Verdict

NO_ROI = "no_measurable_roi"
"""Reason code of a version that is not measurably better than doing without it."""
CHAMPION = "champion"
_COMPARABLE = frozenset({"roc_auc", "brier", "log_loss", "accuracy", "wrong_label_rate"})
"""Metrics that tell a model from one that gives everybody the same answer."""


def judge_uplift(
    policy: EvaluationPolicy,
    labels: Bools,
    version: Scored,
    *,
    base_rate: float,
    rule_score: float | None,
) -> Appraisal:
    """Whether it is measurably better than the base rate, and than the declared rule.

    By cost where costs are declared: then always yes and always no stand for the base rate.

    Args:
        policy: `min_uplift` decides; without one the numbers only stand in the report.
        labels: Of the holdout, shape (n,).
        version: Its scores of these rows.
        base_rate: Share of the positive among the rows that it learned from.
        rule_score: What the declared rule answers everybody; None where there is none.
    """
    metric = _uplift_metric(policy)
    constants: dict[str, float | None] = {"base rate": base_rate}
    if policy.costs is not None:  # then the base rate decides as one of these
        constants = {"always no": 0.0, "always yes": 1.0}
    constants |= {"declared rule": rule_score}
    found: dict[str, PairedDifference] = {}
    for name, score in constants.items():
        if score is not None:
            threshold = 0.5 if name.startswith("always") else version.threshold
            everybody = Scored(np.full(len(labels), score), threshold)
            one = paired_difference(metric, labels, version, everybody, policy.costs)
            found |= {name: one} if one is not None else {}
    facts = {"uplift": {name: one.facts() for name, one in found.items()}}
    if policy.min_uplift is None or len(labels) < policy.min_rows:
        return Appraisal(facts=facts)
    checks = [uplift_check(policy.min_uplift, name, one) for name, one in found.items()]
    if not found:
        checks = [undecided(NO_ROI, f"{metric} is not defined on these rows")]
    return Appraisal(tuple(checks), facts)


def _uplift_metric(policy: EvaluationPolicy) -> GateMetric:
    first = policy.gates[0].metric
    if policy.costs is not None:
        return "expected_cost"
    return first if first in _COMPARABLE else "brier"


def uplift_check(least: float, name: str, found: PairedDifference) -> Check:
    """Whether the version is better than a constant answer by more than the least."""
    low, high = found.better.low, found.better.high
    if low is None or high is None:
        verdict = Verdict.INCONCLUSIVE
    elif low > least:
        verdict = Verdict.PASSED
    else:
        verdict = Verdict.FAILED if high <= least else Verdict.INCONCLUSIVE
    passed = verdict is Verdict.PASSED
    return Check(
        rule="uplift" if passed else NO_ROI,
        verdict=verdict,
        observed=f"{found.metric} better by {_with_interval(found.better)} than the {name}",
        allowed=f"measurably more than {least:g}",
        subject=name,
        value=found.better.value,
        limit=least,
        interval=None if low is None or high is None else (low, high),
    )


def judge_champion(
    policy: EvaluationPolicy,
    labels: Bools,
    challenger: Scored,
    champion: Scored,
    *,
    name: str,
    excluded: int,
) -> Appraisal:
    """Whether the challenger is no worse than the champion, by more than the margin.

    Passed: the whole interval of the paired difference lies above minus the margin. Failed: it lies
    below. Else inconclusive: a difference that may be luck promotes nobody.

    Args:
        policy: The metric is that of its first gate; without a `champion_margin` the numbers only
            stand in the report.
        labels: Of the holdout, without rows that the champion may have learned from, shape (n,).
        challenger: Its scores of these rows.
        champion: Its scores of the same rows.
        name: The champion's, `model@version`.
        excluded: Rows of the holdout that the champion may have learned from.
    """
    wanted: list[GateMetric] = [policy.gates[0].metric, "roc_auc", "brier"]
    wanted += ["expected_cost"] if policy.costs is not None else []
    found = {
        metric: one
        for metric in dict.fromkeys(wanted)
        if (one := paired_difference(metric, labels, challenger, champion, policy.costs))
    }
    facts = champion_facts(name, len(labels), excluded) | {
        "differences": [one.facts() for one in found.values()],
        "margin": policy.champion_margin,
    }
    appraised = Appraisal(facts={CHAMPION: facts})
    if policy.champion_margin is None:
        return appraised
    too_few = _too_few(policy, labels, excluded)
    decisive = found.get(policy.gates[0].metric)
    if too_few or decisive is None:
        why = too_few or f"{policy.gates[0].metric} is not defined on these rows"
        return Appraisal((undecided(CHAMPION, f"{name}: {why}"),), appraised.facts)
    return Appraisal((champion_check(policy.champion_margin, name, decisive),), appraised.facts)


def incomparable(policy: EvaluationPolicy, name: str, why: str) -> Appraisal:
    """There is a champion, and it cannot score these rows."""
    facts: dict[str, object] = {CHAMPION: {"name": name, "rows": 0, "why": why}}
    if policy.champion_margin is None:
        return Appraisal(facts=facts)
    return Appraisal((undecided(CHAMPION, f"{name} {why}"),), facts)


def without_champion(model: str) -> Appraisal:
    """No version serves yet."""
    why = f"no version of {model} serves: there is nothing to compare with"
    return Appraisal(facts={CHAMPION: {"name": None, "rows": 0, "why": why}})


def champion_facts(name: str, rows: int, excluded: int) -> dict[str, object]:
    """Who it was compared with, and on how many rows."""
    return {"name": name, "rows": rows, "rows_it_may_have_learned_from": excluded}


def _too_few(policy: EvaluationPolicy, labels: Bools, excluded: int) -> str:
    without = f" without {excluded:,} that it may have learned from" if excluded else ""
    if len(labels) < policy.min_rows:
        return f"{len(labels):,} rows to compare on{without}; {policy.min_rows:,} are needed"
    fewest = fewest_of_a_class(labels)
    if fewest < MIN_OF_A_CLASS:
        return f"{fewest} rows of the rarer class{without}; {MIN_OF_A_CLASS} are needed"
    return ""


def champion_check(margin: float, name: str, found: PairedDifference) -> Check:
    """Whether the challenger is surely no worse by the margin; its interval is defined."""
    low, high = found.better.low, found.better.high
    assert low is not None
    assert high is not None
    verdict = Verdict.PASSED if low > -margin else Verdict.INCONCLUSIVE
    if high < -margin:
        verdict = Verdict.FAILED
    return Check(
        rule=CHAMPION,
        verdict=verdict,
        observed=f"{found.metric} {plain(found.value)} and {plain(found.other)} of {name} on the "
        f"same rows: better by {_with_interval(found.better)}",
        allowed=f"surely no worse by {margin:g}",
        subject=name,
        value=found.better.value,
        limit=-margin,
        interval=(low, high),
    )


def undecided(rule: str, why: str) -> Check:
    """The check of a comparison that could not be made."""
    return Check(rule, Verdict.INCONCLUSIVE, why, "a comparison on the same rows")


def _with_interval(found: MetricEstimate) -> str:
    assert found.value is not None
    if found.low is None or found.high is None:
        return f"{found.value:.4f}"
    return f"{found.value:.4f} [{found.low:.4f}, {found.high:.4f}]"
