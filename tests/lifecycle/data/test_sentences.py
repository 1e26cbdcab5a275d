"""Expectations as sentences, and what of a check is shown to whom."""

from typing import Any

import pytest

from tenure.config.suite_arguments import CATALOG
from tenure.lifecycle.data.expectations import ROW_COUNT, Expectation
from tenure.lifecycle.data.sentences import (
    NOT_SHOWN,
    charted_number,
    rule_sentence,
    sentence,
    without_values,
)
from tenure.verdicts import Check, Severity, Verdict


def make(kind: str, **kwargs: Any) -> Expectation:
    return Expectation("id", f"expect_{kind}", kwargs, Severity.CRITICAL)


SAID = {
    "never null": (make("column_values_to_not_be_null", column="x"), "x is never missing"),
    "few nulls": (
        make("column_values_to_not_be_null", column="temp", mostly=0.98),
        "temp may be missing in at most 2% of the rows",
    ),
    "only nulls": (
        make("column_values_to_be_null", column="x", mostly=0.9),
        "x is empty, in at least 90% of the rows",
    ),
    "range": (
        make("column_values_to_be_between", column="month", min_value=1, max_value=12),
        "month is between 1 and 12",
    ),
    "open range": (
        make(
            "column_values_to_be_between",
            column="p",
            min_value=0,
            max_value=1,
            strict_min=True,
            strict_max=True,
        ),
        "p is between 0 and 1 (the lower and the upper end excluded)",
    ),
    "above": (
        make("column_values_to_be_between", column="d", min_value=0, strict_min=True),
        "d is more than 0",
    ),
    "below, mostly": (
        make("column_values_to_be_between", column="d", max_value=2.5, mostly=0.995),
        "d is at most 2.5, in at least 99.5% of the rows",
    ),
    "set": (
        make("column_values_to_be_in_set", column="o", value_set=["EWR", "JFK"]),
        "o is one of EWR, JFK",
    ),
    "large set": (
        make("column_values_to_be_in_set", column="o", value_set=list("abcdefghij")),
        "o is one of a, b, c, d, e, f, g, h and 2 more",
    ),
    "forbidden": (
        make("column_values_to_not_be_in_set", column="o", value_set=["?"]),
        "o is none of ?",
    ),
    "unique": (
        make("column_values_to_be_unique", column="id"),
        "each value of id comes only once",
    ),
    "unique together": (
        make("compound_columns_to_be_unique", column_list=["a", "b"]),
        "each combination of a and b comes only once",
    ),
    "form": (
        make("column_values_to_match_regex", column="id", regex="^[a-z]+"),
        "id has the form `^[a-z]+`",
    ),
    "no form": (
        make("column_values_to_not_match_regex", column="id", regex="^x"),
        "id never has the form `^x`",
    ),
    "equal": (
        make("column_pair_values_to_be_equal", column_A="a", column_B="b"),
        "a and b are equal",
    ),
    "greater": (
        make("column_pair_values_a_to_be_greater_than_b", column_A="a", column_B="b"),
        "a is greater than b",
    ),
    "not less": (
        make(
            "column_pair_values_a_to_be_greater_than_b", column_A="a", column_B="b", or_equal=True
        ),
        "a is not less than b",
    ),
    "mean": (
        make("column_mean_to_be_between", column="x", min_value=1000),
        "the mean of x is at least 1,000",
    ),
    "rows": (
        make("table_row_count_to_be_between", min_value=100, max_value=100_000),
        "the batch has between 100 and 100,000 rows",
    ),
    "time": (
        make("column_values_to_be_between", column="at", min_value="2013-01-01T00:00:00Z"),
        "at is at least 2013-01-01T00:00:00Z",
    ),
}


@pytest.mark.parametrize(("expectation", "words"), SAID.values(), ids=SAID)
def test_an_expectation_is_said_as_a_sentence(expectation: Expectation, words: str) -> None:
    assert sentence(expectation) == words


@pytest.mark.parametrize("kind", CATALOG)
def test_every_type_that_a_suite_may_hold_has_a_sentence(kind: str) -> None:
    entry = CATALOG[kind]
    kwargs: dict[str, Any] = {name: name for name in entry.columns}
    kwargs |= {"value_set": ["v"], "regex": "r", "column_list": ["a", "b"], "min_value": 1}
    named = {*entry.arguments}
    words = sentence(Expectation("i", kind, {k: v for k, v in kwargs.items() if k in named}, Severity.INFO))  # fmt: skip # noqa: E501
    assert "expect" not in words
    assert ": " not in words
    assert "None" not in words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("key", "each id is there and comes only once: other rows are set aside"),
        ("contract", "id is as the contract says"),
        ("null", "id is never missing: the contract says so"),
        ("max_quarantined", "the share of rows that are set aside stays within its limit"),
        ("expect_something_new", "id: something new, allowed 3"),
    ],
)
def test_what_is_no_known_expectation_is_said_as_well(rule: str, words: str) -> None:
    assert rule_sentence(rule, "id", "3") == words


def check(rule: str, observed: str, *columns: str, **numbers: Any) -> Check:
    return Check(rule, Verdict.PASSED, observed, "something", columns=columns, **numbers)


SHOWN: dict[str, tuple[Check, str, float | None, float | None]] = {
    "rows were counted": (
        check(
            "expect_column_values_to_be_in_set",
            "3 of 1,200 unknown values (0.2%), such as 'ada'",
            "x",
            value=0.0025,
            counts=(3, 1_200),
        ),
        "3 of 1,200 unknown values (0.2%)",
        0.25,
        0.25,
    ),
    "no row was counted": (
        check("expect_column_values_to_be_unique", "0 of 0 repeated values", "x", counts=(0, 0)),
        "0 of 0 repeated values",
        0.0,
        0.0,
    ),
    "a rule that this release does not know": (
        check("expect_something_new", "1 of 4 odd values, such as 'ada'", "x", counts=(1, 4)),
        "1 of 4 rows that break it (25.0%)",
        25.0,
        25.0,
    ),
    "a measure": (
        check("expect_column_mean_to_be_between", "mean 53.2", "x", value=53.2),
        NOT_SHOWN,
        53.2,
        None,
    ),
    "rows of the table": (
        check(ROW_COUNT, "28,834 rows", value=28_834.0),
        "28,834 rows",
        28_834.0,
        28_834.0,
    ),
    "good rows": (
        check("min_rows", "25,224 good rows", value=25_224.0),
        "25,224 good rows",
        25_224.0,
        25_224.0,
    ),
    "rows in quarantine": (
        check("max_quarantined", "1 of 40 rows (2.50%)", value=0.025, counts=(1, 40)),
        "1 of 40 rows (2.50%)",
        2.5,
        2.5,
    ),
    "a rule about rows that cannot be computed": (
        check(ROW_COUNT, "a rule that cannot be computed (no column 'ada')"),
        NOT_SHOWN,
        None,
        None,
    ),
    "a set": (
        check("expect_column_distinct_values_to_be_in_set", "set of values with 'a'", "x"),
        NOT_SHOWN,
        None,
        None,
    ),
    "the contract": (check("contract", "int64: 4711 is too big", "x"), NOT_SHOWN, None, None),
}


@pytest.mark.parametrize("case", SHOWN)
def test_without_values_only_counts_of_rows_stay(case: str) -> None:
    found, words, number, hidden = SHOWN[case]
    assert without_values(found) == words
    assert charted_number(found, shown=True) == number
    assert charted_number(found, shown=False) == hidden
