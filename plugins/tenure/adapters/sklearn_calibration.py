"""Makes a fitted classifier's scores probabilities, by scikit-learn, without fitting it again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.policy import Calibration


def calibrate(estimator: Any, frame: Any, labels: NDArray[np.bool_], *, method: Calibration) -> Any:
    """The estimator inside a map from its scores to shares of positive labels.

    Args:
        estimator: Fitted; it stays as it is.
        frame: Features of rows that it did not learn from, shape (n, features).
        labels: Of these rows, shape (n,); at least five of each class.
        method: `isotonic` or `sigmoid`.

    Sources: Platt (1999) for sigmoid; Zadrozny and Elkan, KDD 2002, for isotonic.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    return CalibratedClassifierCV(FrozenEstimator(estimator), method=method).fit(frame, labels)
