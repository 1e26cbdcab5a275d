"""Numbers of a whole column, without the sums of integers running over."""

import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_HALF = np.int64(32)
_LOW_BITS = np.int64(2**32 - 1)


def total(values: pa.ChunkedArray) -> Any:
    """The sum of values without a null; exact for integers and decimals."""
    if values.type == pa.int64():
        return _total_of_whole(values.to_numpy())
    if pa.types.is_floating(values.type):
        return float(pc.sum(values).as_py())
    return sum(_numbers(values))


def mean(values: pa.ChunkedArray) -> Any:
    """The arithmetic mean, exact for integers."""
    if pa.types.is_floating(values.type):
        return float(pc.mean(values).as_py())
    return _ratio(total(values), len(values))


def median(values: pa.ChunkedArray) -> Any:
    """The middle value, or the mean of the two in the middle."""
    if values.type != pa.int64() and not pa.types.is_floating(values.type):
        return statistics.median(_numbers(values))
    found = values.to_numpy()
    middle = len(found) // 2
    if len(found) % 2:
        return np.partition(found, middle)[middle].item()
    low, high = np.partition(found, (middle - 1, middle))[middle - 1 : middle + 1].tolist()
    return _ratio(low + high, 2)


def _ratio(number: Any, count: int) -> Any:
    """Exact where the number is; a whole number where it can be."""
    if not isinstance(number, int):
        return number / count
    found = Fraction(number, count)
    return found.numerator if found.denominator == 1 else found


def deviation(values: pa.ChunkedArray) -> Any:
    """The standard deviation of a sample (n - 1); None of fewer than two values."""
    if len(values) < 2:
        return None
    if values.type == pa.int64():
        found = values.to_numpy()
        above_least = found.view(np.uint64) - np.uint64(int(found.min()) % 2**64)
        return float(np.std(above_least.astype(np.float64), ddof=1))
    if pa.types.is_floating(values.type):
        with np.errstate(over="ignore", invalid="ignore"):  # what runs over is no number then
            return float(np.std(values.to_numpy(), ddof=1))
    return statistics.stdev(_numbers(values))


def least(values: pa.ChunkedArray) -> Any:
    """The smallest value."""
    return pc.min(values).as_py()


def largest(values: pa.ChunkedArray) -> Any:
    """The largest value."""
    return pc.max(values).as_py()


def _total_of_whole(found: NDArray[np.int64]) -> int:
    """In two halves, each of which has room for 2**31 rows."""
    return (int((found >> _HALF).sum()) << 32) + int((found & _LOW_BITS).sum())


def _numbers(values: pa.ChunkedArray) -> list[Any]:
    found: list[Any] = values.to_pylist()
    if any(isinstance(value, str) or not hasattr(value, "__add__") for value in found):
        raise TypeError(f"{values.type} holds no numbers")
    return found


def is_finite(value: object) -> bool:
    """Whether there is a number, and one that can be compared."""
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))
