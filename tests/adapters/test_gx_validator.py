"""Rules of Great Expectations on small tables: exact, rows by position, words for people."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenure.adapters.gx_validator import validate
from tenure.config.suite_arguments import CATALOG
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.quality import Finding
from tenure.verdicts import Severity

CASES_FOLDER = Path(__file__).parents[1] / "cases"
AT = [datetime(2013, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
TABLE = pa.table(
    {
        "id": ["a", "b", "b", None],
        "n": pa.array([1, 2, 13, None], pa.int64()),
        "x": pa.array([1.0, None, None, 4.0]),
        "ok": pa.array([True, False, None, True]),
        "at": pa.array([*AT, None], pa.timestamp("us", "UTC")),
        "none": pa.nulls(4, pa.int64()),
    }
)


def run(kind: str, table: pa.Table = TABLE, **kwargs: Any) -> Finding:
    expectation = Expectation("e", kind, kwargs, Severity.WARNING)
    (finding,) = validate(table, Suite("s", "d", "", (expectation,)))
    return finding


CASES: dict[str, tuple[Finding | tuple[str, dict[str, Any]], bool, list[int], str]] = {
    "nulls": (
        ("expect_column_values_to_not_be_null", {"column": "x"}),
        False,
        [1, 2],
        "x has 2 of 4 nulls (50.0%), allowed none",
    ),
    "nulls within tolerance": (
        ("expect_column_values_to_not_be_null", {"column": "x", "mostly": 0.5}),
        True,
        [1, 2],
        "x has 2 of 4 nulls (50.0%), allowed at most 50%",
    ),
    "range, nulls aside": (
        ("expect_column_values_to_be_between", {"column": "n", "min_value": 1, "max_value": 12}),
        False,
        [2],
        "n has 1 of 3 values out of range (33.3%), such as 13, allowed 1…12",
    ),
    "range of times": (
        (
            "expect_column_values_to_be_between",
            {"column": "at", "min_value": "2013-03-02T00:00:00+00:00"},
        ),
        False,
        [0],
        "at has 1 of 3 values out of range (33.3%), such as 2013-03-01T00:00:00Z, allowed at "
        "least 2013-03-02T00:00:00+00:00",
    ),
    "set": (
        ("expect_column_values_to_be_in_set", {"column": "id", "value_set": ["a"]}),
        False,
        [1, 2],
        "id has 2 of 3 unknown values (66.7%), such as 'b', allowed one of a",
    ),
    "set of flags": (
        ("expect_column_values_to_be_in_set", {"column": "ok", "value_set": [True]}),
        False,
        [1],
        "ok has 1 of 3 unknown values (33.3%), such as false, allowed one of true",
    ),
    "unique": (
        ("expect_column_values_to_be_unique", {"column": "id"}),
        False,
        [1, 2],
        "id has 2 of 3 repeated values (66.7%), such as 'b', allowed each value once",
    ),
    "regex with groups": (
        ("expect_column_values_to_match_regex", {"column": "id", "regex": r"^(a|c)\Z"}),
        False,
        [1, 2],
        "id has 2 of 3 values of another form (66.7%), such as 'b', allowed text like ^(a|c)\\Z",
    ),
    "mean": (
        ("expect_column_mean_to_be_between", {"column": "x", "max_value": 2}),
        False,
        [],
        "x has mean 2.5, allowed mean at most 2",
    ),
    "distinct": (
        ("expect_column_distinct_values_to_be_in_set", {"column": "id", "value_set": ["a"]}),
        False,
        [],
        "id has set of values with 'b', allowed one of a",
    ),
    "rows": (
        ("expect_table_row_count_to_be_between", {"min_value": 10_000}),
        False,
        [],
        "the table has 4 rows, allowed at least 10,000 rows",
    ),
    "distinct, as wanted": (
        ("expect_column_distinct_values_to_equal_set", {"column": "n", "value_set": [13, 1, 2]}),
        True,
        [],
        "n has set of values 1, 2, 13, allowed one of 13, 1, 2",
    ),
    "distinct, one absent": (
        ("expect_column_distinct_values_to_contain_set", {"column": "n", "value_set": [1, 7, 8]}),
        False,
        [],
        "n has set of values without 7, 8, allowed all of 1, 7, 8",
    ),
    "distinct, of nothing": (
        ("expect_column_distinct_values_to_equal_set", {"column": "none", "value_set": [1]}),
        False,
        [],
        "none has set of values without 1, allowed one of 1",
    ),
    "mean of nothing": (
        ("expect_column_mean_to_be_between", {"column": "none", "max_value": 1}),
        False,
        [],
        "none has mean none, allowed mean at most 1",
    ),
    "pair with a time": (
        ("expect_column_pair_values_to_be_equal", {"column_A": "n", "column_B": "at"}),
        False,
        [0, 1, 2],
        "n and at has 3 of 3 rows that break it (100.0%), such as (1, 2013-03-01T00:00:00Z), "
        "allowed equal values",
    ),
    "pair": (
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "x", "column_B": "n", "or_equal": True, "ignore_row_if": "neither"},
        ),
        False,
        [1, 2, 3],
        "x and n has 3 of 4 rows that break it (75.0%), such as (null, 2), allowed x ≥ n",
    ),
}


@pytest.mark.parametrize(("rule", "holds", "rows", "words"), CASES.values(), ids=CASES.keys())
def test_findings(rule: Any, holds: bool, rows: list[int], words: str) -> None:
    kind, kwargs = rule

    finding = run(kind, **kwargs)

    assert finding.holds is holds
    assert list(finding.rows) == rows
    assert str(finding) == words


def test_findings_come_in_the_order_of_the_suite() -> None:
    kinds = [
        ("expect_column_values_to_not_be_null", {"column": "x"}),
        ("expect_table_row_count_to_be_between", {"min_value": 1}),
        ("expect_column_values_to_not_be_null", {"column": "id"}),
        ("expect_column_values_to_be_unique", {"column": "x"}),
    ]
    suite = Suite("s", "d", "", tuple(Expectation("e", k, kw, Severity.INFO) for k, kw in kinds))

    assert [(f.rule, f.subject) for f in validate(TABLE, suite)] == [
        (kind, kwargs.get("column", "the table")) for kind, kwargs in kinds
    ]


def test_a_wide_table_is_judged_a_few_columns_at_a_time_and_each_rule_finds_its_own() -> None:
    names = [f"c{n:02d}" for n in range(45)]
    table = pa.table({name: [n, None, n] for n, name in enumerate(names)})
    rules = [("expect_column_values_to_not_be_null", {"column": name}) for name in names]
    rules.insert(9, ("expect_compound_columns_to_be_unique", {"column_list": names}))
    rules.append(("expect_column_pair_values_to_be_equal", {"column_A": "c44", "column_B": "c00"}))
    suite = Suite("s", "d", "", tuple(Expectation("e", k, kw, Severity.INFO) for k, kw in rules))
    drawn: list[dict[str, Any]] = []

    found = validate(table, suite, drawn=drawn)

    assert [[*f.rows] for f in found] == [[1]] * 9 + [[0, 2]] + [[1]] * 36 + [[0, 2]]
    assert len(drawn) == len(rules)


def test_a_rule_that_cannot_be_computed_fails_the_batch() -> None:
    finding = run("expect_column_values_to_be_between", column="id", min_value=1)

    assert finding.is_fatal
    assert finding.observed.startswith("a rule that cannot be computed (")


def test_personal_values_are_not_quoted() -> None:
    rules = (
        ("expect_column_values_to_be_in_set", {"column": "id", "value_set": ["z"]}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "id", "value_set": ["z"]}),
    )
    suite = Suite("s", "d", "", tuple(Expectation("e", k, kw, Severity.INFO) for k, kw in rules))

    for finding in validate(TABLE, suite, hidden=frozenset({"id"})):
        assert "'a'" not in finding.observed
        assert "'b'" not in finding.observed


def test_values_cannot_steer_a_terminal() -> None:
    table = pa.table({"id": ["\x1b[2J\nforged line" + "x" * 100]})

    observed = run(
        "expect_column_values_to_be_in_set", table, column="id", value_set=["a"]
    ).observed

    assert "\x1b" not in observed
    assert "\n" not in observed
    assert len(observed) < 120


def test_an_empty_table() -> None:
    empty = TABLE.slice(0, 0)

    assert run("expect_column_values_to_not_be_null", empty, column="x").is_inconclusive
    assert not run("expect_table_row_count_to_be_between", empty, min_value=1).holds


COLUMNS: dict[str, tuple[pa.DataType, Any, dict[str, Any]]] = {
    "integer": (pa.int64(), 2**53 + 1, {"value_set": [2**53 + 1], "min_value": 2**53}),
    "number": (pa.float64(), 0.5, {"value_set": [0.5], "min_value": 0}),
    "boolean": (pa.bool_(), True, {"value_set": [True], "min_value": 0}),
    "string": (pa.string(), "ä", {"value_set": ["ä"], "min_value": 0}),
    "timestamp": (
        pa.timestamp("us", "UTC"),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        {
            "value_set": ["9999-12-31T23:59:59+00:00"],
            "min_value": "9999-12-31T23:59:58.999999+00:00",
        },
    ),
}
CONTENTS: dict[str, Callable[[Any], list[Any]]] = {
    "no row": lambda _: [],
    "nulls": lambda _: [None, None],
    "one value": lambda value: [value],
    "a value and a null": lambda value: [None, value],
}
COUNTS = ("_count_", "_lengths_", "_proportion_", "_stdev_")
"""Quantities that are numbers, whatever the column holds."""


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("column", COLUMNS)
def test_every_rule_on_every_type(column: str, content: str) -> None:
    """It says something of each column that the lint lets it look at, and holds only of values."""
    arrow, value, fitting = COLUMNS[column]
    cells = pa.array(CONTENTS[content](value), arrow)
    table = pa.table({"a": cells, "b": cells})
    known = {"column": "a", "column_A": "a", "column_B": "b", "column_list": ["a", "b"]}
    rules = []
    for kind, entry in CATALOG.items():
        of_count = {"min_value": 0} if any(part in kind for part in COUNTS) else {}
        offered = known | {"regex": "ä", "or_equal": True} | fitting | of_count
        kwargs = {name: offered[name] for name in entry.arguments if name in offered}
        rules.append(Expectation("e", kind, kwargs, Severity.WARNING))

    findings = validate(table, Suite("s", "d", "", tuple(rules)))

    for kind, finding in zip(CATALOG, findings, strict=True):
        suits = CATALOG[kind].suits
        if suits and column not in suits:
            assert finding.holds in {True, False}, kind  # the lint refuses it; it does not raise
            continue
        assert "cannot be computed" not in finding.observed, kind
        assert finding.holds is _is_met(kind, CONTENTS[content](value), column), kind


def _is_met(kind: str, cells: list[Any], column: str) -> bool:
    """What is right, of rules that the value itself always meets."""
    there = [cell for cell in cells if cell is not None]
    if kind == "expect_table_row_count_to_be_between":
        return True
    if kind == "expect_column_values_to_not_be_null":
        return bool(cells) and len(there) == len(cells)
    if kind == "expect_column_values_to_be_null":
        return bool(cells) and not there
    if kind == "expect_column_proportion_of_non_null_values_to_be_between":
        return bool(cells)
    never = {"to_not_be_in_set", "_stdev_", "not_match_regex"}
    if any(part in kind for part in never):
        return False
    return bool(there)


BIG = [2**53 + i for i in range(100)]
CASE_25 = pa.table(
    {
        "big": pa.array([None if i == 5 else BIG[i] for i in range(100)], pa.int64()),
        "code": pa.array([7 if i % 2 else 8 for i in range(100)], pa.int64()),
    }
)
EXACT: dict[str, tuple[str, dict[str, Any], list[int], str]] = {
    "unique": ("values_to_be_unique", {"column": "big"}, [], "0 of 99 repeated values (0.0%)"),
    "different": (
        "unique_value_count_to_be_between",
        {"column": "big", "min_value": 99, "max_value": 99},
        [],
        "number of different values 99",
    ),
    "forbidden": (
        "values_to_not_be_in_set",
        {"column": "big", "value_set": [BIG[1]]},
        [1],
        "1 of 99 forbidden values (1.0%), such as 9,007,199,254,740,993",
    ),
    "unknown": (
        "values_to_be_in_set",
        {"column": "big", "value_set": [b for b in BIG if b != BIG[1]]},
        [1],
        "1 of 99 unknown values (1.0%), such as 9,007,199,254,740,993",
    ),
    "range": (
        "values_to_be_between",
        {"column": "big", "min_value": BIG[2], "max_value": BIG[98]},
        [0, 1, 99],
        "3 of 99 values out of range (3.0%), such as 9,007,199,254,740,992",
    ),
    "minimum": (
        "min_to_be_between",
        {"column": "big", "min_value": BIG[2]},
        [],
        "minimum 9,007,199,254,740,992",
    ),
    "sum": (
        "sum_to_be_between",
        {"column": "big", "min_value": 10**17},
        [],
        f"sum {sum(BIG) - BIG[5]:,}",
    ),
    "median": (
        "median_to_be_between",
        {"column": "big", "min_value": BIG[50], "max_value": BIG[50]},
        [],
        f"median {BIG[50]:,}",
    ),
}


@pytest.mark.parametrize(("kind", "kwargs", "rows", "words"), EXACT.values(), ids=EXACT.keys())
def test_integers_beyond_doubles_with_a_null(
    kind: str, kwargs: dict[str, Any], rows: list[int], words: str
) -> None:
    """Case 25: pandas makes doubles of a column of integers in which one is null."""
    finding = run(f"expect_column_{kind}", CASE_25, **kwargs)

    assert (list(finding.rows), finding.observed) == (rows, words)
    assert finding.holds is (not rows and kind != "min_to_be_between")


def test_combinations_of_integers_beyond_doubles() -> None:
    finding = run("expect_compound_columns_to_be_unique", CASE_25, column_list=["big", "code"])

    assert (finding.holds, finding.observed) == (True, "0 of 100 repeated combinations (0.0%)")


def test_the_sum_of_integers_does_not_run_over() -> None:
    table = pa.table({"n": pa.array([2**63 - 1, 2**63 - 1, -(2**63), None], pa.int64())})

    assert run("expect_column_sum_to_be_between", table, column="n", max_value=0).observed == (
        f"sum {2**63 - 2:,}"
    )
    assert run("expect_column_mean_to_be_between", table, column="n", max_value=0).value == (
        (2**63 - 2) / 3
    )


BOUNDS: dict[str, tuple[Any, dict[str, Any], list[int]]] = {
    "a fraction": ([1, 2, 3], {"min_value": 1.5, "max_value": 2.5}, [0, 2]),
    "a fraction, ends excluded": (
        [1, 2, 3],
        {"min_value": 1.5, "max_value": 2.5, "strict_min": True, "strict_max": True},
        [0, 2],
    ),
    "ends excluded": (
        [1, 2, 3],
        {"min_value": 1, "max_value": 3, "strict_min": True, "strict_max": True},
        [0, 2],
    ),
    "beyond 64 bits": ([1, 2, 3], {"min_value": -(2**70), "max_value": 2**70}, []),
    "beyond 64 bits, above": ([1, 2, 3], {"min_value": 1e30}, [0, 1, 2]),
    "beyond 64 bits, below": ([1, 2, 3], {"max_value": -1e30}, [0, 1, 2]),
    "doubles, ends excluded": (
        [0.1, 0.2],
        {"min_value": 0.1, "max_value": 0.2, "strict_min": True},
        [0],
    ),
}


@pytest.mark.parametrize(("cells", "kwargs", "broken"), BOUNDS.values(), ids=BOUNDS.keys())
def test_bounds_are_not_rounded(cells: Any, kwargs: dict[str, Any], broken: list[int]) -> None:
    finding = run(
        "expect_column_values_to_be_between", pa.table({"n": cells}), column="n", **kwargs
    )

    assert list(finding.rows) == broken


@pytest.mark.parametrize("bound", [2**53 + 1, -(2**53) - 1, 10**400])
def test_a_bound_that_would_be_rounded_is_not_judged_by(bound: int) -> None:
    finding = run("expect_column_values_to_be_between", column="n", max_value=bound)

    assert finding.is_fatal
    assert "rounded" in finding.observed


PAIRS: dict[str, tuple[pa.Array, pa.Array, list[int], list[int]]] = {
    "integers": (pa.array([2**53 + 1, 1]), pa.array([2**53, 1]), [1], [0]),
    "integers beside doubles": (pa.array([2**53 + 1, 1]), pa.array([2.0**53, 0.5]), [], [0, 1]),
    "doubles beside integers": (pa.array([2.5, 1.0]), pa.array([2, 1]), [1], [0]),
    "both zeros": (pa.array([0.0]), pa.array([-0.0]), [0], []),
}  # fmt: skip


@pytest.mark.parametrize(("a", "b", "not_greater", "unequal"), PAIRS.values(), ids=PAIRS.keys())
def test_pairs_of_different_types(
    a: pa.Array, b: pa.Array, not_greater: list[int], unequal: list[int]
) -> None:
    table, names = pa.table({"a": a, "b": b}), {"column_A": "a", "column_B": "b"}

    greater = run("expect_column_pair_values_a_to_be_greater_than_b", table, **names)
    equal = run("expect_column_pair_values_to_be_equal", table, **names)

    assert (list(greater.rows), list(equal.rows)) == (not_greater, unequal)


def test_both_zeros_are_one_value() -> None:
    table = pa.table({"x": [0.0, -0.0, 1.0]})

    assert list(run("expect_column_values_to_be_unique", table, column="x").rows) == [0, 1]


@pytest.mark.parametrize("name", ["illegal", "legal"])
def test_26_no_argument_stops_the_other_rules(name: str) -> None:
    suite = json.loads((CASES_FOLDER / f"26-count-bounds/{name}.json").read_text())
    rules = [
        Expectation("e", e["type"], e["kwargs"], Severity.WARNING) for e in suite["expectations"]
    ] + [Expectation("f", "expect_column_values_to_be_unique", {"column": "at"}, Severity.INFO)]

    odd, usual = validate(TABLE, Suite("s", "d", "", tuple(rules)))

    assert odd.is_fatal is (name == "illegal")
    assert usual.holds


@pytest.mark.exhaustive
def test_the_library_says_nothing_in_the_log_of_a_task() -> None:
    """Airflow logs at INFO; the first lines of a red task are ours."""
    program = """
import logging
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
import pyarrow as pa
from tenure.adapters.gx_validator import validate
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.verdicts import Severity
rule = Expectation("e", "expect_column_max_to_be_between", {"column": "x", "max_value": 1},
                   Severity.INFO)
drawn = []
print(validate(pa.table({"x": [1.0]}), Suite("s", "d", "", (rule,)), drawn=drawn)[0].holds)
from tenure.adapters.gx_docs import draw
assert draw("s", "b", drawn)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.stdout, [li for li in done.stderr.splitlines() if "great_exp" in li]) == (
        "True\n",
        [],
    ), done.stderr[-2000:]
