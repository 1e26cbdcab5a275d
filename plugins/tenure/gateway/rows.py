"""Checks the rows of a request against a model's signature; each 4xx names its field."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenure.gateway.bodies import MAX_TEXT, InvocationsBody, Split, Tensor
from tenure.gateway.refusals import Refusal
from tenure.lifecycle.serving import ServingPolicy, Signature, Value

MAX_ROWS = 1000

_NUMBERS = {"FP64", "FP32", "FP16", "INT64", "INT32", "INT16", "INT8", "UINT64", "UINT32", "UINT8"}
_INTEGERS = {name for name in _NUMBERS if "INT" in name}


@dataclass(frozen=True)
class Rows:
    """Feature columns of a request, checked against the signature; null is None."""

    count: int
    numeric: Mapping[str, list[float | None]]
    categorical: Mapping[str, list[str | None]]

    def in_order(self, features: Sequence[str]) -> list[tuple[Value, ...]]:
        """Rows in the order of the features. Raises KeyError for one that was not sent."""
        columns: dict[str, Sequence[Value]] = {**self.numeric, **self.categorical}
        return list(zip(*(columns[name] for name in features), strict=True))


@dataclass(frozen=True)
class Terms:
    """What the rows of a request are held to.

    Args:
        accepts: What may be there.
        required: Features that must be there.
        policy: What happens to values that training did not see.
    """

    accepts: Signature
    required: Sequence[str]
    policy: ServingPolicy


def rows_of_tensors(tensors: Sequence[Tensor], terms: Terms) -> Rows:
    """Rows of an `/infer` body. Raises Refusal (413, 422)."""
    columns: dict[str, list[Any]] = {}
    count = _size(tensors[0]) if tensors else 0
    for tensor in tensors:
        where = f"inputs.{tensor.name[:MAX_TEXT]}"
        if tensor.name in columns:
            raise Refusal(422, "duplicate_feature", "The feature is given twice.", where)
        if _size(tensor) != count or len(tensor.data) != count:
            message = f"shape {tensor.shape} with {len(tensor.data)} values; rows are {count}."
            raise Refusal(422, "wrong_shape", message, where)
        _check_datatype(tensor, terms.accepts, where)
        columns[tensor.name] = tensor.data
    return checked(columns, count, terms, place="inputs")


def rows_of_frame(body: InvocationsBody, terms: Terms) -> Rows:
    """Rows of an `/invocations` body. Raises Refusal (413, 422)."""
    split, records = body.dataframe_split, body.dataframe_records
    if (split is None) == (records is None):
        raise Refusal(422, "invalid", "Send exactly one of dataframe_split, dataframe_records.")
    if split is not None:
        return checked(_split_columns(split), len(split.data), terms, place="dataframe_split")
    assert records is not None
    names = dict.fromkeys(name for record in records for name in record)
    for number, record in enumerate(records):
        if missing := [name for name in names if name not in record]:
            where = f"dataframe_records[{number}].{missing[0][:MAX_TEXT]}"
            raise Refusal(422, "missing_feature", "Other records have it, this one not.", where)
    columns = {name: [record[name] for record in records] for name in names}
    return checked(columns, len(records), terms, place="dataframe_records")


def checked(columns: dict[str, list[Any]], count: int, terms: Terms, *, place: str) -> Rows:
    """Every value of every feature, against the signature. Raises Refusal (413, 422)."""
    if not 1 <= count <= MAX_ROWS:
        status = 413 if count else 422
        raise Refusal(
            status, "wrong_row_count", f"{count} rows; allowed are 1 to {MAX_ROWS}.", place
        )
    for name in terms.required:
        if name not in columns:
            raise Refusal(422, "missing_feature", "The feature is missing.", f"{place}.{name}")
    accepts, policy = terms.accepts, terms.policy
    numeric: dict[str, list[float | None]] = {}
    categorical: dict[str, list[str | None]] = {}
    for name, values in columns.items():
        where = f"{place}.{name[:MAX_TEXT]}"
        if name in accepts.numeric:
            numeric[name] = _numbers(values, accepts.ranges.get(name), policy, where)
        elif name in accepts.categorical:
            categorical[name] = _texts(values, accepts.categories.get(name), policy, where)
        else:
            raise Refusal(422, "unknown_feature", "The model has no such feature.", where)
    return Rows(count, numeric, categorical)


def _numbers(
    values: list[Any], seen: tuple[float, float] | None, policy: ServingPolicy, where: str
) -> list[float | None]:
    strict = seen is not None and policy.on_out_of_range == "reject"
    result: list[float | None] = []
    for number, value in enumerate(values):
        if value is None:
            result.append(None)
            continue
        converted = _number(value, number, where)
        if strict and seen is not None and not seen[0] <= converted <= seen[1]:
            message = f"{converted:g} is outside of {seen[0]:g} to {seen[1]:g}."
            raise Refusal(422, "out_of_range", message, f"{where}[{number}]")
        result.append(converted)
    return result


def _number(value: object, position: int, where: str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            pass
    raise Refusal(
        422, "not_a_number", f"{str(value)[:40]!r} is not a finite number.", f"{where}[{position}]"
    )


def _texts(
    values: list[Any], seen: frozenset[str] | None, policy: ServingPolicy, where: str
) -> list[str | None]:
    strict = seen is not None and policy.on_unseen_category == "reject"
    for number, value in enumerate(values):
        if value is None:
            continue
        if type(value) is not str or len(value) > MAX_TEXT:
            message = f"{str(value)[:40]!r} is not a text of at most {MAX_TEXT} characters."
            raise Refusal(422, "not_a_text", message, f"{where}[{number}]")
        if strict and seen is not None and value not in seen:
            message = f"{value[:40]!r} was never seen in training."
            raise Refusal(422, "unseen_category", message, f"{where}[{number}]")
    return values


def _size(tensor: Tensor) -> int:
    """Rows of a tensor of shape [n] or [n, 1]."""
    shape = tensor.shape
    if len(shape) in {1, 2} and shape[1:] in ([], [1]) and shape[0] >= 0:
        return shape[0]
    where = f"inputs.{tensor.name[:MAX_TEXT]}"
    raise Refusal(422, "wrong_shape", f"shape is {shape[:5]}; allowed is [rows].", where)


def _check_datatype(tensor: Tensor, signature: Signature, where: str) -> None:
    """A tensor must call itself what its feature is; integers must be whole."""
    allowed = {"BYTES"} if tensor.name in signature.categorical else _NUMBERS
    if tensor.name in signature.features and tensor.datatype not in allowed:
        message = f"datatype is {tensor.datatype[:20]!r}; allowed: {', '.join(sorted(allowed))}."
        raise Refusal(422, "wrong_datatype", message, where)
    if tensor.datatype in _INTEGERS:
        for number, value in enumerate(tensor.data):
            if type(value) is float:
                message = f"{value!r} is no {tensor.datatype}."
                raise Refusal(422, "not_a_number", message, f"{where}[{number}]")


def _split_columns(split: Split) -> dict[str, list[Any]]:
    if len(set(split.columns)) < len(split.columns):
        raise Refusal(422, "duplicate_feature", "A column stands twice.", "dataframe_split.columns")
    for number, row in enumerate(split.data):
        if len(row) != len(split.columns):
            message = f"{len(row)} values for {len(split.columns)} columns."
            raise Refusal(422, "wrong_shape", message, f"dataframe_split.data[{number}]")
    return {name: [row[i] for row in split.data] for i, name in enumerate(split.columns)}
