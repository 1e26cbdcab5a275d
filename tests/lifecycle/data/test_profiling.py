"""Proposals from profiles: each bound with its margin, each severity, what is never proposed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tenure.lifecycle.data.profiling import (
    BatchProfile,
    ColumnProfile,
    Proposal,
    propose,
    row_count,
)
from tenure.lifecycle.data.sources import Column, ColumnType


def column(kind: ColumnType = "number", **facts: Any) -> ColumnProfile:
    numbers = {"low": 10.0, "high": 20.0, "quantiles": {0.25: 14.0, 0.5: 15.0, 0.75: 16.0}}
    texts = {"lengths": (3, 9), "top": (("red", 60), ("blue", 40))}
    kinds: dict[str, dict[str, Any]] = {"number": numbers, "integer": numbers, "string": texts}
    base = {"rows": 100, "nulls": 0, "distinct": 50} | kinds.get(kind, {})
    return ColumnProfile(name="c", type=kind, **(base | facts))


def proposed(*profiles: ColumnProfile, **spec: Any) -> dict[str, Proposal]:
    options = {k: spec.pop(k) for k in ("key", "time_column") if k in spec}
    batches = [BatchProfile(str(i), p.rows, (p,)) for i, p in enumerate(profiles)]
    columns = {"c": Column(type=profiles[0].type, **({"nullable": False} | spec))}
    return {p.type: p for p in propose(batches, columns, **options)}


BETWEEN = "expect_column_values_to_be_between"
MEDIAN = "expect_column_median_to_be_between"
SET = "expect_column_values_to_be_in_set"
REGEX = "expect_column_values_to_match_regex"
LENGTHS = "expect_column_value_lengths_to_be_between"
NULLS = "expect_column_values_to_not_be_null"


def test_nothing_comes_from_nothing() -> None:
    assert propose([], {"c": Column(type="number")}) == ()
    assert propose([BatchProfile("a", 0, ())], {"c": Column(type="number")}) == ()


@pytest.mark.parametrize(
    ("rows", "low", "high"),
    [([100], 20, 500), ([100] * 4, 50, 200), ([90, 110], 30, 330), ([1], 1, 5)],
)
def test_rows_of_a_batch(rows: list[int], low: int, high: int) -> None:
    found = row_count(rows)

    assert (found.kwargs, found.severity) == ({"min_value": low, "max_value": high}, "critical")


def test_range_and_median_shrink_with_history() -> None:
    once, often = proposed(column()), proposed(*[column()] * 16)

    assert once[BETWEEN].kwargs == {"column": "c", "min_value": 5.0, "max_value": 25.0}
    assert often[BETWEEN].kwargs == {"column": "c", "min_value": 8.7, "max_value": 21.3}
    assert (once[BETWEEN].severity, once[MEDIAN].severity) == ("warning", "critical")
    assert once[MEDIAN].kwargs == {"column": "c", "min_value": 12.0, "max_value": 18.0}
    assert often[MEDIAN].kwargs == {"column": "c", "min_value": 13.5, "max_value": 16.5}
    assert once[BETWEEN].evidence == "10…20 in 1 batch (100 rows)."
    assert often[BETWEEN].evidence == "10…20 in 16 batches (1,600 rows)."


def test_what_was_never_negative_stays_so() -> None:
    found = proposed(column(low=1.0, high=101.0))

    assert found[BETWEEN].kwargs == {"column": "c", "min_value": 0.0, "max_value": 151.0}
    assert proposed(column(low=-1.0, high=9.0))[BETWEEN].kwargs["min_value"] == -6.0


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-12, 1e300, -7.25, 123456789.123])
def test_rounding_shuts_nothing_out(value: float) -> None:
    kwargs = proposed(column(low=value, high=value + abs(value) / 3))[BETWEEN].kwargs

    assert float(kwargs["min_value"]) <= value <= float(kwargs["max_value"])  # type: ignore[arg-type]


def test_numbers_that_name_rows_have_no_upper_end() -> None:
    unique = column("integer", low=1, high=100, distinct=100)

    for found in (proposed(unique), proposed(column("integer", low=1, high=9), key=("c",))):
        assert found[BETWEEN].kwargs == {"column": "c", "min_value": 0}
        assert MEDIAN not in found
    assert proposed(replace(unique, distinct=99))[BETWEEN].kwargs["max_value"] == 150


def test_a_median_needs_spread_and_rows() -> None:
    flat = {0.25: 15.0, 0.5: 15.0, 0.75: 15.0}

    assert MEDIAN not in proposed(column(quantiles=flat))
    assert MEDIAN not in proposed(column(rows=29))
    assert MEDIAN in proposed(column(rows=30))


def test_categories_are_few_and_frequent() -> None:
    few = column("string", distinct=2)

    assert proposed(few)[SET].kwargs == {"column": "c", "value_set": ["blue", "red"]}
    assert proposed(few)[SET].severity == "warning"
    assert proposed(few)[SET].evidence == "2 different values in 1 batch (100 rows)."
    more = replace(few, top=(("green", 5),))
    assert proposed(few, more)[SET].kwargs["value_set"] == ["blue", "green", "red"]
    assert SET in proposed(column("string", distinct=20))
    assert SET not in proposed(column("string", distinct=21)), "less than 5 times each"
    assert SET not in proposed(column("string", rows=1000, distinct=51))
    assert SET not in proposed(column("string", distinct=2, top=(("$HOME", 60),)))
    assert SET not in proposed(few, column("string", distinct=99))


def test_form_and_length_of_texts() -> None:
    ids = column("string", form="digits", lengths=(8, 8))
    widest = column("string", form="capital letters and digits", lengths=(4, 6))

    assert proposed(ids)[REGEX].kwargs["regex"] == "^[0-9]{8}\\Z"
    assert proposed(ids, widest)[REGEX].kwargs["regex"] == "^[A-Z0-9]{4,8}\\Z"
    assert REGEX not in proposed(ids, column("string"))
    assert proposed(column("string"))[LENGTHS].kwargs == {
        "column": "c",
        "min_value": 1,
        "max_value": 19,
    }


def test_nulls() -> None:
    some = column(rows=1000, nulls=100)

    assert proposed(some, nullable=True)[NULLS].kwargs == {"column": "c", "mostly": 0.84}
    assert proposed(some, nullable=True)[NULLS].severity == "critical"
    assert proposed(some, nullable=True)[NULLS].evidence == "10% nulls in 1 batch (1,000 rows)."
    often = proposed(*[some] * 25, nullable=True)[NULLS].kwargs["mostly"]
    assert often == 0.88
    assert NULLS not in proposed(some, nullable=False), "the contract says it already"
    assert NULLS not in proposed(column(rows=100, nulls=90), nullable=True)
    assert proposed(column(rows=20), nullable=True)[NULLS].kwargs["mostly"] == 0.84


def test_times_move_on_unless_they_are_facts() -> None:
    times = column(
        "timestamp", low=datetime(1950, 1, 1, tzinfo=UTC), high=datetime(2000, 1, 1, tzinfo=UTC)
    )

    kwargs = proposed(times)[BETWEEN].kwargs
    assert kwargs["min_value"] == "1900-01-01T00:00:00+00:00"
    assert kwargs["max_value"] == "2049-12-31T00:00:00+00:00"
    assert BETWEEN not in proposed(times, time_column="c")
    edge = replace(times, low=datetime(1, 2, 1, tzinfo=UTC))
    assert proposed(edge)[BETWEEN].kwargs["min_value"] == "0001-01-01T00:00:00+00:00"


def test_of_personal_columns_only_nulls() -> None:
    found = proposed(column("string", distinct=2), sensitivity="personal", nullable=True)

    assert set(found) == {"expect_table_row_count_to_be_between", NULLS}


def test_a_column_that_a_batch_did_not_have_is_judged_by_the_others() -> None:
    batches = [BatchProfile("a", 10, ()), BatchProfile("b", 100, (column(),))]

    found = propose(batches, {"c": Column(type="number", nullable=False)})

    assert [p.subject for p in found] == ["the table", "c", "c"]
    assert found[1].as_expectation() == {
        "type": BETWEEN,
        "kwargs": {"column": "c", "min_value": 5.0, "max_value": 25.0},
        "severity": "warning",
        "notes": "10…20 in 1 batch (100 rows).",
    }
