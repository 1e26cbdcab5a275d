"""Bounds that are easy to read, and evidence in plain words."""

import math
from collections.abc import Callable, Sequence

from tenure.lifecycle.data.profiling.profile import ColumnProfile


def outward(low: float, high: float) -> dict[str, object]:
    """Bounds in 3 significant digits of their distance, rounded so that nothing is shut out."""
    unit = 10.0 ** (math.floor(math.log10(max(high - low, 1e-300))) - 2)
    bounds = (_rounded(low, unit, math.floor), _rounded(high, unit, math.ceil))
    if not all(map(math.isfinite, bounds)):
        bounds = (low, high)
    return {"min_value": bounds[0], "max_value": bounds[1]}


def whole_outward(low: int, high: int) -> dict[str, object]:
    """The same of whole numbers within 64 bits; bounds are such as a double holds exactly.

    >>> whole_outward(2**53 + 1, 2**53 + 3) == {"min_value": 2**53, "max_value": 2**53 + 4}
    True
    >>> whole_outward(0, 2**63 - 1)
    {'min_value': 0}
    >>> whole_outward(1234, 98765)
    {'min_value': 1200, 'max_value': 98800}
    """
    unit = 10 ** max(0, len(str(high - low)) - 3)
    least, most = low // unit * unit, -(-high // unit) * unit
    found: dict[str, object] = {"min_value": max(-(2**63), -_double_above(-least))}
    if (end := _double_above(most)) < 2**63:
        found["max_value"] = end
    return found


def _double_above(value: int) -> int:
    """The smallest double that is not below the number."""
    near = float(value)
    return int(near if near >= value else math.nextafter(near, math.inf))


def _rounded(value: float, unit: float, direction: Callable[[float], int]) -> float:
    try:
        near = direction(value / unit) * unit
    except (OverflowError, ValueError, ZeroDivisionError):
        return value
    digits = max(0, -math.floor(math.log10(unit)))
    rounded = round(near, min(digits, 300))
    return min(rounded, value) if direction is math.floor else max(rounded, value)


def columns_phrase(seen: Sequence[ColumnProfile]) -> str:
    """In how many batches and rows."""
    rows = sum(c.rows for c in seen)
    return f"{batches(len(seen))} ({rows:,} rows)"


def batches(number: int) -> str:
    """`1 batch`, `3 batches`."""
    return plural(number, "batch", "batches")


def plural(number: int, one: str, many: str = "") -> str:
    """A count with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def shares(found: Sequence[float]) -> str:
    """One share or the range of several, as percent."""
    low, high = f"{100 * min(found):.3g}", f"{100 * max(found):.3g}"
    return f"{low}%" if low == high else f"{low}…{high}%"


def span(low: float, high: float) -> str:
    """One number or the range of two."""
    return plain(low) if low == high else f"{plain(low)}…{plain(high)}"


def plain(value: float) -> str:
    """A number as people read it: `1,234`, `0.25`."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
