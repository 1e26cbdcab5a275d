"""An expectation suite as data: which expectations exist, and how each is said in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tenure.verdicts import Severity

LISTED = 8
"""Values of a set that a sentence names before it counts the others."""
ROW_COUNT = "expect_table_row_count_to_be_between"


@dataclass(frozen=True)
class Expectation:
    """One expectation of a suite, already linted.

    `id` names it within the suite; it comes from the file or is derived from the content.
    """

    id: str
    type: str
    kwargs: Mapping[str, object]
    severity: Severity

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it looks at; none when it is about the table."""
        return columns_of(self.kwargs)

    @property
    def subject(self) -> str:
        """The same for people, or `the table`."""
        return " and ".join(self.columns) or "the table"

    @property
    def mostly(self) -> float:
        """Share of rows that must hold, 0…1."""
        return _number(self.kwargs.get("mostly"), 1.0)


@dataclass(frozen=True)
class Suite:
    """An expectation suite; `digest` is the SHA-256 of the file's bytes, `body` its text."""

    name: str
    digest: str
    body: str
    expectations: tuple[Expectation, ...]


def columns_of(kwargs: Mapping[str, object]) -> tuple[str, ...]:
    """The columns that arguments name; none where they are about the table."""
    named = [kwargs.get(k) for k in ("column", "column_A", "column_B")]
    listed = kwargs.get("column_list")
    columns = [str(c) for c in named if c is not None]
    columns += [str(c) for c in listed] if isinstance(listed, list) else []
    return tuple(columns)


def allowed(expectation: Expectation) -> str:
    """What the expectation allows, for people: `at most 2% nulls`, `1…12`."""
    kwargs = expectation.kwargs
    if expectation.type == "expect_column_values_to_not_be_null":
        return "none" if expectation.mostly >= 1 else f"at most {_percent(1 - expectation.mostly)}"
    if expectation.type == "expect_column_values_to_be_unique":
        return "each value once" + _tolerance(expectation.mostly)
    words = {
        "expect_column_values_to_be_null": "only nulls",
        "expect_compound_columns_to_be_unique": "each combination once",
        "expect_column_pair_values_to_be_equal": "equal values",
        "expect_column_pair_values_a_to_be_greater_than_b": _greater(kwargs),
        "expect_column_values_to_match_regex": f"text like {kwargs.get('regex')}",
        "expect_column_values_to_not_match_regex": f"no text like {kwargs.get('regex')}",
    }.get(expectation.type)
    if words is None:
        words = _set_or_range(expectation.type, kwargs)
    return words + _tolerance(expectation.mostly)


def topic(expectation: Expectation) -> str:
    """What the expectation is about, for people: `temp, nulls`, `month, values`, `the table`."""
    if expectation.type == ROW_COUNT:
        return expectation.subject
    return f"{expectation.subject}, {_TOPICS.get(expectation.type, 'values')}"


_TOPICS = {
    "expect_column_values_to_not_be_null": "nulls",
    "expect_column_values_to_be_null": "nulls",
    "expect_column_values_to_be_unique": "repetition",
    "expect_compound_columns_to_be_unique": "repetition",
    "expect_column_value_lengths_to_be_between": "length",
    "expect_column_values_to_match_regex": "form",
    "expect_column_values_to_not_match_regex": "form",
    "expect_column_pair_values_to_be_equal": "both",
    "expect_column_pair_values_a_to_be_greater_than_b": "order",
}


def limit(expectation: Expectation, *, by_row: bool) -> float | None:
    """The number that may just be reached; None where there is not exactly one.

    Args:
        expectation: What is asked.
        by_row: Whether rows are counted: then it is the share of rows that may break it.
    """
    if by_row:
        return 1.0 - expectation.mostly
    ends = [expectation.kwargs.get(name) for name in ("min_value", "max_value")]
    numbers = [end for end in ends if isinstance(end, int | float)]
    return numbers[0] if len(numbers) == 1 else None


def observed_rows(expectation: Expectation, *, broken: int, total: int, example: str) -> str:
    """What was seen, for people: `3,121 of 28,834 nulls (10.8%)`."""
    counted = counted_rows(expectation.type, broken, total)
    if expectation.type == "expect_column_values_to_not_be_null":
        return counted
    return counted + (f", such as {example}" if example else "")


def counted_rows(rule: str, broken: int, total: int) -> str:
    """The same without any value of the data.

    >>> counted_rows("expect_column_values_to_be_in_set", 3, 12)
    '3 of 12 unknown values (25.0%)'
    """
    share = f" ({100 * broken / total:.1f}%)" if total else ""
    return f"{broken:,} of {total:,} {_BROKEN.get(rule, 'rows that break it')}{share}"


_BROKEN = {
    "expect_column_values_to_not_be_null": "nulls",
    "expect_column_values_to_be_null": "values that are not null",
    "expect_column_values_to_be_between": "values out of range",
    "expect_column_values_to_be_in_set": "unknown values",
    "expect_column_values_to_not_be_in_set": "forbidden values",
    "expect_column_values_to_be_unique": "repeated values",
    "expect_compound_columns_to_be_unique": "repeated combinations",
    "expect_column_value_lengths_to_be_between": "lengths out of range",
    "expect_column_values_to_match_regex": "values of another form",
    "expect_column_values_to_not_match_regex": "values of a forbidden form",
}

_MEASURES = {
    "expect_column_mean_to_be_between": "mean",
    "expect_column_median_to_be_between": "median",
    "expect_column_min_to_be_between": "minimum",
    "expect_column_max_to_be_between": "maximum",
    "expect_column_stdev_to_be_between": "standard deviation",
    "expect_column_sum_to_be_between": "sum",
    "expect_column_unique_value_count_to_be_between": "number of different values",
    "expect_column_proportion_of_unique_values_to_be_between": "share of different values",
    "expect_column_proportion_of_non_null_values_to_be_between": "share of non-null values",
    "expect_column_value_lengths_to_be_between": "length",
}


def observed_whole(expectation: Expectation, value: str) -> str:
    """What was seen of a whole column or table, for people: `mean 53.2`, `28,834 rows`."""
    if expectation.type == ROW_COUNT:
        return f"{value} rows"
    return f"{_MEASURES.get(expectation.type, 'set of values')} {value}"


def rounded_bound(value: object) -> str | None:
    """What GX would make of a bound, which it holds as a double; None where that is the same.

    >>> rounded_bound(2**53 + 1), rounded_bound(2**53 + 2), rounded_bound(10**400)
    ('9,007,199,254,740,992', None, 'infinity')
    """
    if not isinstance(value, int):
        return None
    try:
        near = int(float(value))
    except OverflowError:
        return "infinity"
    return None if near == value else f"{near:,}"


def listed(texts: Sequence[str], total: int) -> str:
    """The first of them, and how many more there are.

    >>> listed(["7", "8"], 2), listed([str(n) for n in range(20)], 1_009)
    ('7, 8', '0, 1, 2, 3, 4, 5, 6, 7 and 1,001 more')
    """
    more = total - min(len(texts), LISTED)
    return ", ".join(texts[:LISTED]) + (f" and {more:,} more" if more > 0 else "")


def spelled(value: object) -> str:
    """A value as JSON, CSV and the gateway spell it.

    >>> spelled(True), spelled(None), spelled(datetime.fromisoformat("2013-03-01T01:00+01:00"))
    ('true', 'null', '2013-03-01T00:00:00Z')
    """
    if value is None:
        return "null"
    if isinstance(value, datetime):
        at = value if value.tzinfo is None else value.astimezone(UTC)
        return at.isoformat().replace("+00:00", "Z")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _set_or_range(kind: str, kwargs: Mapping[str, object]) -> str:
    values = kwargs.get("value_set")
    if isinstance(values, list):
        begin = "none of " if "not_be_in" in kind else "all of " if "contain" in kind else "one of "
        return begin + listed([spelled(value) for value in values], len(values))
    if kind == ROW_COUNT:
        return f"{_range(kwargs)} rows"
    quantity = _MEASURES.get(kind)
    return (f"{quantity} " if quantity else "") + _range(kwargs)


def _range(kwargs: Mapping[str, object]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        inside = " (ends excluded)" if kwargs.get("strict_min") or kwargs.get("strict_max") else ""
        return f"{_plain(low)}…{_plain(high)}{inside}"
    if low is not None:
        return ("more than " if kwargs.get("strict_min") else "at least ") + _plain(low)
    return ("less than " if kwargs.get("strict_max") else "at most ") + _plain(high)


def _greater(kwargs: Mapping[str, object]) -> str:
    relation = "≥" if kwargs.get("or_equal") else ">"
    return f"{kwargs.get('column_A')} {relation} {kwargs.get('column_B')}"


def _tolerance(mostly: float) -> str:
    return "" if mostly >= 1 else f" in at least {_percent(mostly)} of the rows"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _plain(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,g}"
    return str(value)


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default
