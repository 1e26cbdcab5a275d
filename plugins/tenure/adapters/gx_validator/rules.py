"""What each expectation asks of a table, in the sense in which Great Expectations defines it.

Source: the gallery of Great Expectations 1.x and its engine for pandas, which the tests ask as
well. What is different on purpose: numbers stay exact, and a rule that had no value to look at does
not hold.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.adapters.gx_validator import exact, measures
from tenure.adapters.gx_validator.exact import Mask
from tenure.lifecycle.data.patterns import as_re2

EXAMPLES = 20
"""Values of broken rows, and different values of a column, that a result names."""


@dataclass(frozen=True)
class RowResult:
    """What a rule about rows found.

    Args:
        broken: Positions of the rows that break it.
        looked_at: How many rows it was about.
        examples: Values of the first broken rows; of several columns as tuples.
    """

    broken: list[int]
    looked_at: int
    examples: list[Any]


@dataclass(frozen=True)
class WholeResult:
    """What a rule about a whole column, or the table, found.

    Args:
        holds: Whether it holds; None where no value was there that could have broken it.
        value: The number that was measured, None where there is none.
        values: All different values in order, where the rule is about those and they are few.
        different: How many there are.
        surplus: Those that should not be there.
        absent: Those that should be there.
    """

    holds: bool | None
    value: Any = None
    values: list[Any] = field(default_factory=list)
    different: int = 0
    surplus: list[Any] = field(default_factory=list)
    absent: list[Any] = field(default_factory=list)


Kwargs = Mapping[str, Any]
Rule = Callable[[pa.Table, Kwargs], RowResult | WholeResult]


def look(table: pa.Table, kind: str, kwargs: Kwargs) -> RowResult | WholeResult:
    """What the expectation finds in the table.

    Raises:
        KeyError: There is no such expectation, or no such column.
        TypeError: Its arguments do not fit the type of the column.
        pyarrow.ArrowException: The same.
    """
    return RULES[kind](table, kwargs)


def _rows(broken: Mask, looked_at: int, *columns: pa.ChunkedArray) -> RowResult:
    positions: list[int] = np.flatnonzero(broken).tolist()
    first = pa.array(positions[:EXAMPLES], pa.int64())
    cells = [column.take(first).to_pylist() for column in columns]
    examples = list(zip(*cells, strict=True)) if len(cells) > 1 else cells[0]
    return RowResult(positions, looked_at, examples)


def _null(table: pa.Table, kwargs: Kwargs) -> RowResult:
    column = table.column(kwargs["column"])
    return _rows(exact.mask(pc.is_valid(column)), len(column), column)


def _not_null(table: pa.Table, kwargs: Kwargs) -> RowResult:
    column = table.column(kwargs["column"])
    return _rows(exact.mask(pc.is_null(column)), len(column), column)


def _each(is_good: Callable[[pa.ChunkedArray, Kwargs], Mask]) -> Rule:
    """A rule about each value of a column; nulls are left out."""

    def rule(table: pa.Table, kwargs: Kwargs) -> RowResult:
        column = table.column(kwargs["column"])
        is_there = exact.mask(pc.is_valid(column))
        broken = is_there & ~is_good(column, kwargs)
        return _rows(broken, int(is_there.sum()), column)

    return rule


def _in_range(values: pa.ChunkedArray, kwargs: Kwargs) -> Mask:
    return exact.is_inside(
        values,
        kwargs.get("min_value"),
        kwargs.get("max_value"),
        strict_low=bool(kwargs.get("strict_min")),
        strict_high=bool(kwargs.get("strict_max")),
    )


def _in_set(values: pa.ChunkedArray, kwargs: Kwargs) -> Mask:
    return exact.is_among(values, kwargs["value_set"])


def _not_in_set(values: pa.ChunkedArray, kwargs: Kwargs) -> Mask:
    return ~exact.is_among(values, kwargs["value_set"])


def _unique(values: pa.ChunkedArray, _: Kwargs) -> Mask:
    return ~exact.is_repeated(exact.codes(values))


def _length_in_range(values: pa.ChunkedArray, kwargs: Kwargs) -> Mask:
    return _in_range(pc.utf8_length(values).cast(pa.int64()), kwargs)


def _matches(values: pa.ChunkedArray, kwargs: Kwargs) -> Mask:
    """By RE2: Python's engine may take for ever."""
    return exact.mask(pc.match_substring_regex(values, as_re2(kwargs["regex"])))


def _matches_not(values: pa.ChunkedArray, kwargs: Kwargs) -> Mask:
    return ~_matches(values, kwargs)


def _pair(table: pa.Table, kwargs: Kwargs, order: str) -> RowResult:
    left, right = table.column(kwargs["column_A"]), table.column(kwargs["column_B"])
    has_left, has_right = (exact.mask(pc.is_valid(column)) for column in (left, right))
    looked_at = {
        "both_values_are_missing": has_left | has_right,
        "either_value_is_missing": has_left & has_right,
        "neither": np.ones(len(left), np.bool_),
    }[kwargs.get("ignore_row_if") or "both_values_are_missing"]
    broken = looked_at & ~exact.compare(left, right, order)
    return _rows(broken, int(looked_at.sum()), left, right)


def _equal(table: pa.Table, kwargs: Kwargs) -> RowResult:
    return _pair(table, kwargs, "equal")


def _greater(table: pa.Table, kwargs: Kwargs) -> RowResult:
    return _pair(table, kwargs, "greater_equal" if kwargs.get("or_equal") else "greater")


def _unique_together(table: pa.Table, kwargs: Kwargs) -> RowResult:
    """Null is a value here, but a row of nothing else is left out."""
    columns = [table.column(name) for name in kwargs["column_list"]]
    parts = [exact.codes(column) for column in columns]
    is_there = np.any([part >= 0 for part in parts], axis=0)
    found = np.where(is_there, exact.combined(parts), -1)
    return _rows(exact.is_repeated(found), int(is_there.sum()), *columns)


def _number(measure: Callable[[pa.ChunkedArray], Any]) -> Rule:
    """A rule about a number of the values that are there; of none there is no number."""

    def rule(table: pa.Table, kwargs: Kwargs) -> WholeResult:
        values = table.column(kwargs["column"]).drop_null()
        found = measure(values) if len(values) else None
        if not measures.is_finite(found):
            return WholeResult(holds=False)
        shown = float(found) if isinstance(found, Fraction) else found
        return WholeResult(_fits(found, values.type, kwargs), shown)

    return rule


def _fits(found: Any, kind: pa.DataType, kwargs: Kwargs) -> bool:
    """Whether a number lies within the bounds; Python compares integers and fractions exactly."""
    low, high = (
        None if kwargs.get(name) is None else exact.as_bound(kwargs[name], kind)
        for name in ("min_value", "max_value")
    )
    above = low is None or (found > low if kwargs.get("strict_min") else found >= low)
    below = high is None or (found < high if kwargs.get("strict_max") else found <= high)
    return bool(above and below)


def _different(table: pa.Table, kwargs: Kwargs) -> WholeResult:
    values = table.column(kwargs["column"])
    found = int(exact.codes(values).max(initial=-1)) + 1
    fits = _fits(found, pa.int64(), kwargs)
    return WholeResult(fits if found or not fits else None, found)


def _different_share(table: pa.Table, kwargs: Kwargs) -> WholeResult:
    values = table.column(kwargs["column"]).drop_null()
    if not len(values):
        return WholeResult(holds=False)
    share = (int(exact.codes(values).max()) + 1) / len(values)
    return WholeResult(_fits(share, pa.float64(), kwargs), share)


def _filled_share(table: pa.Table, kwargs: Kwargs) -> WholeResult:
    values = table.column(kwargs["column"])
    if not len(values):
        return WholeResult(holds=False)
    share = (len(values) - values.null_count) / len(values)
    return WholeResult(_fits(share, pa.float64(), kwargs), share)


def _count(table: pa.Table, kwargs: Kwargs) -> WholeResult:
    return WholeResult(_fits(table.num_rows, pa.int64(), kwargs), table.num_rows)


def _distinct(*, may_have_others: bool, must_have_all: bool) -> Rule:
    """A rule about the set of different values."""

    def rule(table: pa.Table, kwargs: Kwargs) -> WholeResult:
        found = pa.chunked_array([pc.unique(table.column(kwargs["column"]).drop_null())])
        members = kwargs["value_set"]
        surplus = found.filter(pa.array(~exact.is_among(found, members)))
        absent = list(_absent(found, members)) if must_have_all else []
        is_good = (may_have_others or not len(surplus)) and not absent
        return WholeResult(
            holds=is_good if len(found) or not is_good else None,
            values=sorted(found.to_pylist()) if len(found) <= EXAMPLES else [],
            different=len(found),
            surplus=[] if may_have_others else surplus.slice(0, EXAMPLES).to_pylist(),
            absent=absent[:EXAMPLES],
        )

    return rule


def _absent(found: pa.ChunkedArray, members: list[Any]) -> Iterator[Any]:
    return (member for member in members if not exact.is_among(found, [member]).any())


RULES: dict[str, Rule] = {
    "expect_column_values_to_not_be_null": _not_null,
    "expect_column_values_to_be_null": _null,
    "expect_column_values_to_be_between": _each(_in_range),
    "expect_column_values_to_be_in_set": _each(_in_set),
    "expect_column_values_to_not_be_in_set": _each(_not_in_set),
    "expect_column_values_to_be_unique": _each(_unique),
    "expect_column_value_lengths_to_be_between": _each(_length_in_range),
    "expect_column_values_to_match_regex": _each(_matches),
    "expect_column_values_to_not_match_regex": _each(_matches_not),
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _equal,
    "expect_compound_columns_to_be_unique": _unique_together,
    "expect_column_mean_to_be_between": _number(measures.mean),
    "expect_column_median_to_be_between": _number(measures.median),
    "expect_column_min_to_be_between": _number(measures.least),
    "expect_column_max_to_be_between": _number(measures.largest),
    "expect_column_stdev_to_be_between": _number(measures.deviation),
    "expect_column_sum_to_be_between": _number(measures.total),
    "expect_column_unique_value_count_to_be_between": _different,
    "expect_column_proportion_of_unique_values_to_be_between": _different_share,
    "expect_column_proportion_of_non_null_values_to_be_between": _filled_share,
    "expect_column_distinct_values_to_be_in_set": _distinct(
        may_have_others=False, must_have_all=False
    ),
    "expect_column_distinct_values_to_contain_set": _distinct(
        may_have_others=True, must_have_all=True
    ),
    "expect_column_distinct_values_to_equal_set": _distinct(
        may_have_others=False, must_have_all=True
    ),
    "expect_table_row_count_to_be_between": _count,
}
