"""Turns rows of a request into the frame that an estimator reads, and asks it for scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tenure.lifecycle.serving import Score, Value


def scorer(estimator: Any, *, numeric: Sequence[str], categorical: Sequence[str]) -> Score:
    """A function from rows (numeric features, then categorical ones) to scores.

    Numbers become float64 with NaN for null, texts stay objects with None for null.
    """
    width = len(numeric)
    names = [*numeric, *categorical]

    def score(rows: Sequence[Sequence[Value]]) -> list[float]:
        columns = list(zip(*rows, strict=True))
        data: dict[str, np.ndarray] = {}
        for position, name in enumerate(names):
            if position < width:
                data[name] = np.array(columns[position], dtype=np.float64)
            else:
                data[name] = _texts(columns[position])
        frame = pd.DataFrame(data, columns=names, copy=False)
        scores: list[float] = np.asarray(estimator.predict_proba(frame))[:, 1].tolist()
        return scores

    return score


def _texts(values: Sequence[Value]) -> np.ndarray:
    texts = np.empty(len(values), dtype=object)
    texts[:] = values
    return texts
