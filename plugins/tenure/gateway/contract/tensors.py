"""Reads one tensor of the protocol: its shape, its data (flat or nested), the width it declares."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from tenure.gateway.contract.bodies import Tensor
from tenure.gateway.contract.refusals import Refusal
from tenure.lifecycle.serving import MAX_TEXT

INTEGERS = MappingProxyType(
    {
        **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
        **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    }
)
"""Smallest and largest value of each integer datatype."""
FLOATS = MappingProxyType({"FP16": 65504.0, "FP32": (2 - 2**-23) * 2.0**127, "FP64": float("inf")})
"""Largest finite value of each; that a double is finite is looked at where it is read."""
NUMBERS = frozenset({*INTEGERS, *FLOATS})
TEXTS = frozenset({"BYTES"})


def values_of(tensor: Tensor, count: int) -> list[Any]:
    """One value a row. Data of shape [rows, 1] may be nested as well, in row-major order.

    Raises:
        Refusal: 422 when shape and data do not have `count` rows of one value.
    """
    data = tensor.data
    if rows_of(tensor) != count or len(data) != count:
        message = f"shape {tensor.shape} with {len(data)} values; rows are {count}."
        raise Refusal(422, "wrong_shape", message, place_of(tensor.name))
    if len(tensor.shape) == 2 and any(type(row) is list for row in data):
        return _unnested(data, place_of(tensor.name))
    return data


def rows_of(tensor: Tensor) -> int:
    """Rows of a tensor of shape [rows] or [rows, 1]. Raises Refusal (422) for another one."""
    shape = tensor.shape
    if len(shape) in {1, 2} and shape[1:] in ([], [1]) and shape[0] >= 0:
        return shape[0]
    message = f"shape is {shape[:5]}; allowed is [rows] or [rows, 1]: a tensor is one feature."
    raise Refusal(422, "wrong_shape", message, place_of(tensor.name))


def hold_width(datatype: str, values: Sequence[Any], where: str) -> None:
    """Refuse what the declared datatype cannot hold; null is judged elsewhere.

    Raises:
        Refusal: 422 that names the first such value.
    """
    if datatype in INTEGERS:
        _hold_integers(datatype, values, where)
    elif datatype in {"FP16", "FP32"}:
        _hold_floats(datatype, values, where)
    elif datatype == "BOOL":
        _hold_booleans(values, where)


def place_of(name: str) -> str:
    """Where a feature stands in the request."""
    return f"inputs.{name[:MAX_TEXT]}"


def shown(value: object) -> str:
    """A value for a message: short, and cheap however large it is."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if type(value) is int and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    return repr(str(value)[:40])


def _unnested(data: list[Any], where: str) -> list[Any]:
    for position, row in enumerate(data):
        if type(row) is not list or len(row) != 1:
            held = f"{len(row)} values" if type(row) is list else "no list"
            message = f"Row {position} is {held}; nested data of [rows, 1] has lists of one value."
            raise Refusal(422, "wrong_shape", message, f"{where}[{position}]")
    return [row[0] for row in data]


def _hold_integers(datatype: str, values: Sequence[Any], where: str) -> None:
    low, high = INTEGERS[datatype]
    for position, value in enumerate(values):
        if value is None or (type(value) is int and low <= value <= high):
            continue
        code = "out_of_range" if type(value) is int else "not_a_number"
        message = f"{shown(value)} is not an {datatype} ({low} to {high}, without a point)."
        raise Refusal(422, code, message, f"{where}[{position}]")


def _hold_floats(datatype: str, values: Sequence[Any], where: str) -> None:
    """Only magnitude: a decimal is a rounding of itself in every width, and is scored as sent."""
    most = FLOATS[datatype]
    for position, value in enumerate(values):
        if type(value) in {int, float} and not -most <= value <= most:
            message = f"{shown(value)} is not an {datatype} (-{most:g} to {most:g})."
            raise Refusal(422, "out_of_range", message, f"{where}[{position}]")


def _hold_booleans(values: Sequence[Any], where: str) -> None:
    for position, value in enumerate(values):
        if value is not None and type(value) is not bool:
            message = f"{shown(value)} is not a BOOL (true or false)."
            raise Refusal(422, "not_a_boolean", message, f"{where}[{position}]")
