"""The table in docs/operating.md: each fault has tests that are run and end with the sum."""

import ast
import re
from functools import cache

import pytest

from tenure.settings import REPOSITORY

EXPECTED = {*range(8, 11), *range(20, 33), *range(57, 60)}
ROW = re.compile(r"^\| (?:F(\d+))? ?\|.*\| `([^`:]+)::([^`]+)` \|$", flags=re.MULTILINE)
ROWS = ROW.findall((REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8"))
FAULTS = [row for row in ROWS if row[0]]
ELSEWHERE = {
    ("faults/test_kernel.py", "test_no_packet_reaches_the_database"): (
        "faults/partition.py",
        "test_partition",
    )
}
"""Tests that are run in a namespace by another one, and end with the sum there."""
SUM = "settle"


@cache
def tree(path: str) -> ast.Module:
    return ast.parse((REPOSITORY / "tests" / path).read_text(encoding="utf-8"))


def functions(path: str) -> dict[str, ast.FunctionDef]:
    found = (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef))
    return {node.name: node for node in found}


def marks(path: str, name: str) -> set[str]:
    """Of the test itself and of its module."""
    whole = [
        statement.value
        for statement in tree(path).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "pytestmark"
    ]
    text = " ".join(map(ast.unparse, [*whole, *functions(path)[name].decorator_list]))
    return set(re.findall(r"pytest\.mark\.(\w+)", text))


def called_last(path: str, name: str) -> str:
    """What the last statement of a function calls; of a method, its name."""
    last = functions(path)[name].body[-1]
    if not (isinstance(last, ast.Expr) and isinstance(last.value, ast.Call)):
        return ""
    return ast.unparse(last.value.func).rpartition(".")[2]


def ends_with_the_sum(path: str, name: str) -> bool:
    """By itself, or by a function of its file that does."""
    last = called_last(path, name)
    return last == SUM or (last in functions(path) and called_last(path, last) == SUM)


def test_every_fault_has_a_row_that_make_fault_test_runs() -> None:
    run = {int(fault) for fault, path, name in FAULTS if "fault" in marks(path, name)}
    assert run == EXPECTED
    assert {int(fault) for fault, _, _ in FAULTS} == EXPECTED


def test_every_row_names_a_test() -> None:
    assert [row for row in ROWS if row[2] not in functions(row[1])] == []


@pytest.mark.parametrize(("path", "name"), sorted({row[1:] for row in FAULTS}))
def test_it_is_run_with_the_faults_and_ends_with_the_sum(path: str, name: str) -> None:
    assert marks(path, name) & {"fault", "fault_root"}
    assert ends_with_the_sum(*ELSEWHERE.get((path, name), (path, name)))


def test_the_corpus_of_bad_requests_is_run_with_the_faults() -> None:
    files = ("gateway/process/test_corpus.py", "gateway/process/test_request_ids.py")
    tests = [(path, name) for path in files for name in functions(path) if name.startswith("test_")]
    assert [one for one in tests if not marks(*one) >= {"fault", "quick"}] == []
