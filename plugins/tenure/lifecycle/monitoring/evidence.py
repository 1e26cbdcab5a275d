"""How much a window says against "nothing has changed", and when it is enough for a page.

A window gives e-values whose mean is at most 1 while nothing changes, given what came before. The
detector adds them up, M = (1 + M before) * E, and raises an alarm at M >= c. Then the expected
number of alarms in T windows is at most T / c, however streams depend on each other: M plus c for
each alarm, less the number of windows, never rises in expectation.

All is kept as logarithms, one number for each point of a fixed grid; what counts is the mean of
the *accumulated* components.

Sources: Shin, Ramdas & Rinaldo (2022), "E-detectors", arXiv 2203.03532 (the detector);
Dandapanthula & Ramdas (2025), arXiv 2501.04130 (many streams: alarms per unit of time).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

GRID = np.arange(1, 20) / 20
"""Exponents of ranks, and stakes of bets: .05, .10 … .95."""
_LOG_GRID = np.log(GRID)
NOTHING = np.full(len(GRID), -np.inf)
"""Log of what a detector holds before its first window, and after an alarm."""
DAYS_A_QUARTER = 365.25 / 4


def rank(value: float, pool: Sequence[float], u: float) -> float:
    """The smoothed conformal rank of a value among those before it; small when it is large.

    Uniform on (0, 1) when the value and its pool are exchangeable, ties and all.

    Args:
        value: Of the window at hand.
        pool: Of windows before it, in rising order.
        u: A number in (0, 1) that was drawn for this window and never again.

    Source: Vovk, Gammerman & Shafer, "Algorithmic learning in a random world" (2005), 2.2.

    >>> rank(3.0, [1.0, 2.0, 3.0], 0.5)
    0.25
    """
    up_to = bisect_right(pool, value)
    equal = up_to - bisect_left(pool, value)
    return (len(pool) - up_to + u * (equal + 1)) / (len(pool) + 1)


def rank_evidence(p: float | np.ndarray) -> np.ndarray:
    """Log of k * p^(k - 1) for each k of the grid; its mean over a uniform p is 1."""
    return np.asarray(_LOG_GRID + (GRID - 1) * np.log(p))


def loss_evidence(loss: float | np.ndarray, most: float) -> np.ndarray:
    """Log of what a fixed bet on "the mean loss is above `most`" makes of one window.

    Args:
        loss: Mean loss of the window, in [0, 1]: one bounded observation, however many rows.
        most: Mean that is still accepted, in (0, 1).

    Source: Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting".
    """
    return np.asarray(np.log1p(GRID / most * (loss - most)))


def add(log_m: np.ndarray, log_e: np.ndarray) -> np.ndarray:
    """(1 + M) * E for each component."""
    return np.asarray(np.logaddexp(0.0, log_m) + log_e)


def levels(log_es: np.ndarray) -> np.ndarray:
    """Log of M after each window, one row a window, when no alarm begins it anew."""
    sums = np.cumsum(log_es, axis=0)
    before = np.vstack([np.zeros(len(GRID)), sums[:-1]])
    log_m = sums + np.logaddexp.accumulate(-before, axis=0)
    return np.asarray(np.logaddexp.reduce(log_m, axis=1) - np.log(len(GRID)))


def level(log_m: np.ndarray) -> float:
    """Log of the mean of the components: what is compared with the threshold."""
    return float(np.logaddexp.reduce(log_m) - np.log(len(log_m)))


def threshold(quarters: float, days: int) -> float:
    """Log of c: a stream may raise one false alarm in so many quarters of windows of so many days.

    With S streams of equal weight and B pages a quarter, `quarters` is S / B.
    """
    return float(np.log(quarters * DAYS_A_QUARTER / days))


def change_start(log_es: Sequence[np.ndarray], log_m: np.ndarray) -> int:
    """Where, among the windows since the detector began, the change most likely starts.

    The sum of the component that found it is lowest just before.
    """
    sums = np.cumsum([0.0, *(log_e[int(np.argmax(log_m))] for log_e in log_es)])
    return int(np.argmin(sums[:-1]))
