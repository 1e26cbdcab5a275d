"""Which numbers a steward may move, and that nothing but them changes in the file."""

import json
from pathlib import Path
from typing import Any

import pytest

from tenure.config.suite_limits import LimitChange, NoSuchLimit, limits_of, with_limits
from tenure.config.suites import parse_suite
from tenure.lifecycle.data.expectations import Suite
from tenure.settings import REPOSITORY

FLIGHTS = (REPOSITORY / "include/expectations/flights.json").read_bytes()


def flights() -> Suite:
    return parse_suite(FLIGHTS, "flights", None, Path("flights.json"))


def suite(*expectations: dict[str, Any]) -> Suite:
    body = json.dumps({"name": "s", "expectations": expectations})
    return parse_suite(body.encode(), "s", None, Path("s.json"))


NULLS = {
    "type": "expect_column_values_to_not_be_null",
    "kwargs": {"column": "temp", "mostly": 0.98},
}
ROWS = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 100}}
MONTH = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "month", "min_value": 1, "max_value": 12},
}
MEAN = {
    "type": "expect_column_mean_to_be_between",
    "kwargs": {"column": "temp", "max_value": 60.5},
}
DAYS = {
    "type": "expect_column_values_to_be_between",
    "kwargs": {"column": "at", "min_value": "2013-01-01T00:00:00Z"},
}
SET = {
    "type": "expect_column_distinct_values_to_equal_set",
    "kwargs": {"column": "city", "value_set": ["x"]},
}


@pytest.mark.parametrize(
    ("expectation", "found"),
    [
        (NULLS, [("mostly", 2.0, True)]),
        (ROWS, [("min_value", 100, True)]),
        (MONTH, [("mostly", 0.0, True), ("min_value", 1, False), ("max_value", 12, False)]),
        (MEAN, [("max_value", 60.5, True)]),
        (DAYS, [("mostly", 0.0, True)]),
        (SET, []),
    ],
    ids=["nulls", "rows", "values", "mean", "times", "set"],
)
def test_the_numbers_of_a_rule(
    expectation: dict[str, Any], found: list[tuple[str, float, bool]]
) -> None:
    (rule,) = suite(expectation).expectations
    limits = limits_of(rule)
    assert [(one.argument, one.value, one.is_observed) for one in limits] == found


def test_only_the_line_of_the_number_changes() -> None:
    before = flights()
    place = next(n for n, e in enumerate(before.expectations) if e.kwargs.get("mostly") == 0.98)

    body = with_limits(before, [LimitChange(place, "mostly", 15), LimitChange(0, "min_value", 90)])

    old, new = before.body.split("\n"), body.split("\n")
    assert len(old) == len(new)
    different = [(a.strip(), b.strip()) for a, b in zip(old, new, strict=True) if a != b]
    assert different == [
        ('"min_value": 100,', '"min_value": 90,'),
        ('"mostly": 0.98', '"mostly": 0.85'),
    ]


@pytest.mark.parametrize(
    ("expectation", "argument", "value", "written"),
    [
        (NULLS, "mostly", 15, 0.85),
        (NULLS, "mostly", 0, 1),
        (MONTH, "mostly", 0.1, 0.999),  # it had none: the text is written anew
        (MONTH, "max_value", 13, 13),
        (MONTH, "max_value", 12.5, 12.5),
        (MEAN, "max_value", 61, 61.0),
        (ROWS, "min_value", 5.0, 5),
    ],
)
def test_the_number_as_the_file_has_it(
    expectation: dict[str, Any], argument: str, value: float, written: float
) -> None:
    body = with_limits(suite(expectation), [LimitChange(0, argument, value)])
    found = json.loads(body)["expectations"][0]["kwargs"]
    assert found == expectation["kwargs"] | {argument: written}


@pytest.mark.parametrize(
    ("rule", "argument", "value", "why"),
    [
        (1, "mostly", 1, "the suite has 1 rules, none of them is 1"),
        (-1, "mostly", 1, "the suite has 1 rules, none of them is -1"),
        (0, "mostly", 1, "rule 0 has no number 'mostly'"),
        (0, "max_value", 1, "rule 0 has no number 'max_value'"),
        (0, "min_value", float("nan"), "a limit is a finite number"),
        (0, "min_value", 1.5, "1.5 is no whole number, as this limit is"),
    ],
)
def test_what_the_suite_has_not(rule: int, argument: str, value: float, why: str) -> None:
    with pytest.raises(NoSuchLimit, match=why):
        with_limits(suite(ROWS), [LimitChange(rule, argument, value)])
