"""Suites are data: whatever is not on the list is refused by file and line."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tenure.config import load_dataset
from tenure.config.problems import BrokenFile
from tenure.config.suites import check, load_suite
from tenure.lifecycle.data.sources import Column, Contract
from tenure.settings import REPOSITORY
from tenure.verdicts import Severity

CONTRACT = Contract(
    columns={
        "id": Column(type="string"),
        "n": Column(type="integer"),
        "x": Column(type="number"),
        "at": Column(type="timestamp"),
        "ok": Column(type="boolean"),
    }
)
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"
PROPORTION = "expect_column_proportion_of_non_null_values_to_be_between"
LENGTHS = "expect_column_value_lengths_to_be_between"
UNIQUE = "expect_column_unique_value_count_to_be_between"
ROWS = "expect_table_row_count_to_be_between"
MEDIAN = "expect_column_median_to_be_between"
STDEV = "expect_column_stdev_to_be_between"
GREATER = "expect_column_pair_values_a_to_be_greater_than_b"
CASES = Path(__file__).parents[1] / "cases"
REGEX = "expect_column_values_to_match_regex"


def expectation(kind: object = NOT_NULL, **kwargs: Any) -> dict[str, Any]:
    return {"type": kind, "kwargs": kwargs or {"column": "x"}}


def refusals(
    tmp_path: Path, body: str | bytes, contract: Contract | None = CONTRACT
) -> list[tuple[int, str]]:
    folder = tmp_path / "expectations"
    folder.mkdir(exist_ok=True)
    (folder / "s.json").write_bytes(body.encode() if isinstance(body, str) else body)
    try:
        load_suite(tmp_path, "s", contract)
    except BrokenFile as error:
        return [(problem.line, problem.message) for problem in error.problems]
    return []


def suite(*expectations: object, **more: object) -> str:
    """One line for each expectation, the first on line 3."""
    head = "".join(f', "{k}": {json.dumps(v)}' for k, v in more.items())
    lines = ",\n".join(json.dumps(e) for e in expectations)
    return f'{{"name": "s"{head},\n"expectations": [\n{lines}\n]}}\n'


GOOD = {
    "null": expectation(column="x", mostly=0.98),
    "between": expectation(BETWEEN, column="n", min_value=0, max_value=0),
    "between times": expectation(
        BETWEEN, column="at", min_value="2013-01-01T00:00:00Z", max_value="2014-01-01T00:00:00Z"
    ),
    "set": expectation(IN_SET, column="id", value_set=["a", "b"]),
    "regex": expectation(REGEX, column="id", regex=r"^a+\Z"),
    "regex that would never end in Python": expectation(REGEX, column="id", regex=r"^(a+)+\Z"),
    "words with signs": expectation() | {"notes": "x < 3 && y > 4, a <- b"},
    "share of 0…1": expectation(PROPORTION, column="x", min_value=0, max_value=1),
    "one length": expectation(LENGTHS, column="id", min_value=3, max_value=3),
    "pair": expectation(
        "expect_column_pair_values_a_to_be_greater_than_b", column_A="x", column_B="n"
    ),
    "compound": expectation("expect_compound_columns_to_be_unique", column_list=["id", "at"]),
    "rows": expectation("expect_table_row_count_to_be_between", min_value=1),
    "all keys": expectation() | {"meta": {"a": 1}, "notes": "n", "severity": "info", "id": None},
}


@pytest.mark.parametrize("item", GOOD.values(), ids=GOOD.keys())
def test_good(tmp_path: Path, item: dict[str, Any]) -> None:
    assert refusals(tmp_path, suite(item)) == []


BAD = {
    "misspelt type": (
        expectation("expect_column_values_to_not_be_nul"),
        "unknown expectation type 'expect_column_values_to_not_be_nul'; did you mean "
        f"'{NOT_NULL}'? Allowed: {NOT_NULL}, ",
    ),
    "type far from any": (expectation("zzz"), "unknown expectation type 'zzz' Allowed: "),
    "type is a list": (expectation(["x"]), "unknown expectation type"),
    "raw SQL": (
        expectation("unexpected_rows_expectation", unexpected_rows_query="DROP TABLE x"),
        "unknown expectation type",
    ),
    "pandas condition": (
        expectation(column="x", row_condition='__import__("os").system("ls")'),
        "row_condition is not allowed: conditions run code",
    ),
    "condition parser": (
        expectation(column="x", condition_parser="pandas"),
        "condition_parser is not allowed",
    ),
    "misspelt argument": (
        expectation(BETWEEN, column="x", min_val=1, max_value=2),
        f"{BETWEEN} has no argument 'min_val'; did you mean 'min_value'?",
    ),
    "no column": (expectation(NOT_NULL, mostly=0.5), f"{NOT_NULL} needs 'column'"),
    "column null": (expectation(NOT_NULL, column=None), f"{NOT_NULL} needs 'column'"),
    "unknown column": (
        expectation(column="idd"),
        "column 'idd' is not in the contract; did you mean 'id'? Known: id, n, x, at, ok",
    ),
    "unknown column in a list": (
        expectation("expect_compound_columns_to_be_unique", column_list=["id", "zzz"]),
        "column 'zzz' is not in the contract Known: ",
    ),
    "min above max": (
        expectation(BETWEEN, column="x", min_value=2, max_value=1),
        "min_value 2 is larger than max_value 1",
    ),
    "times the wrong way": (
        expectation(
            BETWEEN, column="at", min_value="2014-01-01T00:00Z", max_value="2013-01-01T00:00Z"
        ),
        "is larger than max_value",
    ),
    "the same, ends excluded": (
        expectation(BETWEEN, column="x", min_value=1, max_value=1, strict_max=True),
        "min_value and max_value are both 1, ends excluded: nothing can pass",
    ),
    "share above 1": (
        expectation(PROPORTION, column="x", min_value=98),
        "min_value must be 0…1: it bounds a proportion, got 98; 98% is written 0.98",
    ),
    "length below 0": (
        expectation(LENGTHS, column="id", max_value=-1),
        "max_value must be a whole number from 0 on: it bounds a length, got -1",
    ),
    "fewer rows than none": (
        expectation("expect_table_row_count_to_be_between", max_value=-1),
        "max_value must be a whole number from 0 on: it bounds a count, got -1",
    ),
    "no whole number between": (
        expectation(UNIQUE, column="x", min_value=1, max_value=2, strict_min=True, strict_max=True),
        "no whole number lies between 1 and 2: nothing can pass",
    ),
    "above all there can be": (
        expectation(PROPORTION, column="x", min_value=1, strict_min=True),
        "min_value 1 is excluded and nothing is above: nothing can pass",
    ),
    "below all there can be": (
        expectation(PROPORTION, column="x", max_value=0, strict_max=True),
        "max_value 0 is excluded and nothing is below: nothing can pass",
    ),
    "larger by one beyond 2^53": (
        expectation(BETWEEN, column="n", min_value=2**53 + 2, max_value=2**53),
        "is larger than max_value",
    ),
    "a column with itself": (
        expectation(GREATER, column_A="x", column_B="x"),
        "column_A and column_B are the same column 'x'",
    ),
    "a number and a time": (
        expectation(GREATER, column_A="x", column_B="at"),
        "x and at cannot be compared: they are number and timestamp",
    ),
    "a text and a number": (
        expectation("expect_column_pair_values_to_be_equal", column_A="id", column_B="n"),
        "id and n cannot be compared: they are string and integer",
    ),
    "a column twice": (
        expectation("expect_compound_columns_to_be_unique", column_list=["id", "id"]),
        "must be a list of at least 2 columns, each once",
    ),
    "neither min nor max": (
        expectation(BETWEEN, column="x"),
        "needs min_value or max_value: without both it checks nothing",
    ),
    "time without zone": (
        expectation(BETWEEN, column="at", min_value="2013-01-01"),
        "min_value must be a number or an ISO time with its zone",
    ),
    "number for a time": (
        expectation(BETWEEN, column="at", min_value=1),
        "min_value 1 cannot be compared with at, which is timestamp",
    ),
    "range of text": (
        expectation(BETWEEN, column="id", min_value=1),
        f"{BETWEEN} is for integer or number or timestamp; id is string",
    ),
    "mostly zero": (expectation(column="x", mostly=0), "mostly must be above 0 and at most 1"),
    "mostly too large": (expectation(column="x", mostly=1.5), "mostly must be above 0"),
    "mostly is a flag": (expectation(column="x", mostly=True), "mostly must be above 0"),
    "set of nothing": (expectation(IN_SET, column="id", value_set=[]), "a list of 1…1,000"),
    "set too large": (
        expectation(IN_SET, column="id", value_set=[str(i) for i in range(1001)]),
        "a list of 1…1,000",
    ),
    "set of another type": (
        expectation(IN_SET, column="n", value_set=[1, "2"]),
        "the value '2' is no integer, as n is",
    ),
    "set by environment": (
        expectation(IN_SET, column="id", value_set=["$HOME"]),
        "value_set: `$` is not allowed",
    ),
    "suite parameter": (
        expectation(BETWEEN, column="x", min_value={"$PARAMETER": "now()"}),
        "min_value must be a number",
    ),
    "invalid regex": (expectation(REGEX, column="id", regex="("), "is not a regular expression"),
    "regex that looks ahead": (
        expectation(REGEX, column="id", regex="a(?!b)"),
        'regex looks ahead or behind: no text may be read twice, got "a(?!b)"',
    ),
    "huge regex": (
        expectation(REGEX, column="id", regex="(a{100}){100}"),
        "regex repeats too often: 10,000 characters written out, limit 1,000",
    ),
    "long regex": (expectation(REGEX, column="id", regex="a" * 201), "1…200 characters"),
    "a number as a text": (
        expectation("expect_table_row_count_to_be_between", max_value="100000"),
        'bounds a count, got "100000"; a number stands without quotes',
    ),
    "a share as a text": (
        expectation(column="x", mostly="98%"),
        'mostly must be above 0 and at most 1, got "98%"; 98% is written 0.98',
    ),
    "a share as a percentage": (
        expectation(column="x", mostly=98),
        "mostly must be above 0 and at most 1, got 98; 98% is written 0.98",
    ),
    "a share that is no percentage either": (
        expectation(column="x", mostly=980),
        "mostly must be above 0 and at most 1, got 980",
    ),
    "a word as a bound": (
        expectation(BETWEEN, column="x", min_value="nan"),
        'min_value must be a number or an ISO time with its zone, got "nan"',
    ),
    "severity misspelt": (
        expectation() | {"severity": "Critcal"},
        "severity 'Critcal' is not allowed; did you mean 'critical'? Allowed: info, warning",
    ),
    "severity": (
        expectation() | {"severity": "fatal"},
        "severity 'fatal' is not allowed. Allowed: info, warning, critical",
    ),
    "id": (expectation() | {"id": "one"}, "id 'one' is not a UUID"),
    "unknown key": (
        expectation() | {"kwarg": {}},
        "unknown key 'kwarg'; did you mean 'kwargs'? Allowed: type, kwargs",
    ),
    "HTML in notes": (
        expectation() | {"notes": "see <a href=x>here</a>"},
        "notes holds HTML (<a…): write text",
    ),
    "HTML in a description": (
        expectation() | {"description": "<script>alert(1)</script>"},
        "description holds HTML (<script…): write text",
    ),
    "HTML deep in meta": (
        expectation() | {"meta": {"a": [{"<img/src=x>": 1}]}},
        "meta holds HTML (<img/src=x…): write text",
    ),
    "a condition that writes a file": (
        expectation(column="x", row_condition='x.to_csv("/tmp/x")'),
        "row_condition is not allowed: conditions run code",
    ),
    "SQL in a batch": (
        expectation("expect_query_results_to_match_comparison", query="SELECT 1"),
        "unknown expectation type",
    ),
    "own metric": (expectation(column="x", meta="x"), f"{NOT_NULL} has no argument 'meta'"),
    "no kwargs": ({"type": NOT_NULL}, f"{NOT_NULL} needs kwargs"),
    "no object": ("x", "an expectation is an object with type and kwargs"),
}


@pytest.mark.parametrize(("item", "message"), BAD.values(), ids=BAD.keys())
def test_bad(tmp_path: Path, item: object, message: str) -> None:
    good = expectation(column="ok")

    found = refusals(tmp_path, suite(good, item))

    assert [line for line, _ in found] == [4]
    assert message in found[0][1]


TIME = "2026-01-01T00:00:00+00:00"
QUANTITIES: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "values of numbers": (
        expectation(BETWEEN, column="n"),
        [-3, 0, 1.5, 2**53 + 2],
        [TIME, "x", 2**53 + 1, 10**400],
    ),
    "values of times": (expectation(BETWEEN, column="at"), [TIME], [1, 0.5, "2026-01-01", "x"]),
    "unique values of times": (expectation(UNIQUE, column="at"), [0, 1, 10**9], [TIME, -1, 1.5]),
    "unique values of texts": (expectation(UNIQUE, column="id"), [0, 2], [TIME, -1, 2.0, "2"]),
    "unique values of flags": (expectation(UNIQUE, column="ok"), [0, 2], [TIME, -1, 0.5]),
    "rows": (expectation(ROWS), [0, 1, 10**9], [TIME, -1, 1.5, 10**400]),
    "lengths": (expectation(LENGTHS, column="id"), [0, 7], [TIME, -1, 1.5]),
    "proportions of times": (expectation(PROPORTION, column="at"), [0, 0.5, 1], [TIME, -0.1, 1.1]),
    "measures": (expectation(MEDIAN, column="x"), [-1, 0, 2.5], [TIME, "x", 10**400]),
    "deviations": (expectation(STDEV, column="x"), [0, 2.5], [TIME, -0.5]),
}


@pytest.mark.parametrize("end", ["min_value", "max_value"])
@pytest.mark.parametrize(("item", "good", "bad"), QUANTITIES.values(), ids=QUANTITIES.keys())
def test_a_bound_is_of_the_kind_of_the_quantity(
    tmp_path: Path, item: dict[str, Any], good: list[Any], bad: list[Any], end: str
) -> None:
    kwargs = {} if item["type"] == ROWS else item["kwargs"]
    for values, is_refused in ((good, False), (bad, True)):
        for value in values:
            found = refusals(tmp_path, suite(item | {"kwargs": kwargs | {end: value}}))
            assert [line for line, _ in found] == [3] * is_refused, (value, found)


@pytest.mark.parametrize(
    ("case", "lines"), [("26-count-bounds/legal.json", []), ("26-count-bounds/illegal.json", [8])]
)
def test_bounds_of_a_count_of_times(tmp_path: Path, case: str, lines: list[int]) -> None:
    found = refusals(tmp_path, (CASES / case).read_bytes())

    assert [line for line, _ in found] == lines
    assert all("must be a whole number from 0 on: it bounds a count" in said for _, said in found)


FILES = {
    "empty": ("", 1, "is not JSON: ends too early"),
    "cut": ('{"name": "s",\n"expec', 2, "is not JSON: cannot be read at"),
    "duplicate key": ('{"name": "s",\n"name": "s"}', 2, "the key 'name' stands here twice"),
    "two values": ('{"name": "s"}\n{}', 1, "something follows after the end"),
    "NaN": ('{"name":\nNaN}', 2, "cannot be read at 'NaN}'"),
    "infinity": ('{"name":\n1e999}', 2, "the number 1e999 is too large"),
    "NUL in a text": ('{"name": "s\\u0000"}', 1, "a text holds the character U+0000, which is"),
    "half a character": ('{"name":\n"\\ud800"}', 2, "a text holds the character U+D800"),
    "terminal code in a key": ('{"\\u001b[2J": 1}', 1, "a text holds the character U+001B"),
    "large": ('{"name": "' + "s" * 262_144, 1, "bytes; at most 262,144"),
    "HTML in the notes": (
        suite(expectation(), notes="<b>all</b>"),
        1,
        "notes holds HTML (<b…): write text",
    ),
    "deep": ("[" * 5000, 1, "is nested deeper than 8 levels"),
    "comment": ("// no\n{}", 1, "cannot be read at"),
    "not UTF-8": (b'{"name":\n"\xff"}', 2, "is not UTF-8"),
    "no object": ("[]", 1, "a suite is an object"),
    "no expectations": (suite(), 2, "expectations is empty: a suite must check something"),
    "absent expectations": ('{"name": "s"}', 1, "expectations is empty"),
    "other name": (suite(expectation()).replace('"s"', '"t"'), 1, "name must be 's'"),
    "unknown key": (
        suite(expectation(), suite_parameters={}),
        1,
        "unknown key 'suite_parameters' Allowed: name, id, expectations, meta, notes",
    ),
    "the same twice": (
        suite(expectation(), expectation()),
        4,
        "is the same as the expectation on line 3",
    ),
}


@pytest.mark.parametrize(("body", "line", "message"), FILES.values(), ids=FILES.keys())
def test_broken_file(tmp_path: Path, body: str | bytes, line: int, message: str) -> None:
    found = refusals(tmp_path, body)

    assert len(found) == 1
    assert found[0][0] == line
    assert message in found[0][1]


def test_without_a_contract_columns_are_not_looked_up(tmp_path: Path) -> None:
    assert refusals(tmp_path, suite(expectation(column="whatever")), contract=None) == []


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    bad = [item for item, _ in BAD.values()]

    lines = {line for line, _ in refusals(tmp_path, suite(*bad))}

    assert lines == set(range(3, 3 + len(bad)))


def test_ids_are_given_or_derived_and_stay(tmp_path: Path) -> None:
    given = "0b6b8a6e-3c1f-4c55-9a3e-0d7c52a1f3aa"
    body = suite(expectation() | {"id": given}, expectation(column="id"))
    assert refusals(tmp_path, body) == []

    first, second = load_suite(tmp_path, "s", CONTRACT).expectations
    again = load_suite(tmp_path, "s", CONTRACT).expectations

    assert first.id == given
    assert second.id == again[1].id != given
    assert second.severity is Severity.CRITICAL


@pytest.mark.parametrize("name", ["..", "../s", "/s", "a__b", "a/b", "s\0", "a" * 300, "nul"])
def test_a_name_that_is_no_id(tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokenFile, match="is not an id"):
        load_suite(tmp_path, name, None)


def test_the_suite_of_the_house_is_valid() -> None:
    include = REPOSITORY / "include"
    config, _ = load_dataset(include, "flights")

    assert len(load_suite(include, "flights", config.contract).expectations) == 15
    assert check(include, date(2026, 11, 28))[1] == []


def test_check_lists_configs_and_suites_by_file(tmp_path: Path) -> None:
    (tmp_path / "configs/datasets").mkdir(parents=True)
    (tmp_path / "expectations").mkdir()
    (tmp_path / "expectations/unused.json").write_text(suite(expectation("zzz")))
    (tmp_path / "configs/datasets/d.yaml").write_text(
        "name: d\ndescription: D.\nowner: a\nsteward: s\ntime_column: at\nsuite: gone\n"
        "contract: {columns: {at: {type: timestamp}}}\n"
    )

    _, problems = check(tmp_path, date(2026, 11, 28))

    assert [(p.path.name, p.line) for p in problems] == [
        ("platform.yaml", 1),
        ("gone.json", 1),
        ("unused.json", 1),
        ("unused.json", 3),
    ]
