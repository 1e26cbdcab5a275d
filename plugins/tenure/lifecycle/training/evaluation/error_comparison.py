"""Is a regression better than a constant, and no worse than the champion: on the same rows."""

import numpy as np

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
from tenure.lifecycle.training.evaluation.paired import PairedDifference
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy


def paired_errors(outcomes: Floats, one: Floats, other: Floats) -> PairedDifference | None:
    """By how much the mean absolute error of `one` is smaller, with a paired interval.

    Args:
        outcomes: What came true, shape (n,).
        one: Predictions of these rows.
        other: Other predictions of the same rows.

    Returns:
        None without rows. The interval is the normal one of a mean of paired differences; None
        below two rows.
    """
    rows = len(outcomes)
    if not rows:
        return None
    mine, theirs = np.abs(one - outcomes), np.abs(other - outcomes)
    gain = theirs - mine
    better = float(gain.mean())
    estimate = MetricEstimate(better)
    if rows > 1:
        half = float(Z * gain.std(ddof=1) / np.sqrt(rows))
        estimate = MetricEstimate(better, better - half, better + half)
    return PairedDifference("mae", float(mine.mean()), float(theirs.mean()), estimate)


def judge_error_uplift(
    policy: EvaluationPolicy,
    outcomes: Floats,
    predictions: Floats,
    *,
    median: float,
    rule_score: float | None,
) -> Appraisal:
    """Whether it is measurably better than always the median, and than the declared rule.

    Args:
        policy: `min_uplift`, in the unit of the label, decides; without one the numbers only stand
            in the report.
        outcomes: Of the holdout, shape (n,).
        predictions: Of the version.
        median: Of the labels that it learned from.
        rule_score: What the declared rule answers everybody; None where there is none.
    """
    constants = {"training median": median, "declared rule": rule_score}
    found: dict[str, PairedDifference] = {}
    for name, value in constants.items():
        if value is not None:
            one = paired_errors(outcomes, predictions, np.full(len(outcomes), value))
            found |= {name: one} if one is not None else {}
    facts = {"uplift": {name: one.facts() for name, one in found.items()}}
    if policy.min_uplift is None or len(outcomes) < policy.min_rows:
        return Appraisal(facts=facts)
    checks = [uplift_check(policy.min_uplift, name, one) for name, one in found.items()]
    return Appraisal(tuple(checks or [undecided(NO_ROI, "there is no row")]), facts)


def judge_error_champion(
    policy: EvaluationPolicy,
    outcomes: Floats,
    challenger: Floats,
    champion: Floats,
    *,
    name: str,
    excluded: int,
) -> Appraisal:
    """Whether the challenger's mean absolute error is no larger than the champion's, by the margin.

    Args:
        policy: `champion_margin` is a share of the champion's mean absolute error; without one the
            numbers only stand in the report.
        outcomes: Of the holdout, without rows that the champion may have learned from, shape (n,).
        challenger: Its predictions of these rows.
        champion: Its predictions of the same rows.
        name: The champion's, `model@version`.
        excluded: Rows of the holdout that the champion may have learned from.
    """
    rows, found = len(outcomes), paired_errors(outcomes, challenger, champion)
    facts: dict[str, object] = {
        CHAMPION: champion_facts(name, rows, excluded)
        | {"differences": [found.facts()] if found else [], "margin": policy.champion_margin}
    }
    if policy.champion_margin is None:
        return Appraisal(facts=facts)
    if found is None or found.better.low is None or rows < policy.min_rows:
        without = f" without {excluded:,} that it may have learned from" if excluded else ""
        why = f"{name}: {rows:,} rows to compare on{without}; {policy.min_rows:,} are needed"
        return Appraisal((undecided(CHAMPION, why),), facts)
    margin = policy.champion_margin * found.other
    return Appraisal((champion_check(margin, name, found),), facts)
