"""Values compared as what they are: no integer, decimal or time becomes a float on the way."""

import math
import operator
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_WHOLE_DOUBLES = 2**53
"""Up to here a double holds every whole number."""
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "equal": operator.eq,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


def mask(values: pa.ChunkedArray) -> Mask:
    """Booleans as numpy has them; null is false."""
    return np.asarray(pc.fill_null(values, False).to_numpy(), dtype=np.bool_)


def is_inside(
    values: pa.ChunkedArray,
    low: object,
    high: object,
    *,
    strict_low: bool = False,
    strict_high: bool = False,
) -> Mask:
    """Whether each value lies between two bounds, None being no bound; null does not.

    Raises:
        TypeError: A bound is of another kind than the values.
    """
    inside = mask(pc.is_valid(values))
    if low is not None:
        inside &= _is_beyond(values, low, above=True, strict=strict_low)
    if high is not None:
        inside &= _is_beyond(values, high, above=False, strict=strict_high)
    return inside


def _is_beyond(values: pa.ChunkedArray, bound: object, *, above: bool, strict: bool) -> Mask:
    """Whether each value is above the bound (or below it), or equal to it unless `strict`."""
    end = as_bound(bound, values.type)
    if values.type == pa.int64():
        return _is_beyond_whole(values, end, above=above, strict=strict)
    if values.type == pa.float64():
        end = _double(end, up=above != strict)
    elif not pa.types.is_timestamp(values.type):
        compare = _python_order(above=above, strict=strict)
        return np.array([v is not None and compare(v, end) for v in values.to_pylist()], np.bool_)
    word = ("greater" if above else "less") + ("" if strict else "_equal")
    found: Mask = mask(pc.call_function(word, [values, pa.scalar(end, values.type)]))
    return found


def _is_beyond_whole(values: pa.ChunkedArray, end: Any, *, above: bool, strict: bool) -> Mask:
    """Of whole numbers, a bound that is a fraction is the next whole number within it."""
    if above:
        first = math.floor(end) + 1 if strict else math.ceil(end)
        if first > _LARGEST:
            return np.zeros(len(values), np.bool_)
        return mask(pc.greater_equal(values, pa.scalar(max(first, _SMALLEST), pa.int64())))
    last = math.ceil(end) - 1 if strict else math.floor(end)
    if last < _SMALLEST:
        return np.zeros(len(values), np.bool_)
    return mask(pc.less_equal(values, pa.scalar(min(last, _LARGEST), pa.int64())))


def _python_order(*, above: bool, strict: bool) -> Callable[[Any, Any], bool]:
    if above:
        return operator.gt if strict else operator.ge
    return operator.lt if strict else operator.le


def as_bound(bound: object, kind: pa.DataType) -> Any:
    """The bound as what it is compared with. Raises TypeError when it is of another kind."""
    if pa.types.is_timestamp(kind) != isinstance(bound, str):
        raise TypeError(f"{bound!r} cannot be compared with {kind}")
    if isinstance(bound, str):
        return datetime.fromisoformat(bound)
    return _as_decimal(bound) if pa.types.is_decimal(kind) else bound


def _as_decimal(value: object) -> Decimal:
    """As it is written: 0.1 is a tenth."""
    return Decimal(repr(value) if isinstance(value, float) else str(value))


def _double(number: Any, *, up: bool) -> float:
    """The nearest double that is not below the number, or not above it."""
    try:
        near = float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
    if up:
        return near if near >= number else math.nextafter(near, math.inf)
    return near if near <= number else math.nextafter(near, -math.inf)


def is_among(values: pa.ChunkedArray, members: Sequence[object]) -> Mask:
    """Whether each value is equal to one of the members; null is not."""
    found = [m for m in (_as_member(member, values.type) for member in members) if m is not None]
    return mask(pc.is_in(values, value_set=pa.array(found, values.type))) & mask(
        pc.is_valid(values)
    )


def _as_member(value: object, kind: pa.DataType) -> Any:
    """The value in the type of the column, None when no cell of it can be equal."""
    if isinstance(value, bool) or pa.types.is_boolean(kind):
        return value if isinstance(value, bool) and pa.types.is_boolean(kind) else None
    if isinstance(value, str):
        return _text_member(value, kind)
    if not isinstance(value, int | float):
        return None
    try:
        return _number_member(value, kind)
    except (OverflowError, ValueError, pa.ArrowInvalid):
        return None


def _text_member(value: str, kind: pa.DataType) -> Any:
    if not pa.types.is_timestamp(kind):
        return value if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _number_member(value: float, kind: pa.DataType) -> Any:
    if pa.types.is_decimal(kind):
        return pa.scalar(_as_decimal(value), kind).as_py()
    if pa.types.is_integer(kind):
        whole = int(value)
        return pa.scalar(whole, kind).as_py() if whole == value else None
    if pa.types.is_floating(kind):
        return float(value) if float(value) == value else None
    return None


def codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each different value, -1 for null; equal values have equal numbers."""
    if pa.types.is_floating(values.type):
        values = pc.add(values, 0.0)  # -0.0 becomes 0.0, which it is equal to
    encoded = pc.dictionary_encode(values).unify_dictionaries()
    parts = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return np.concatenate([np.empty(0, np.int64), *parts]).astype(np.int64)


def combined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """A number for each different combination of codes."""
    found = np.zeros(len(parts[0]), np.int64)
    for part in parts:
        wide = found * (part.max(initial=-1) + 2) + part + 1
        found = np.unique(wide, return_inverse=True)[1].astype(np.int64)
    return found


def is_repeated(found: NDArray[np.int64]) -> Mask:
    """Whether a code comes more than once; those below 0 do not count."""
    counts = np.bincount(found[found >= 0], minlength=1)
    repeated: Mask = (found >= 0) & (counts[np.maximum(found, 0)] > 1)
    return repeated


def compare(left: pa.ChunkedArray, right: pa.ChunkedArray, order: str) -> Mask:
    """Whether each pair is in the order (`equal`, `greater`, `greater_equal`); null is not.

    Raises:
        TypeError: The two have no order.
    """
    if left.type == right.type:
        return mask(pc.call_function(order, [left, right]))
    kinds = {left.type, right.type}
    if kinds == {pa.int64(), pa.float64()} and all(_has_small_wholes(c) for c in (left, right)):
        wide = [column.cast(pa.float64()) for column in (left, right)]
        return mask(pc.call_function(order, wide))
    is_so = _ORDERS[order]
    pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
    return np.array([a is not None and b is not None and is_so(a, b) for a, b in pairs], np.bool_)


def _has_small_wholes(values: pa.ChunkedArray) -> bool:
    if pa.types.is_floating(values.type):
        return True
    ends = pc.min_max(values).as_py()
    return ends["min"] is None or -_WHOLE_DOUBLES <= ends["min"] <= ends["max"] <= _WHOLE_DOUBLES
