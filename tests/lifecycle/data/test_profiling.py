"""Proposals from profiles: each bound with its margin, each severity, what is never proposed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tenure.lifecycle.data.expectations import rounded_bound
from tenure.lifecycle.data.profiling import (
    BatchProfile,
    ColumnProfile,
    Proposal,
    most_telling,
    propose,
    row_count,
)
from tenure.lifecycle.data.profiling.repetition import no_repetition, telling_columns
from tenure.lifecycle.data.sources import Column, ColumnType


def column(kind: ColumnType = "number", **facts: Any) -> ColumnProfile:
    numbers = {"low": 10.0, "high": 20.0, "quantiles": {0.25: 14.0, 0.5: 15.0, 0.75: 16.0}}
    texts = {"lengths": (3, 9), "top": (("red", 60), ("blue", 40))}
    kinds: dict[str, dict[str, Any]] = {"number": numbers, "integer": numbers, "string": texts}
    base = {"rows": 100, "nulls": 0, "distinct": 80} | kinds.get(kind, {})
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


NEAR = 2**53


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (NEAR - 1, NEAR + 1),
        (NEAR, NEAR + 3),
        (NEAR + 1, NEAR + 3),
        (-NEAR - 3, -NEAR - 1),
        (2**60 + 7, 2**60 + 9),
        (2**62, 2**63 - 1),
        (-(2**63), 2**63 - 1),
        (-(2**63), 7),
    ],
)
def test_a_range_of_large_whole_numbers_is_exact(low: int, high: int) -> None:
    """No bound shuts its own values out, and none is such as the lint refuses."""
    seen = column("integer", low=low, high=high, quantiles={}, distinct=3)
    kwargs = proposed(seen)[BETWEEN].kwargs
    bounds = [kwargs[end] for end in ("min_value", "max_value") if end in kwargs]
    assert [rounded_bound(bound) for bound in bounds] == [None] * len(bounds)
    assert kwargs.get("min_value", low) <= low < high <= kwargs.get("max_value", high)  # type: ignore[operator]
    assert all(-(2**63) <= bound < 2**63 for bound in bounds)  # type: ignore[operator]


def test_range_and_median_shrink_with_history() -> None:
    once, often = proposed(column()), proposed(*[column()] * 16)

    assert once[BETWEEN].kwargs == {"column": "c", "min_value": 5.0, "max_value": 25.0}
    assert often[BETWEEN].kwargs == {"column": "c", "min_value": 7.5, "max_value": 22.5}
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


NO_MEDIAN = {
    "flag": column("integer", low=0, high=1, distinct=2, top=((0, 60), (1, 40))),
    "flag as number": column("number", low=0.0, high=1.0, distinct=2, top=((0.0, 60), (1.0, 40))),
    "rating": column("integer", distinct=5, top=tuple((n, 20) for n in range(5))),
    "five digits": column("integer", low=10115, high=99998),
    "counts up": column("integer", distinct=100),
}


@pytest.mark.parametrize("one", NO_MEDIAN.values(), ids=NO_MEDIAN.keys())
def test_no_median_of_codes_and_flags(one: ColumnProfile) -> None:
    assert MEDIAN in proposed(column("integer"))
    assert MEDIAN not in proposed(*[one] * 6)


@pytest.mark.parametrize(
    ("name", "is_code"),
    [("zip", True), ("diagnosis_code", True), ("branchId", True), ("salary", False), ("c", False)],
)
def test_no_median_of_what_is_called_a_code(name: str, is_code: bool) -> None:
    one = replace(column("integer"), name=name)
    found = propose([BatchProfile("a", 100, (one,))], {name: Column(type="integer")})

    assert (MEDIAN not in {p.type for p in found}) is is_code


def test_a_flag_stays_a_flag() -> None:
    assert proposed(NO_MEDIAN["flag"])[BETWEEN].kwargs == {
        "column": "c",
        "min_value": 0,
        "max_value": 1,
    }


def test_small_batches_have_their_say() -> None:
    """Four values whose median is far off widen the bounds; a batch without any ends the rule."""
    odd = column(rows=4, distinct=4, low=10.0, high=11.0, quantiles={0.25: 10, 0.5: 10.2, 0.75: 11})
    many = column(rows=1000, distinct=900, low=0.0, high=99.0)

    assert proposed(many)[MEDIAN].kwargs["min_value"] == 12.0
    assert proposed(many, odd)[MEDIAN].kwargs["min_value"] < 10.2
    empty = column(rows=9, nulls=9, distinct=0, low=None, high=None, quantiles={})
    assert MEDIAN not in proposed(many, empty)
    assert BETWEEN in proposed(many, empty)
    half = column(rows=9, nulls=4, distinct=0)
    assert 0.1 < proposed(many, half, nullable=True)[NULLS].kwargs["mostly"] < 5 / 9
    assert NULLS not in proposed(many, empty, nullable=True)


def test_what_moves_may_move_on() -> None:
    """Rows, ranges and medians that rise by the month have room for as many months to come."""

    def month(n: int) -> ColumnProfile:
        middle = {0.25: 10.0 * n, 0.5: 10.0 * n + 1, 0.75: 10.0 * n + 2}
        return column(rows=100 + 10 * n, low=10.0 * n - 900, high=10.0 * n + 900, quantiles=middle)

    found = proposed(*[month(n) for n in range(12)])

    assert found[BETWEEN].kwargs["max_value"] >= 110 + 900 + 12 * 10
    assert found[MEDIAN].kwargs["max_value"] >= 110 + 1 + 12 * 10
    assert found["expect_table_row_count_to_be_between"].kwargs["max_value"] >= 210 + 12 * 10


def test_a_form_that_one_batch_of_several_made_is_none() -> None:
    digits, odd = column("string", form="digits"), column("string", form="hexadecimal digits")

    assert REGEX in proposed(digits, digits, digits)
    assert REGEX not in proposed(digits, digits, odd)
    assert LENGTHS in proposed(digits, digits, odd)


def test_of_many_proposals_every_column_keeps_its_first() -> None:
    batch = BatchProfile("a", 100, tuple(replace(column(nulls=9), name=n) for n in "abc"))
    found = propose([batch], {n: Column(type="number") for n in "abc"})
    assert len(found) == 1 + 3 * 3

    kept = most_telling(found, 6)

    assert [p.subject for p in kept] == ["the table", "a", "a", "b", "b", "c"]
    assert most_telling(found, 99) == found


def test_categories_are_few_and_frequent() -> None:
    few = column("string", distinct=2)

    assert proposed(few)[SET].kwargs == {"column": "c", "value_set": ["blue", "red"]}
    assert proposed(few)[SET].severity == "warning"
    assert proposed(few)[SET].evidence == "2 different values in 1 batch (100 rows)."
    more = replace(few, distinct=3, top=(("red", 90), ("blue", 9), ("green", 1)))
    assert proposed(few, more)[SET].kwargs["value_set"] == ["blue", "green", "red"]
    grown = replace(few, distinct=3, top=(("red", 60), ("blue", 37), ("green", 3)))
    assert not is_closed(few, grown), "3% of the newest batch were new"
    assert is_closed(grown, few)
    assert is_closed(column("string", distinct=20))
    assert not is_closed(column("string", distinct=21)), "less than 5 times each"
    assert not is_closed(column("string", rows=1000, distinct=51))
    assert not is_closed(column("string", distinct=2, top=(("$HOME", 60),)))
    assert not is_closed(few, column("string", distinct=99))


def is_closed(*seen: ColumnProfile) -> bool:
    """Whether no other text than those that came is allowed in a row."""
    rule = proposed(*seen).get(SET)
    return rule is not None and "mostly" not in rule.kwargs


def test_of_texts_that_keep_coming_with_new_ones_the_usual_are_expected_of_a_batch() -> None:
    often = tuple((f"s{n:02d}", 19) for n in range(50))
    open_ = column("string", rows=1000, distinct=60, top=often)

    rule = proposed(open_, open_)[SET]

    assert rule.kwargs["value_set"] == [f"s{n:02d}" for n in range(50)]
    assert (rule.kwargs["mostly"], rule.severity) == (0.47, "warning")
    assert rule.evidence == "The usual texts are 95% of those in 2 batches (2,000 rows)."
    less = replace(open_, top=tuple((f"s{n:02d}", 10) for n in range(50)))
    assert SET not in proposed(open_, less), "half of a batch may be new: nothing is usual"
    priced = replace(open_, top=(("$5", 200), *often))
    assert "$5" not in proposed(priced)[SET].kwargs["value_set"]  # type: ignore[operator]


COLUMNS = ("a", "b")
REPEATED: dict[str, tuple[list[float], list[int], float | None]] = {
    "never": ([0.0, 0.0], [1000, 1000], 0.98),
    "sometimes": ([0.1, 0.02], [1000, 1000], 0.84),
    "few rows": ([0.0, 0.0], [30, 30], 0.89),
    "too few rows": ([0.0, 0.0], [30, 29], None),
    "often": ([0.33, 0.33], [1000, 1000], None),
}


@pytest.mark.parametrize(("repeated", "rows", "mostly"), REPEATED.values(), ids=REPEATED)
def test_rows_that_come_twice(repeated: list[float], rows: list[int], mostly: float | None) -> None:
    found = no_repetition(COLUMNS, repeated, rows)

    assert [p.kwargs for p in found] == (
        [{"column_list": ["a", "b"], "mostly": mostly}] if mostly else []
    )
    assert all(p.severity == "critical" for p in found)
    assert no_repetition(("a",), repeated, rows) == ()


def test_the_columns_that_tell_rows_apart() -> None:
    seen = [replace(column(distinct=n), name=f"c{n}") for n in (1, 7, 3, 9, 2, 8, 5, 6)]

    assert telling_columns(BatchProfile("a", 100, tuple(seen)), {"c8"}) == (
        "c9", "c7", "c6", "c5", "c3",
    )  # fmt: skip


def test_form_and_length_of_texts() -> None:
    ids = column("string", form="digits", lengths=(8, 8))
    widest = column("string", form="capital letters and digits", lengths=(4, 6))

    assert proposed(ids)[REGEX].kwargs["regex"] == "^[0-9]{8}\\Z"
    assert proposed(ids, widest)[REGEX].kwargs["regex"] == "^[A-Z0-9]{1,11}\\Z"
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
    assert {*proposed(edge)[BETWEEN].kwargs} == {"column", "max_value"}
    forever = replace(times, high=datetime(9999, 12, 31, tzinfo=UTC))
    assert {*proposed(forever)[BETWEEN].kwargs} == {"column", "min_value"}
    assert BETWEEN not in proposed(replace(edge, high=datetime(9999, 12, 31, tzinfo=UTC)))


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
