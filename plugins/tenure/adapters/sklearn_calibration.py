"""Makes a fitted classifier's scores probabilities, by scikit-learn, without fitting it again."""

from typing import Any

from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.policy import Calibration


def calibrate(estimator: Any, frame: Any, labels: NDArray[Any], *, method: Calibration) -> Any:
    """The estimator inside a map from its scores to shares of positive labels.

    Of several classes there is a map for each against the rest, and what they give is divided by
    its sum.

    Args:
        estimator: Fitted; it stays as it is.
        frame: Features of rows that it did not learn from, shape (n, features).
        labels: Of these rows, booleans or classes (texts) of shape (n,); at least five of each
            class that the estimator knows, and none of another.
        method: `isotonic` or `sigmoid`.

    Sources: Platt (1999) for sigmoid; Zadrozny and Elkan, KDD 2002, for isotonic.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    return CalibratedClassifierCV(FrozenEstimator(estimator), method=method).fit(frame, labels)
