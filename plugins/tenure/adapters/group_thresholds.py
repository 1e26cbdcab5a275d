"""A classifier that decides each group at a threshold of its own, as one that skops can save.

Loading it imports scikit-learn.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin


class GroupThresholdClassifier(ClassifierMixin, BaseEstimator):
    """Moves the log-odds of a fitted classifier by group, so that one threshold decides them all.

    It keeps the order of the scores within a group. A group that it does not know is not moved.

    Args:
        estimator: Fitted.
        columns: Features that state the group.
        groups: Their values, one list a group.
        shifts: What is added to the log-odds of each group.
    """

    def __init__(
        self,
        estimator: Any,
        columns: Sequence[str],
        groups: Sequence[Sequence[str | None]],
        shifts: Sequence[float],
    ) -> None:
        self.estimator = estimator
        self.columns = columns
        self.groups = groups
        self.shifts = shifts

    @property
    def classes_(self) -> NDArray[Any]:
        """Those of the estimator."""
        return np.asarray(self.estimator.classes_)

    def predict_proba(self, frame: Any) -> NDArray[np.float64]:
        """Moved probabilities, shape (n, 2)."""
        scores = np.asarray(self.estimator.predict_proba(frame)[:, 1], dtype=np.float64)
        moves = {tuple(group): move for group, move in zip(self.groups, self.shifts, strict=True)}
        columns = [_texts(frame[name]) for name in self.columns]
        shift = np.array([moves.get(group, 0.0) for group in zip(*columns, strict=True)])
        with np.errstate(divide="ignore", over="ignore"):
            odds = np.log(scores) - np.log1p(-scores) + shift
            moved = np.where(shift == 0.0, scores, 1 / (1 + np.exp(-odds)))
        return np.column_stack([1 - moved, moved])

    def predict(self, frame: Any) -> NDArray[Any]:
        """The likelier class of each row."""
        return self.classes_[(self.predict_proba(frame)[:, 1] >= 0.5).astype(np.int64)]


def _texts(column: Any) -> list[str | None]:
    """Missing values as None, whatever the frame has for them."""
    return [value if isinstance(value, str) else None for value in column]
