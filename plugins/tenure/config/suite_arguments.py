"""Which expectations a suite may hold, and which arguments each may have."""

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from tenure.lifecycle.data.patterns import NotAllowed, as_re2
from tenure.lifecycle.data.sources import Column, Contract

MAX_VALUES = 1_000
MAX_TEXT = 200
_NUMBERS = ("integer", "number")
_IGNORED = ("both_values_are_missing", "either_value_is_missing", "neither")


@dataclass(frozen=True)
class Entry:
    """An expectation type: its column arguments, other arguments, and column types it suits."""

    columns: tuple[str, ...]
    optional: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    suits: tuple[str, ...] = ()
    """Column types; empty means any."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """All that may stand in kwargs."""
        return (*self.columns, *self.required, *self.optional)


_RANGE = ("min_value", "max_value", "strict_min", "strict_max")
_ONE = ("column",)
_PAIR = ("column_A", "column_B")

CATALOG: dict[str, Entry] = {
    "expect_column_values_to_not_be_null": Entry(_ONE, ("mostly",)),
    "expect_column_values_to_be_null": Entry(_ONE, ("mostly",)),
    "expect_column_values_to_be_between": Entry(
        _ONE, (*_RANGE, "mostly"), suits=(*_NUMBERS, "timestamp")
    ),
    "expect_column_values_to_be_in_set": Entry(_ONE, ("mostly",), ("value_set",)),
    "expect_column_values_to_not_be_in_set": Entry(_ONE, ("mostly",), ("value_set",)),
    "expect_column_values_to_be_unique": Entry(_ONE, ("mostly",)),
    "expect_column_value_lengths_to_be_between": Entry(
        _ONE, (*_RANGE, "mostly"), suits=("string",)
    ),
    "expect_column_values_to_match_regex": Entry(_ONE, ("mostly",), ("regex",), ("string",)),
    "expect_column_values_to_not_match_regex": Entry(_ONE, ("mostly",), ("regex",), ("string",)),
    "expect_column_pair_values_a_to_be_greater_than_b": Entry(
        _PAIR, ("or_equal", "ignore_row_if", "mostly"), suits=(*_NUMBERS, "timestamp")
    ),
    "expect_column_pair_values_to_be_equal": Entry(_PAIR, ("ignore_row_if", "mostly")),
    "expect_compound_columns_to_be_unique": Entry((), (), ("column_list",)),
    "expect_column_mean_to_be_between": Entry(_ONE, _RANGE, suits=_NUMBERS),
    "expect_column_median_to_be_between": Entry(_ONE, _RANGE, suits=_NUMBERS),
    "expect_column_min_to_be_between": Entry(_ONE, _RANGE, suits=_NUMBERS),
    "expect_column_max_to_be_between": Entry(_ONE, _RANGE, suits=_NUMBERS),
    "expect_column_stdev_to_be_between": Entry(_ONE, _RANGE, suits=_NUMBERS),
    "expect_column_sum_to_be_between": Entry(_ONE, _RANGE, suits=_NUMBERS),
    "expect_column_unique_value_count_to_be_between": Entry(_ONE, _RANGE),
    "expect_column_proportion_of_unique_values_to_be_between": Entry(_ONE, _RANGE),
    "expect_column_proportion_of_non_null_values_to_be_between": Entry(_ONE, _RANGE),
    "expect_column_distinct_values_to_be_in_set": Entry(_ONE, (), ("value_set",)),
    "expect_column_distinct_values_to_contain_set": Entry(_ONE, (), ("value_set",)),
    "expect_column_distinct_values_to_equal_set": Entry(_ONE, (), ("value_set",)),
    "expect_table_row_count_to_be_between": Entry((), _RANGE),
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
    yield from _broken_kinds(entry, kwargs)
    if "min_value" in entry.arguments:
        yield from _broken_range(kind, kwargs)
    if contract is not None:
        yield from _broken_columns(kind, entry, kwargs, contract)


def _broken_kinds(entry: Entry, kwargs: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key in entry.arguments:
        value = kwargs.get(key)
        if value is None:
            continue
        if message := _CHECKS[key](value):
            yield key, f"{key} {message}, got {str(value)[:60]!r}"
        elif _has_dollar(value):
            yield key, f"{key}: `$` is not allowed; in a regex write \\Z for the end"


def _unknown(kind: str, key: str, entry: Entry) -> str:
    if key in {"row_condition", "condition_parser"}:
        return f"{key} is not allowed: conditions run code; split the column in the source instead"
    near = difflib.get_close_matches(key, entry.arguments, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{kind} has no argument {key!r}{hint} Allowed: {', '.join(entry.arguments)}"


def _broken_range(kind: str, kwargs: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is None and high is None:
        yield "", f"{kind} needs min_value or max_value: without both it checks nothing"
        return
    lowest, highest = _possible(kind)
    if high is not None and _value(high) < lowest:
        yield "max_value", f"max_value {high} is below {lowest:g}: nothing can pass"
    if low is not None and _value(low) > highest:
        yield "min_value", f"min_value {low} is above {highest:g}: nothing can pass"
    if low is not None and high is not None:
        yield from _broken_pair(low, high, kwargs)


def _broken_pair(
    low: object, high: object, kwargs: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    if isinstance(low, str) != isinstance(high, str):
        yield "max_value", "min_value and max_value must both be numbers or both be times"
    elif _value(low) > _value(high):
        yield "min_value", f"min_value {low} is larger than max_value {high}"
    elif _value(low) == _value(high) and (kwargs.get("strict_min") or kwargs.get("strict_max")):
        yield (
            "min_value",
            f"min_value and max_value are both {low}, ends excluded: nothing can pass",
        )


def _possible(kind: str) -> tuple[float, float]:
    """What the quantity of an expectation can be at all."""
    if "_proportion_" in kind:
        return 0.0, 1.0
    counts = ("_lengths_", "_count_", "_stdev_")
    return (0.0, math.inf) if any(part in kind for part in counts) else (-math.inf, math.inf)


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
            yield from _broken_values(str(name), column, kwargs)


def _broken_values(
    name: str, column: Column, kwargs: Mapping[str, object]
) -> Iterator[tuple[str, str]]:
    """A set or a bound whose values can never be equal or comparable to the column's."""
    for key in ("min_value", "max_value"):
        value = kwargs.get(key)
        is_moment = isinstance(value, str)
        if value is None or column.type not in {*_NUMBERS, "timestamp"}:
            continue
        if is_moment != (column.type == "timestamp"):
            yield key, f"{key} {value!r} cannot be compared with {name}, which is {column.type}"
    values = kwargs.get("value_set")
    for value in values if isinstance(values, list) else ():
        if not _FITS[column.type](value):
            yield "value_set", f"the value {value!r} is no {column.type}, as {name} is"
            return


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


def _bound(value: object) -> str | None:
    if isinstance(value, str):
        moment = _moment(value)
        return None if moment and moment.tzinfo else "must be a number or an ISO time with its zone"
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return None if good else "must be a number or an ISO time with its zone"


def _values(value: object) -> str | None:
    good = isinstance(value, list) and 0 < len(value) <= MAX_VALUES
    if not good or any(isinstance(v, dict | list) or v is None for v in value):  # type: ignore[attr-defined]
        return f"must be a list of 1…{MAX_VALUES:,} plain values"
    return None


def _columns(value: object) -> str | None:
    good = isinstance(value, list) and len(value) > 1 and all(isinstance(v, str) for v in value)
    return None if good else "must be a list of at least 2 columns"


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
    "min_value": _bound,
    "max_value": _bound,
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


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _value(bound: object) -> float:
    """A number or the POSIX time of an ISO time; NaN (never larger) for what is neither."""
    if isinstance(bound, str):
        moment = _moment(bound)
        return moment.timestamp() if moment else math.nan
    return float(bound) if isinstance(bound, int | float) else math.nan
