"""Checks as sentences for people who write none, and what of them may be shown to whom."""

from collections.abc import Callable, Mapping

from tenure.lifecycle.data.expectations import (
    ROW_COUNT,
    Expectation,
    counted_rows,
    listed,
    spelled,
)
from tenure.lifecycle.data.quality import KEY, MAX_QUARANTINED, MIN_ROWS
from tenure.verdicts import Check

NOT_SHOWN = "a value that is not shown"
_OF_ROWS = frozenset({ROW_COUNT, MIN_ROWS, MAX_QUARANTINED, KEY})
"""Rules whose numbers count rows: they tell no value of the data."""

_MEASURED = {
    "expect_column_mean_to_be_between": "the mean of {}",
    "expect_column_median_to_be_between": "the median of {}",
    "expect_column_min_to_be_between": "the smallest value of {}",
    "expect_column_max_to_be_between": "the largest value of {}",
    "expect_column_stdev_to_be_between": "the standard deviation of {}",
    "expect_column_sum_to_be_between": "the sum of {}",
    "expect_column_unique_value_count_to_be_between": "the number of different values of {}",
    "expect_column_proportion_of_unique_values_to_be_between": "the share of different values "
    "of {}",
    "expect_column_proportion_of_non_null_values_to_be_between": "the share of rows that have {}",
    "expect_column_value_lengths_to_be_between": "the length of {}",
    "expect_column_values_to_be_between": "{}",
}
_FIXED: dict[str, str] = {
    "expect_column_values_to_be_null": "{} is empty",
    "expect_column_values_to_be_unique": "each value of {} comes only once",
    "expect_compound_columns_to_be_unique": "each combination of {} comes only once",
    "expect_column_pair_values_to_be_equal": "{} are equal",
}
_WITH_SET: dict[str, str] = {
    "expect_column_values_to_be_in_set": "{} is one of {}",
    "expect_column_values_to_not_be_in_set": "{} is none of {}",
    "expect_column_distinct_values_to_be_in_set": "{} holds nothing but {}",
    "expect_column_distinct_values_to_contain_set": "{} holds each of {}",
    "expect_column_distinct_values_to_equal_set": "{} holds each of {} and nothing else",
}
_CONTRACT_RULES = {
    "contract": "{} is as the contract says",
    "schema": "{} is as the contract and the batches before have it",
    "type": "each value of {} is of the type in the contract",
    "rounded": "each value of {} keeps all its digits",
    "null": "{} is never missing: the contract says so",
    "encoding": "{} is text in the encoding of the source",
    "quote": "each quote within a cell of {} is doubled or escaped",
    "header": "the header comes once, as the first line",
    "width": "each row has as many cells as the header",
    "key": "each {} is there and comes only once: other rows are set aside",
    "max_quarantined": "the share of rows that are set aside stays within its limit",
    "min_rows": "enough good rows remain",
}


def sentence(expectation: Expectation) -> str:
    """What the expectation asks, as a sentence without its full stop.

    `temp may be missing in at most 2% of the rows`, `month is between 1 and 12`.
    """
    if expectation.type == "expect_column_values_to_not_be_null":
        return _not_missing(expectation)
    maker = _MAKERS.get(expectation.type)
    said = maker(expectation) if maker else _common(expectation)
    share = expectation.mostly
    return said if share >= 1 else f"{said}, in at least {100 * share:.4g}% of the rows"


def rule_sentence(rule: str, subject: str, allowed: str) -> str:
    """The same of a check that is no expectation, or whose expectation is not known any more."""
    known = _CONTRACT_RULES.get(rule)
    if known is not None:
        return known.format(subject)
    words = rule.removeprefix("expect_").replace("_", " ")
    return f"{subject}: {words}, allowed {allowed}"


def without_values(check: Check) -> str:
    """What a check observed without any value of the data: counts of rows stay."""
    if _counts_rows(check):
        return check.observed
    return counted_rows(check.rule, *check.counts) if check.counts else NOT_SHOWN


def charted_number(check: Check, *, shown: bool) -> float | None:
    """The number of a check that a chart shows: a share in percent where rows were counted.

    Args:
        check: Of one batch.
        shown: Whether values of its columns may be shown.
    """
    if check.counts:
        broken, total = check.counts
        return 100 * broken / total if total else 0.0
    return check.value if shown or _counts_rows(check) else None


def _counts_rows(check: Check) -> bool:
    return check.rule in _OF_ROWS and check.value is not None


def _not_missing(expectation: Expectation) -> str:
    if expectation.mostly >= 1:
        return f"{expectation.subject} is never missing"
    share = f"{100 * (1 - expectation.mostly):.4g}%"
    return f"{expectation.subject} may be missing in at most {share} of the rows"


def _common(expectation: Expectation) -> str:
    kind, subject = expectation.type, expectation.subject
    if kind in _MEASURED:
        return f"{_MEASURED[kind].format(subject)} is {_bounds(expectation.kwargs)}"
    if kind in _WITH_SET:
        return _WITH_SET[kind].format(subject, _listed(expectation.kwargs.get("value_set")))
    if kind in _FIXED:
        return _FIXED[kind].format(subject)
    return f"{subject}: {kind.removeprefix('expect_').replace('_', ' ')}"


def _of_form(expectation: Expectation) -> str:
    never = "never " if "not_match" in expectation.type else ""
    return f"{expectation.subject} {never}has the form `{expectation.kwargs.get('regex')}`"


def _greater(expectation: Expectation) -> str:
    kwargs = expectation.kwargs
    relation = "not less" if kwargs.get("or_equal") else "greater"
    return f"{kwargs.get('column_A')} is {relation} than {kwargs.get('column_B')}"


_MAKERS: dict[str, Callable[[Expectation], str]] = {
    ROW_COUNT: lambda e: f"the batch has {_bounds(e.kwargs)} rows",
    "expect_column_values_to_match_regex": _of_form,
    "expect_column_values_to_not_match_regex": _of_form,
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
}


def _bounds(kwargs: Mapping[str, object]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        ends = {"strict_min": "the lower", "strict_max": "the upper"}
        out = [word for name, word in ends.items() if kwargs.get(name)]
        excluded = f" ({' and '.join(out)} end excluded)" if out else ""
        return f"between {_plain(low)} and {_plain(high)}{excluded}"
    if low is not None:
        return ("more than " if kwargs.get("strict_min") else "at least ") + _plain(low)
    return ("less than " if kwargs.get("strict_max") else "at most ") + _plain(high)


def _listed(values: object) -> str:
    found = values if isinstance(values, list) else []
    return listed([spelled(value) for value in found], len(found))


def _plain(value: object) -> str:
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,g}"
    return str(value)
