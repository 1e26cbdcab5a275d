"""Sets of classes that hold the true one in a stated share of the rows, judged on the holdout.

Source: Sadinle, Lei and Wasserman, Least Ambiguous Set-Valued Classifiers, JASA 114 (2019).
"""

from collections.abc import Iterator

import numpy as np

from tenure.lifecycle.training.evaluation.classes import ClassScores
from tenure.lifecycle.training.evaluation.conformal import coverage_check
from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, Appraisal
from tenure.lifecycle.training.evaluation.metrics import Bools, wilson
from tenure.lifecycle.training.evaluation.policy import ConformalPolicy


def class_sets(scored: ClassScores, least: float) -> Bools:
    """Whether each class is in the set of each row, shape (n, classes).

    A class that the model does not know is in no set, whatever the least probability is.
    """
    sets: Bools = scored.probabilities >= least
    sets[:, scored.known :] = False
    return sets


def judge_class_sets(
    policy: ConformalPolicy, scored: ClassScores, *, least: float, min_rows: int
) -> Appraisal:
    """Whether the sets hold the true class as often as they promise.

    How often they hold each class stands in the report and decides nothing: the promise is of all
    rows together.

    Args:
        policy: What is promised.
        scored: The holdout.
        least: The version's probability from which on a class is in the set.
        min_rows: Rows below which nothing is judged.
    """
    sets, rows = class_sets(scored, least), len(scored.labels)
    held, size = sets[np.arange(rows), scored.labels], sets.sum(axis=1)
    covered, alone = int(held.sum()), size == 1
    facts = {
        "coverage": policy.coverage,
        "least_probability": least,
        "rows": rows,
        "covered": covered / rows if rows else None,
        "interval": list(wilson(covered, rows, CONFIDENCE)),
        "mean_size": float(size.mean()) if rows else None,
        "sizes": {str(n): int((size == n).sum()) for n in range(scored.known + 1)},
        "covered_of_one_label": float(held[alone].mean()) if alone.any() else None,
        "classes": list(_of_each(scored, sets, held)),
    }
    check = coverage_check(policy, covered, rows, "sets hold the true class", min_rows=min_rows)
    return Appraisal((check,), {"conformal": facts})


def _of_each(scored: ClassScores, sets: Bools, held: Bools) -> Iterator[dict[str, object]]:
    """Rows of each class, how many of their sets hold it, and how many sets of all rows do."""
    for place, name in enumerate(scored.names):
        of_it = scored.labels == place
        rows, covered = int(of_it.sum()), int(held[of_it].sum())
        yield {
            "class": name,
            "rows": rows,
            "covered": covered / rows if rows else None,
            "interval": list(wilson(covered, rows, CONFIDENCE)) if rows else None,
            "mean_size": float(sets[of_it].sum(axis=1).mean()) if rows else None,
            "in_sets": int(sets[:, place].sum()),
        }
