"""Sets of labels that hold the true one in a stated share of the rows, whatever the model is like.

Split conformal prediction by the probability of the true label. Sources: Vovk, Gammerman and
Shafer, Algorithmic Learning in a Random World (2005); Sadinle, Lei and Wasserman, JASA 114 (2019).
"""

import math

import numpy as np

from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, Appraisal
from tenure.lifecycle.training.evaluation.metrics import Bools, Floats, wilson
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy
from tenure.verdicts import Check, Verdict


def least_probability(scores: Floats, labels: Bools, coverage: float) -> float:
    """The probability from which on a label belongs to a row's set, 0…1.

    Args:
        scores: Probabilities of the positive label on rows that the model did not learn from,
            shape (n,).
        labels: What came true, shape (n,).
        coverage: Share of new rows, like these ones, whose set shall hold the true label.

    Returns:
        The ceil((n + 1) coverage)-th largest probability of a true label; 0 where there are too few
        rows to leave anything out.

    >>> least_probability(np.array([0.9, 0.8, 0.3, 0.1]), np.array([True, True, False, False]), 0.5)
    0.8
    """
    return least_of(np.where(labels, scores, 1.0 - scores), coverage)


def least_of(likelihood: Floats, coverage: float) -> float:
    """As `least_probability`, where the probability of the true label of each row is known.

    Args:
        likelihood: These probabilities, shape (n,); 0 of a label that the model does not know.
        coverage: Share of new rows, like these ones, whose set shall hold the true label.
    """
    true = np.sort(likelihood)[::-1]
    place = math.ceil((len(true) + 1) * coverage - 1e-9)
    return float(true[place - 1]) if place <= len(true) else 0.0


def judge_sets(
    policy: ConformalPolicy, scores: Floats, labels: Bools, *, least: float, min_rows: int
) -> Appraisal:
    """Whether the sets hold the true label as often as they promise, on the holdout.

    Args:
        policy: What is promised.
        scores: Of the holdout, shape (n,).
        labels: What came true, shape (n,).
        least: The version's probability from which on a label is in the set.
        min_rows: Rows below which nothing is judged.
    """
    yes, no = scores >= least, 1.0 - scores >= least
    held, size = np.where(labels, yes, no), yes.astype(int) + no
    rows, covered = len(labels), int(held.sum())
    interval = wilson(covered, rows, CONFIDENCE)
    alone = size == 1
    facts = {
        "coverage": policy.coverage,
        "least_probability": least,
        "rows": rows,
        "covered": covered / rows if rows else None,
        "interval": list(interval),
        "sizes": {str(n): int((size == n).sum()) for n in (0, 1, 2)},
        "covered_of_one_label": float(held[alone].mean()) if alone.any() else None,
    }
    check = coverage_check(policy, covered, rows, "sets hold the true label", min_rows=min_rows)
    return Appraisal((check,), {"conformal": facts})


def coverage_check(
    policy: ConformalPolicy,
    covered: int,
    rows: int,
    what: str,
    *,
    min_rows: int,
    rule: str = "coverage",
    confidence: float = CONFIDENCE,
) -> Check:
    """Whether sets or intervals cover what they promise.

    Passed within the tolerance; failed when the whole interval of the coverage lies beyond it;
    else, and with fewer than `min_rows` rows, inconclusive.

    Args:
        policy: What is promised.
        covered: Rows that are covered.
        rows: Of how many.
        what: For people: `sets hold the true label`.
        min_rows: Rows below which nothing is judged.
        rule: Name of the check.
        confidence: Of the interval of the coverage.
    """
    interval = wilson(covered, rows, confidence)
    low, high = policy.coverage - policy.tolerance, policy.coverage + policy.tolerance
    verdict = Verdict.INCONCLUSIVE
    if rows >= max(min_rows, 1):
        if low - _ROUNDING <= covered / rows <= high + _ROUNDING:
            verdict = Verdict.PASSED
        elif interval[1] < low or interval[0] > high:
            verdict = Verdict.FAILED
    return Check(
        rule=rule,
        verdict=verdict,
        observed=f"{covered:,} of {rows:,} {what} "
        f"({covered / max(rows, 1):.1%} [{interval[0]:.1%}, {interval[1]:.1%}])",
        allowed=f"{low:.1%} to {high:.1%}",
        value=covered / rows if rows else None,
        counts=(covered, rows),
        interval=interval,
    )


_ROUNDING = 1e-12
