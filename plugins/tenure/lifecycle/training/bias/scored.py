"""Rows of a file that are to be audited: which columns mean what, and how many rows are alike."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tenure.ports import ErrorSums


@dataclass(frozen=True)
class AuditColumns:
    """Which columns of a file mean what.

    Args:
        label: The truth.
        protected: Attributes whose groups are compared.
        prediction: What was decided; None where a score and its threshold say so.
        score: A probability of the positive label, 0…1.
        threshold: A score from here on is positive.
        edges: Where the bands of a numeric attribute begin.
        numbers: Whether label and prediction are numbers of a regression.
    """

    label: str
    protected: tuple[str, ...]
    prediction: str | None = None
    score: str | None = None
    threshold: float = math.nan
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    numbers: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """All of them, as they were asked for."""
        given = (self.label, self.prediction, self.score, *self.protected)
        return tuple(name for name in given if name is not None)


@dataclass(frozen=True)
class ErrorCell:
    """Rows of one group, with sums of their errors.

    Args:
        group: As in `ScoredCell`.
        without_label: Rows that have none; they are in no sum.
        without_prediction: Rows with a label that have none.
        sums: Of the others.
    """

    group: tuple[str | None, ...]
    without_label: int
    without_prediction: int
    sums: ErrorSums


@dataclass(frozen=True)
class ScoredCell:
    """Rows that are alike.

    Args:
        group: Value of each attribute, as `spell` writes it; of one with edges the edge below.
        label: As `spell` writes it; None where it is missing.
        decision: The prediction, as `spell` writes it, or whether the score reaches the threshold;
            None where it is missing.
        rows: How many.
        score: Sums of the score and of its square; zero without one.
    """

    group: tuple[str | None, ...]
    label: str | None
    decision: str | bool | None
    rows: int
    score: tuple[float, float]
