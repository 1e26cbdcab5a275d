"""Whether scores are probabilities: what came true in each bin of the score."""

import numpy as np

from tenure.lifecycle.training.evaluation.gate import CONFIDENCE, Appraisal
from tenure.lifecycle.training.evaluation.metrics import ECE_BINS, Bools, Floats, score_bins, wilson
from tenure.lifecycle.training.evaluation.policy import Calibration


def reliability(scores: Floats, labels: Bools, method: Calibration | None) -> Appraisal:
    """The bins behind `ece`: rows, mean score, and the share of positive labels.

    Args:
        scores: Probabilities of the positive label, shape (n,).
        labels: What came true, shape (n,).
        method: How the scores were calibrated.

    Returns:
        Facts alone. Intervals of the shares are Wilson's, at 95%, each by itself; of a bin without
        rows mean and share are None.
    """
    bins = score_bins(scores)
    rows = np.bincount(bins, minlength=ECE_BINS)
    positives = np.bincount(bins, labels, minlength=ECE_BINS).astype(int)
    sums = np.bincount(bins, scores, minlength=ECE_BINS)
    found = [
        {
            "low": i / ECE_BINS,
            "high": (i + 1) / ECE_BINS,
            "rows": int(n),
            "mean_score": float(sums[i] / n) if n else None,
            "positive_share": float(positives[i] / n) if n else None,
            "interval": list(wilson(int(positives[i]), int(n), CONFIDENCE)) if n else None,
        }
        for i, n in enumerate(rows)
    ]
    return Appraisal(facts={"reliability": {"method": method, "bins": found}})
