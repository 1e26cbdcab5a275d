"""The table of faults in docs/operating.md names tests that exist, and leaves out no fault."""

import ast
import re
from pathlib import Path

from tenure.settings import REPOSITORY

EXPECTED = {*range(8, 11), *range(20, 33), *range(57, 60)}
ROW = re.compile(r"^\| F(\d+) \|.*\| `([^`:]+)::([^`]+)` \|$", flags=re.MULTILINE)
ROWS = ROW.findall((REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8"))


def names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_fault_has_a_row() -> None:
    assert {int(number) for number, _, _ in ROWS} == EXPECTED


def test_every_row_names_a_test() -> None:
    tests = REPOSITORY / "tests"
    assert [row for row in ROWS if row[2] not in names(tests / row[1])] == []
