"""What each row counts while it is learned from."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.snapshots import NOTHING_CHANGED


def row_weights(
    of_classes: Literal["balanced"] | Mapping[str, float] | None,
    labels: NDArray[Any],
    meanings: Mapping[str, Any],
    of_rows: NDArray[np.float64] | None,
) -> NDArray[np.float64] | None:
    """The weight of each row: of its label times its own.

    Args:
        of_classes: `balanced`: n / (k n_c) for a label c that n_c of the n rows have, of k labels;
            or by value of the label column, 1 for what is not named.
        labels: Shape (n,).
        meanings: What a value of the label column is among `labels`.
        of_rows: Shape (n,), from 0; None where all count the same.

    Returns:
        Shape (n,); None where every row counts the same.

    Raises:
        ConfigInvalid: A weight is stated for a value that no row has.

    Source: King and Zeng, Logistic Regression in Rare Events Data (2001), for `balanced`.
    """
    if of_classes is None:
        return of_rows
    if of_classes == "balanced":
        kinds, numbers, counts = np.unique(labels, return_inverse=True, return_counts=True)
        weights = (len(labels) / (len(kinds) * counts))[numbers]
    else:
        weights = np.ones(len(labels))
        for value, weight in of_classes.items():
            if value not in meanings:
                raise _unknown(value, meanings)
            weights[labels == meanings[value]] = weight
    return weights if of_rows is None else weights * of_rows


def _unknown(value: str, meanings: Mapping[str, Any]) -> ConfigInvalid:
    return ConfigInvalid(
        f"training.class_weight names {value!r}, which is no label; there are "
        f"{', '.join(map(repr, meanings))}.",
        still_safe=NOTHING_CHANGED,
        next_step="Correct `training.class_weight` in the model's YAML and trigger the training "
        "again.",
    )
