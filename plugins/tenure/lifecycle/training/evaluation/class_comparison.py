"""Are answers of several classes better than one for everybody, no worse than the champion's?

Paired, on the same rows. Source of the intervals: influence functions, as in `paired`; a mean of
recalls is a mean of ratios, and so is a mean of F1 = 2 right / (true + answered).
"""

from collections.abc import Mapping

import numpy as np

from tenure.lifecycle.training.evaluation.class_costs import class_losses
from tenure.lifecycle.training.evaluation.classes import ClassScores, Codes
from tenure.lifecycle.training.evaluation.comparison import (
    CHAMPION,
    NO_ROI,
    champion_check,
    champion_facts,
    undecided,
    uplift_check,
)
from tenure.lifecycle.training.evaluation.gate import Appraisal, MetricEstimate
from tenure.lifecycle.training.evaluation.metrics import Floats, Z
from tenure.lifecycle.training.evaluation.paired import PairedDifference, calibration_influence
from tenure.lifecycle.training.evaluation.policy import (
    ClassErrorCosts,
    EvaluationPolicy,
    GateMetric,
)

_LOWER = frozenset({"log_loss", "wrong_label_rate", "brier", "ece", "expected_cost"})


def paired_classes(
    metric: GateMetric,
    one: ClassScores,
    other: ClassScores,
    costs: ClassErrorCosts | None = None,
) -> PairedDifference | None:
    """How much better `one` is than `other`; both are of the same rows and list of classes.

    Args:
        metric: `expected_cost` needs `costs`.
        one: Answers to the rows.
        other: Others.
        costs: Of wrong answers.

    Returns:
        None without rows. Its interval is None below two rows.
    """
    rows = len(one.labels)
    if not rows:
        return None
    (value, mine), (other_value, theirs) = (
        _influence(metric, scored, costs) for scored in (one, other)
    )
    sign = -1.0 if metric in _LOWER else 1.0
    better = sign * (value - other_value)
    estimate = MetricEstimate(better)
    if rows > 1:
        half = float(Z * (mine - theirs).std(ddof=1) / np.sqrt(rows))
        estimate = MetricEstimate(better, better - half, better + half)
    return PairedDifference(metric, value, other_value, estimate)


def judge_class_uplift(
    policy: EvaluationPolicy, version: ClassScores, constants: Mapping[str, ClassScores]
) -> Appraisal:
    """Whether it is measurably better than what always answers the same.

    Args:
        policy: Where there are `class_costs` the expected cost is the metric, else its first KPI,
            instead of `ece`, by which an answer that is the same for everybody can be perfect,
            `brier`; `min_uplift` decides, and without one the numbers
            only stand in the report.
        version: Its answers of the holdout.
        constants: The same rows as each trivial model answers them, by its name.
    """
    first, costs = policy.gates[0].metric, policy.class_costs
    metric: GateMetric = "brier" if first == "ece" else first
    metric = metric if costs is None else "expected_cost"
    pairs = {name: paired_classes(metric, version, one, costs) for name, one in constants.items()}
    found = {name: one for name, one in pairs.items() if one is not None}
    facts = {"uplift": {name: one.facts() for name, one in found.items()}}
    if policy.min_uplift is None or len(version.labels) < policy.min_rows:
        return Appraisal(facts=facts)
    checks = [uplift_check(policy.min_uplift, name, one) for name, one in found.items()]
    return Appraisal(tuple(checks or [undecided(NO_ROI, "there is no row")]), facts)


def judge_class_champion(
    policy: EvaluationPolicy,
    challenger: ClassScores,
    champion: ClassScores,
    *,
    name: str,
    excluded: int,
) -> Appraisal:
    """Whether the challenger is no worse than the champion, by more than the margin.

    Args:
        policy: The metric is that of its first gate; without a `champion_margin` the numbers only
            stand in the report.
        challenger: Its answers of the holdout without rows that the champion may have learned
            from.
        champion: The champion's of the same rows.
        name: The champion's, `model@version`.
        excluded: Rows of the holdout that the champion may have learned from.
    """
    rows, costs = len(challenger.labels), policy.class_costs
    wanted: list[GateMetric] = [policy.gates[0].metric, "accuracy", "log_loss"]
    wanted += [] if costs is None else ["expected_cost"]
    pairs = [paired_classes(one, challenger, champion, costs) for one in dict.fromkeys(wanted)]
    found = [one for one in pairs if one is not None]
    facts: dict[str, object] = {
        CHAMPION: champion_facts(name, rows, excluded)
        | {"differences": [one.facts() for one in found], "margin": policy.champion_margin}
    }
    if policy.champion_margin is None:
        return Appraisal(facts=facts)
    if not found or found[0].better.low is None or rows < policy.min_rows:
        without = f" without {excluded:,} that it may have learned from" if excluded else ""
        why = f"{name}: {rows:,} rows to compare on{without}; {policy.min_rows:,} are needed"
        return Appraisal((undecided(CHAMPION, why),), facts)
    return Appraisal((champion_check(policy.champion_margin, name, found[0]),), facts)


def _influence(
    metric: GateMetric, scored: ClassScores, costs: ClassErrorCosts | None
) -> tuple[float, Floats]:
    """The metric, and what each row adds to it to first order, shape (n,)."""
    if metric == "expected_cost" and costs is not None:
        return _mean(class_losses(scored, costs))
    if metric in ("log_loss", "brier"):
        of_row = scored.squared_distance if metric == "brier" else -np.log(scored.likelihood)
        return _mean(of_row)
    if metric == "ece":
        return calibration_influence(scored.confidence, scored.is_right)
    answers, labels = scored.answers, scored.labels
    right = (answers == labels).astype(np.float64)
    if metric == "balanced_accuracy":
        return _mean_of_ratios(scored, right, None)
    if metric == "macro_f1":
        return _mean_of_ratios(scored, right, answers)
    return _mean(1.0 - right if metric == "wrong_label_rate" else right)


def _mean(terms: Floats) -> tuple[float, Floats]:
    value = float(terms.mean())
    return value, terms - value


def _mean_of_ratios(
    scored: ClassScores, right: Floats, answers: Codes | None
) -> tuple[float, Floats]:
    """Of recalls; with answers of F1. A row adds (2) right - ratio * (what it adds below)."""
    labels, size = scored.labels, len(scored.names)
    n, times = len(labels), 1.0 if answers is None else 2.0
    below = np.bincount(labels, minlength=size).astype(np.float64)
    if answers is not None:
        below += np.bincount(answers, minlength=size)
    above = times * np.bincount(labels, right, minlength=size)
    occurs = (below > 0) & (np.arange(size) < scored.known)
    number = max(int(occurs.sum()), 1)
    ratio = np.divide(above, below, out=np.zeros(size), where=occurs)
    weight = np.divide(n, below, out=np.zeros(size), where=occurs) / number
    rows = (times * right - ratio[labels]) * weight[labels]
    if answers is not None:
        rows = rows - ratio[answers] * weight[answers]
    return float(ratio.sum() / number), rows
