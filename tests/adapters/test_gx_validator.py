"""Great Expectations itself, on small tables: rows by position, words for people."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from tenure.adapters.gx_validator import validate
from tenure.config.suite_arguments import CATALOG
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.quality import Finding
from tenure.verdicts import Severity

AT = [datetime(2013, 3, day, tzinfo=UTC) for day in (1, 2, 3)]
TABLE = pa.table(
    {
        "id": ["a", "b", "b", None],
        "n": pa.array([1, 2, 13, None], pa.int64()),
        "x": pa.array([1.0, None, None, 4.0]),
        "ok": pa.array([True, False, None, True]),
        "at": pa.array([*AT, None], pa.timestamp("us", "UTC")),
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
        "at has 1 of 3 values out of range (33.3%), such as 2013-03-01 00:00:00+00:00, allowed at "
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
        "ok has 1 of 3 unknown values (33.3%), such as 0, allowed one of True",
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
    "pair": (
        (
            "expect_column_pair_values_a_to_be_greater_than_b",
            {"column_A": "x", "column_B": "n", "or_equal": True, "ignore_row_if": "neither"},
        ),
        False,
        [1, 2, 3],
        "x and n has 3 of 4 rows that break it (75.0%), such as (nan, 2), allowed x ≥ n",
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

    assert run("expect_column_values_to_not_be_null", empty, column="x").holds
    assert not run("expect_table_row_count_to_be_between", empty, min_value=1).holds


ARGUMENTS: dict[str, Any] = {
    "column": "x",
    "column_A": "x",
    "column_B": "n",
    "column_list": ["id", "at"],
    "value_set": [1.0],
    "regex": "a",
    "min_value": 0,
    "max_value": 9,
}


@pytest.mark.parametrize("kind", CATALOG)
def test_every_type_on_the_list_is_one_that_gx_computes(kind: str) -> None:
    entry = CATALOG[kind]
    kwargs = {name: ARGUMENTS[name] for name in entry.arguments if name in ARGUMENTS}
    if "string" in entry.suits:
        kwargs["column"] = "id"

    finding = run(kind, **kwargs)

    assert "cannot be computed" not in finding.observed
    assert finding.allowed


def test_the_library_says_nothing_in_the_log_of_a_task() -> None:
    """Airflow logs at INFO; the first lines of a red task are ours."""
    program = """
import logging
logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
import pyarrow as pa
from tenure.adapters.gx_validator import validate
from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.verdicts import Severity
rule = Expectation("e", "expect_column_to_exist", {"column": "x"}, Severity.INFO)
rules = Suite("s", "d", "", (rule,))
print(validate(pa.table({"x": [1.0]}), rules)[0].holds)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )

    assert (done.stdout, [li for li in done.stderr.splitlines() if "great_exp" in li]) == (
        "True\n",
        [],
    ), done.stderr[-2000:]
