"""Expectations in plain words."""

from typing import Any

import pytest

from tenure.lifecycle.data.expectations import Expectation, allowed, observed_rows, observed_whole
from tenure.verdicts import Severity


def make(kind: str, **kwargs: Any) -> Expectation:
    return Expectation("id", kind, kwargs, Severity.CRITICAL)


WORDS = {
    "no nulls": (make("expect_column_values_to_not_be_null", column="x"), "none"),
    "few nulls": (
        make("expect_column_values_to_not_be_null", column="x", mostly=0.98),
        "at most 2%",
    ),
    "range": (make("expect_column_values_to_be_between", min_value=1, max_value=12), "1…12"),
    "range mostly": (
        make("expect_column_values_to_be_between", min_value=1, max_value=12, mostly=0.99),
        "1…12 in at least 99% of the rows",
    ),
    "open range": (
        make("expect_column_values_to_be_between", min_value=0, max_value=1, strict_min=True),
        "0…1 (ends excluded)",
    ),
    "from": (make("expect_column_values_to_be_between", min_value=1000), "at least 1,000"),
    "above": (
        make("expect_column_values_to_be_between", min_value=0, strict_min=True),
        "more than 0",
    ),
    "to": (make("expect_column_values_to_be_between", max_value=0.5), "at most 0.5"),
    "below": (
        make("expect_column_values_to_be_between", max_value=3, strict_max=True),
        "less than 3",
    ),
    "set": (make("expect_column_values_to_be_in_set", value_set=["a", "b"]), "one of a, b"),
    "large set": (
        make("expect_column_values_to_be_in_set", value_set=list("abcdefghij")),
        "one of a, b, c, d, e, f, g, h and 2 more",
    ),
    "forbidden": (make("expect_column_values_to_not_be_in_set", value_set=[1]), "none of 1"),
    "containing": (
        make("expect_column_distinct_values_to_contain_set", value_set=[1]),
        "all of 1",
    ),
    "unique": (make("expect_column_values_to_be_unique", column="x"), "each value once"),
    "mean": (
        make("expect_column_mean_to_be_between", min_value=1, max_value=2.5),
        "mean 1…2.5",
    ),
    "rows": (
        make("expect_table_row_count_to_be_between", min_value=1, max_value=1000),
        "1…1,000 rows",
    ),
    "pair": (
        make(
            "expect_column_pair_values_a_to_be_greater_than_b",
            column_A="a",
            column_B="b",
            or_equal=True,
        ),
        "a ≥ b",
    ),
    "regex": (make("expect_column_values_to_match_regex", regex="a+"), "text like a+"),
}


@pytest.mark.parametrize(("expectation", "words"), WORDS.values(), ids=WORDS.keys())
def test_allowed(expectation: Expectation, words: str) -> None:
    assert allowed(expectation) == words


def test_observed() -> None:
    null = make("expect_column_values_to_not_be_null", column="temp")
    between = make("expect_column_values_to_be_between", column="month", max_value=12)

    assert observed_rows(null, broken=3121, total=28834, example="") == (
        "3,121 of 28,834 nulls (10.8%)"
    )
    assert observed_rows(between, broken=1, total=200, example="13") == (
        "1 of 200 values out of range (0.5%), such as 13"
    )
    assert observed_rows(between, broken=0, total=0, example="") == "0 of 0 values out of range"
    assert observed_whole(make("expect_column_mean_to_be_between"), "5.3") == "mean 5.3"
    assert observed_whole(make("expect_table_row_count_to_be_between"), "4") == "4 rows"


def test_subject() -> None:
    assert make("x", column="a").subject == "a"
    assert make("x", column_A="a", column_B="b").subject == "a and b"
    assert make("x", column_list=["a", "b", "c"]).subject == "a and b and c"
    assert make("x", min_value=1).subject == "the table"
