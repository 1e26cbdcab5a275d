"""Whether ONNX Runtime says of the holdout what scikit-learn says; only then may it serve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.verdicts import Report, Verdict

STAGE = "onnx_parity"
MIN_ROWS = 100
"""Fewer rows of the holdout say too little about a model's decisions."""
_NATIVE = "the version is served by scikit-learn"

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Parity:
    """What the comparison of two scorings of one holdout found.

    Args:
        verdict: Passed only when no decision changes and every score is within the tolerance.
        rows: Rows of the holdout.
        largest_difference: Of two scores of a row; 1 where a score is not finite.
        rows_beyond: Rows whose scores differ by more than the tolerance.
        decisions_changed: Rows that are decided otherwise.
        tolerance: Allowed difference of two scores.
    """

    verdict: Verdict
    rows: int
    largest_difference: float
    rows_beyond: int
    decisions_changed: int
    tolerance: float

    def facts(self) -> dict[str, Any]:
        """As they stand in the version's facts and in the report."""
        return {
            "verdict": str(self.verdict),
            "rows": self.rows,
            "largest_difference": self.largest_difference,
            "rows_beyond": self.rows_beyond,
            "decisions_changed": self.decisions_changed,
            "tolerance": self.tolerance,
        }

    def sentence(self) -> str:
        """For a person who asks by what the version is served."""
        if self.verdict is Verdict.PASSED:
            return (
                f"ONNX agrees on {self.rows:,} holdout rows (largest difference "
                f"{self.largest_difference:.2g}, allowed {self.tolerance:g}; 0 decisions changed)"
            )
        return f"ONNX was converted but {self._why()}: {_NATIVE}"

    def _why(self) -> str:
        if self.decisions_changed:
            return f"changes {self.decisions_changed:,} of {self.rows:,} decisions"
        if self.rows_beyond:
            return (
                f"moves {self.rows_beyond:,} of {self.rows:,} scores by more than "
                f"{self.tolerance:g} (largest difference {self.largest_difference:.2g})"
            )
        return f"the holdout has {self.rows:,} rows, {MIN_ROWS} are needed"


def compare(
    native: Scores, by_onnx: Sequence[Scores], *, threshold: float, tolerance: float
) -> Parity:
    """Compare scorings of the same rows, each of them with scikit-learn's.

    Args:
        native: scikit-learn's scores, one a row.
        by_onnx: ONNX Runtime's scores; one array for each size of batch that was tried.
        threshold: A score that reaches it is a positive decision.
        tolerance: Allowed difference of two scores of a row.
    """
    apart, changed = np.zeros(len(native)), np.zeros(len(native), dtype=bool)
    for scores in by_onnx:
        apart = np.maximum(apart, differences(native, scores))
        changed |= (scores >= threshold) != (native >= threshold)
    beyond, flips = int((apart > tolerance).sum()), int(changed.sum())
    verdict = Verdict.FAILED if beyond or flips else Verdict.PASSED
    if verdict is Verdict.PASSED and (len(native) < MIN_ROWS or not by_onnx):
        verdict = Verdict.INCONCLUSIVE
    largest = float(apart.max(initial=0.0))
    return Parity(verdict, len(native), largest, beyond, flips, tolerance)


def differences(one: Scores, other: Scores) -> Scores:
    """Absolute difference of two scores of each row; 1, the most there is, where one is no number.

    >>> differences(np.array([0.5, 0.5]), np.array([0.25, np.nan])).tolist()
    [0.25, 1.0]
    """
    return np.where(np.isfinite(one) & np.isfinite(other), np.abs(one - other), 1.0)


def report(parity: Parity, *, subject: str, facts: Mapping[str, object]) -> Report:
    """The evidence of the comparison; `facts` are added to its numbers."""
    numbers = {**parity.facts(), **facts}
    return Report(STAGE, subject, parity.verdict, parity.sentence(), facts=numbers, enforced=True)


def unconvertible(why: str, *, subject: str) -> Report:
    """The evidence that there was nothing to compare."""
    summary = f"ONNX cannot stand in for it ({why}): {_NATIVE}"
    facts = {"why": why}
    return Report(STAGE, subject, Verdict.INCONCLUSIVE, summary, facts=facts, enforced=True)
