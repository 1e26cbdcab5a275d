"""Which expectations a suite may hold, and which arguments each may have: a table.

What a bound may be follows from the kind of quantity that it bounds, never from the column alone.
"""

import difflib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tenure.lifecycle.data.expectations import rounded_bound
from tenure.lifecycle.data.patterns import NotAllowed, as_re2
from tenure.lifecycle.data.sources import Column, Contract

MAX_VALUES = 1_000
MAX_TEXT = 200
_NUMBERS = ("integer", "number")
_SHOWN = 60
"""Characters of a value that a message repeats."""
_WHOLE_SHARE = 100
_BEYOND = 2**63
"""What a column of whole numbers cannot hold."""
_IGNORED = ("both_values_are_missing", "either_value_is_missing", "neither")


class Quantity(StrEnum):
    """What the bounds of an expectation are compared with; it decides which bounds make sense."""

    VALUES = "values"
    """Cells: a number, or an ISO time with its zone, as the column is."""
    MEASURE = "a measure"
    """Mean, sum and the like: any number."""
    DEVIATION = "a deviation"
    """A number from 0 on."""
    COUNT = "a count"
    LENGTH = "a length"
    """Whole numbers from 0 on."""
    PROPORTION = "a proportion"
    """0…1."""


_WHOLE = (Quantity.COUNT, Quantity.LENGTH)
_HIGHEST = {Quantity.PROPORTION: 1.0}
_LOWEST = dict.fromkeys((*_WHOLE, Quantity.PROPORTION, Quantity.DEVIATION), 0)


@dataclass(frozen=True)
class Entry:
    """An expectation type: its arguments, what its bounds bound, and column types it suits."""

    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    suits: tuple[str, ...] = ()
    """Column types; empty means any."""
    bounds: Quantity | None = None
    """None: it has no bounds."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """All that may stand in kwargs."""
        ends = _RANGE if self.bounds else ()
        return (*self.columns, *self.required, *ends, *self.optional)


_RANGE = ("min_value", "max_value", "strict_min", "strict_max")
_ONE = ("column",)
_PAIR = ("column_A", "column_B")


def _measure(bounds: Quantity = Quantity.MEASURE) -> Entry:
    return Entry(_ONE, suits=_NUMBERS, bounds=bounds)


CATALOG: dict[str, Entry] = {
    "expect_column_values_to_not_be_null": Entry(_ONE, ("mostly",)),
    "expect_column_values_to_be_null": Entry(_ONE, ("mostly",)),
    "expect_column_values_to_be_between": Entry(
        _ONE, ("mostly",), suits=(*_NUMBERS, "timestamp"), bounds=Quantity.VALUES
    ),
    "expect_column_values_to_be_in_set": Entry(_ONE, ("mostly",), ("value_set",)),
    "expect_column_values_to_not_be_in_set": Entry(_ONE, ("mostly",), ("value_set",)),
    "expect_column_values_to_be_unique": Entry(_ONE, ("mostly",)),
    "expect_column_value_lengths_to_be_between": Entry(
        _ONE, ("mostly",), suits=("string",), bounds=Quantity.LENGTH
    ),
    "expect_column_values_to_match_regex": Entry(_ONE, ("mostly",), ("regex",), ("string",)),
    "expect_column_values_to_not_match_regex": Entry(_ONE, ("mostly",), ("regex",), ("string",)),
    "expect_column_pair_values_a_to_be_greater_than_b": Entry(
        _PAIR, ("or_equal", "ignore_row_if", "mostly"), suits=(*_NUMBERS, "timestamp")
    ),
    "expect_column_pair_values_to_be_equal": Entry(_PAIR, ("ignore_row_if", "mostly")),
    "expect_compound_columns_to_be_unique": Entry((), ("mostly",), ("column_list",)),
    "expect_column_mean_to_be_between": _measure(),
    "expect_column_median_to_be_between": _measure(),
    "expect_column_min_to_be_between": _measure(),
    "expect_column_max_to_be_between": _measure(),
    "expect_column_stdev_to_be_between": _measure(Quantity.DEVIATION),
    "expect_column_sum_to_be_between": _measure(),
    "expect_column_unique_value_count_to_be_between": Entry(_ONE, bounds=Quantity.COUNT),
    "expect_column_proportion_of_unique_values_to_be_between": Entry(
        _ONE, bounds=Quantity.PROPORTION
    ),
    "expect_column_proportion_of_non_null_values_to_be_between": Entry(
        _ONE, bounds=Quantity.PROPORTION
    ),
    "expect_column_distinct_values_to_be_in_set": Entry(_ONE, (), ("value_set",)),
    "expect_column_distinct_values_to_contain_set": Entry(_ONE, (), ("value_set",)),
    "expect_column_distinct_values_to_equal_set": Entry(_ONE, (), ("value_set",)),
    "expect_table_row_count_to_be_between": Entry((), bounds=Quantity.COUNT),
}


def broken_arguments(
    kind: str, kwargs: Mapping[str, object], contract: Contract | None
) -> Iterator[tuple[str, str]]:
    """(argument, what is wrong) for each problem; with a contract, columns are looked up too."""
    entry = CATALOG[kind]
    for key in kwargs:
        if key not in entry.arguments:
            yield key, _unknown(kind, key, entry)
    for key in (*entry.columns, *entry.required):
        if kwargs.get(key) is None:
            yield "", f"{kind} needs {key!r}"
    broken = dict(_broken_kinds(entry, kwargs))
    yield from broken.items()
    if entry.bounds and not broken.keys() & {*_RANGE}:
        yield from _broken_range(kind, entry.bounds, kwargs)
    pair = [kwargs.get(key) for key in _PAIR if key in entry.columns]
    if pair and isinstance(pair[0], str) and pair[0] == pair[1]:
        yield "column_B", f"column_A and column_B are the same column {pair[0][:60]!r}"
    if contract is not None:
        yield from _broken_columns(kind, entry, kwargs, contract)


def _broken_kinds(entry: Entry, kwargs: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key in entry.arguments:
        value = kwargs.get(key)
        if value is None:
            continue
        is_end = key in {"min_value", "max_value"} and entry.bounds is not None
        if is_end:
            found = _rounded_end(value) or _broken_end(value, entry.bounds)
        else:
            found = _CHECKS[key](value)
        if found:
            is_share = key == "mostly" or (is_end and entry.bounds is Quantity.PROPORTION)
            yield key, f"{key} {found}, got {_got(value, is_share=is_share)}"
        elif _has_dollar(value):
            yield key, f"{key}: `$` is not allowed; in a regex write \\Z for the end"


def _got(value: object, *, is_share: bool) -> str:
    """A value as it stands in the file; how to write it where it is a number in another dress."""
    shown = json.dumps(value, ensure_ascii=False)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    text = str(value).strip()
    number, is_percent = _number_in(text.removesuffix("%")), text.endswith("%")
    if number is None or isinstance(value, bool):
        return shown
    if is_share and (is_percent or 1 < number <= _WHOLE_SHARE):
        return f"{shown}; {number:g}% is written {number / 100:g}"
    is_quoted = isinstance(value, str) and not is_percent
    return f"{shown}; a number stands without quotes" if is_quoted else shown


def _number_in(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _unknown(kind: str, key: str, entry: Entry) -> str:
    if key in {"row_condition", "condition_parser"}:
        return f"{key} is not allowed: conditions run code; split the column in the source instead"
    near = difflib.get_close_matches(key, entry.arguments, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{kind} has no argument {key!r}{hint} Allowed: {', '.join(entry.arguments)}"


def _rounded_end(value: object) -> str | None:
    near = rounded_bound(value)
    exactly = "write a number that a double holds exactly"
    return None if near is None else f"would be rounded to {near}: {exactly}"


def _broken_end(value: object, bounds: Quantity | None) -> str | None:
    """What is wrong with one end of a range of this quantity."""
    if bounds is Quantity.VALUES:
        good = _is_number(value) or _moment(value) is not None
        return None if good else "must be a number or an ISO time with its zone"
    if bounds in _WHOLE:
        good = _is_number(value) and isinstance(value, int) and value >= 0
        return None if good else f"must be a whole number from 0 on: it bounds {bounds}"
    if not _is_number(value):
        return f"must be a number: it bounds {bounds}"
    assert isinstance(value, int | float)
    if bounds is Quantity.PROPORTION and not 0 <= value <= 1:
        return "must be 0…1: it bounds a proportion"
    if bounds is Quantity.DEVIATION and value < 0:
        return "must not be below 0: it bounds a deviation"
    return None


def _broken_range(
    kind: str, bounds: Quantity, kwargs: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        yield "", f"{kind} needs min_value or max_value: without both it checks nothing"
    elif low is not None and high is not None and isinstance(low, str) != isinstance(high, str):
        yield "max_value", "min_value and max_value must both be numbers or both be times"
    else:
        yield from _broken_ends(low, high, bounds, kwargs)


def _broken_ends(
    low: object, high: object, bounds: Quantity, kwargs: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """Two ends between which nothing lies."""
    first = _LOWEST.get(bounds, -math.inf) if low is None else _value(low)
    last = _HIGHEST.get(bounds, math.inf) if high is None else _value(high)
    lacks_first, lacks_last = bool(kwargs.get("strict_min")), bool(kwargs.get("strict_max"))
    if first > last:
        yield "min_value", f"min_value {low} is larger than max_value {high}"
    elif bounds in _WHOLE and first < last and first + lacks_first > last - lacks_last:
        yield "min_value", f"no whole number lies between {low} and {high}: nothing can pass"
    elif first == last and high is None and lacks_first:
        yield "min_value", f"min_value {low} is excluded and nothing is above: nothing can pass"
    elif first == last and low is None and lacks_last:
        yield "max_value", f"max_value {high} is excluded and nothing is below: nothing can pass"
    elif first == last and (lacks_first or lacks_last):
        yield (
            "min_value",
            f"min_value and max_value are both {low}, ends excluded: nothing can pass",
        )


def _broken_columns(
    kind: str, entry: Entry, kwargs: Mapping[str, object], contract: Contract
) -> Iterator[tuple[str, str]]:
    listed = kwargs.get("column_list")
    named = [(key, kwargs[key]) for key in entry.columns if isinstance(kwargs.get(key), str)]
    named += [("column_list", c) for c in listed] if isinstance(listed, list) else []
    for key, name in named:
        column = contract.columns.get(str(name))
        if column is None:
            near = difflib.get_close_matches(str(name), contract.columns, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            known = ", ".join(contract.columns)
            yield key, f"column {str(name)[:60]!r} is not in the contract{hint} Known: {known}"
        elif entry.suits and column.type not in entry.suits:
            suits = " or ".join(entry.suits)
            yield key, f"{kind} is for {suits}; {name} is {column.type}"
        else:
            yield from _broken_values(str(name), column, entry, kwargs)
    yield from _broken_pair(entry, kwargs, contract)


def _broken_pair(
    entry: Entry, kwargs: Mapping[str, object], contract: Contract
) -> Iterator[tuple[str, str]]:
    """Two columns whose values can be compared only if both are numbers, or both are times."""
    pair = [contract.columns.get(str(kwargs.get(key))) for key in entry.columns]
    kinds = [_COMPARABLE.get(column.type, column.type) for column in pair if column is not None]
    if len(kinds) == len(_PAIR) and kinds[0] != kinds[1]:
        names = " and ".join(str(kwargs[key]) for key in _PAIR)
        types = " and ".join(column.type for column in pair if column is not None)
        yield "column_B", f"{names} cannot be compared: they are {types}"


def _broken_values(
    name: str, column: Column, entry: Entry, kwargs: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """A set or a bound whose values can never be equal or comparable to the column's."""
    for key in ("min_value", "max_value") if entry.bounds is Quantity.VALUES else ():
        value = kwargs.get(key)
        if value is None or _broken_end(value, entry.bounds):
            continue
        if isinstance(value, str) != (column.type == "timestamp"):
            yield key, f"{key} {value!r} cannot be compared with {name}, which is {column.type}"
    values = kwargs.get("value_set")
    for value in values if isinstance(values, list) else ():
        if not _FITS[column.type](value):
            yield "value_set", f"the value {value!r} is no {column.type}, as {name} is"
            return


_COMPARABLE = {"integer": "number"}

_FITS: dict[str, Callable[[object], bool]] = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "timestamp": lambda _: False,
}


def _text(value: object) -> str | None:
    good = isinstance(value, str) and 0 < len(value) <= MAX_TEXT
    return None if good else f"must be a text of 1…{MAX_TEXT} characters"


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _share(value: object) -> str | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
    return None if good else "must be above 0 and at most 1"


def _values(value: object) -> str | None:
    good = isinstance(value, list) and 0 < len(value) <= MAX_VALUES
    if not good or any(isinstance(v, dict | list) or v is None for v in value):  # type: ignore[attr-defined]
        return f"must be a list of 1…{MAX_VALUES:,} plain values"
    return None


def _columns(value: object) -> str | None:
    good = isinstance(value, list) and len(value) > 1 and all(isinstance(v, str) for v in value)
    if not good or len({*value}) < len(value):  # type: ignore[misc, arg-type]
        return "must be a list of at least 2 columns, each once"
    return None


def _ignored(value: object) -> str | None:
    return None if value in _IGNORED else f"must be one of {', '.join(_IGNORED)}"


def _regex(value: object) -> str | None:
    if (message := _text(value)) is not None:
        return message
    try:
        as_re2(str(value))
    except NotAllowed as error:
        return str(error)
    return None


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "column": _text,
    "column_A": _text,
    "column_B": _text,
    "column_list": _columns,
    "mostly": _share,
    "strict_min": _flag,
    "strict_max": _flag,
    "or_equal": _flag,
    "value_set": _values,
    "regex": _regex,
    "ignore_row_if": _ignored,
}


def _has_dollar(value: object) -> bool:
    if isinstance(value, list):
        return any(_has_dollar(v) for v in value)
    return isinstance(value, str) and "$" in value


def _is_number(value: object) -> bool:
    """A finite number that Great Expectations can compare with those of a column."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _BEYOND if isinstance(value, int) else math.isfinite(value)


def _moment(value: object) -> datetime | None:
    """The ISO time, when it is one that names its zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None


def _value(bound: object) -> float:
    """A number, exactly, or the POSIX time of an ISO time."""
    if isinstance(bound, int | float):
        return bound
    moment = _moment(bound)
    assert moment is not None, bound
    return moment.timestamp()
