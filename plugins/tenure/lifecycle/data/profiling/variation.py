"""How a number varied over batches, and how far the next ones may go."""

import math
from collections.abc import Sequence
from statistics import fmean

ENOUGH_BATCHES = 4
"""With fewer, a difference is no movement yet."""


def drift(values: Sequence[float]) -> float:
    """How far a number will move over as many batches again, if it moves on a line.

    The means of the halves of a line are half its way apart. 0 for few batches.

    >>> drift([1, 2, 3, 4]), drift([5, 1, 5, 1]), drift([1, 7])
    (4.0, 0.0, 0.0)
    """
    half = len(values) // 2
    if len(values) < ENOUGH_BATCHES:
        return 0.0
    return 2.0 * (fmean(values[-half:]) - fmean(values[:half]))


def growth(values: Sequence[int]) -> float:
    """By which factor a positive number will grow over as many batches again, if it grows evenly.

    >>> growth([100, 300]), round(growth([100, 110, 121, 133]), 2)
    (1.0, 1.46)
    """
    half = len(values) // 2
    if len(values) < ENOUGH_BATCHES:
        return 1.0
    return (fmean(values[-half:]) / fmean(values[:half])) ** 2


def reach(lows: Sequence[float], highs: Sequence[float], margin: float) -> tuple[float, float]:
    """Bounds that every batch keeps, with the margin or one more drift, whichever is more."""
    down, up = -drift(lows), drift(highs)
    return min(lows) - max(margin, down), max(highs) + max(margin, up)


def reach_of_whole(lows: Sequence[int], highs: Sequence[int], margin: float) -> tuple[int, int]:
    """As `reach`, rounded outwards, and exact: a float would lose digits of large numbers.

    >>> reach_of_whole([2**53 + 1], [2**53 + 3], 0.5) == (2**53, 2**53 + 4)
    True
    """
    down, up = -drift(lows), drift(highs)
    return min(lows) - math.ceil(max(margin, down)), max(highs) + math.ceil(max(margin, up))
