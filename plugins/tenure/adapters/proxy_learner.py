"""Learns which group a row belongs to from all its features at once, to see what they give away."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


def learn_groups(features: Numbers, groups: Numbers, folds: Numbers) -> NDArray[np.float64]:
    """Scores of each row for each group, by trees that did not see the fold of the row.

    Args:
        features: Numbers of bins and values, shape (n, features).
        groups: From 0 on, shape (n,).
        folds: From 0 on, shape (n,).

    Returns:
        Shape (n, groups); 0 for groups that the other folds do not have.
    """
    scores = np.zeros((len(groups), int(groups.max()) + 1))
    for fold in np.unique(folds):
        taught, asked = folds != fold, folds == fold
        known = np.unique(groups[taught])
        if len(known) == 1:
            scores[asked, known[0]] = 1.0
            continue
        made = _trees().fit(features[taught].astype(np.float64), groups[taught])
        scores[np.ix_(asked, made.classes_)] = made.predict_proba(features[asked])
    return scores


def _trees() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=8, early_stopping=False, random_state=0
    )
