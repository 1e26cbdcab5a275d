"""mypy sees a column that was renamed: no reader hides its row behind a mapping."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tenure.settings import REPOSITORY

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]

COLUMNS = {
    "adapters/sql/data.py": ("ValidationRow", "rows_quarantined"),
    "adapters/sql/training.py": ("RetrainRequestRow", "requested_by"),
    "adapters/sql/reviews.py": ("QueuedDecision", "claimed_by"),
    "adapters/sql/incidents.py": ("Incident", "summary"),
    "adapters/sql/reports.py": ("ReportRow", "digest"),
    "lifecycle/model_version.py": ("FitFacts", "threshold"),
}
"""Module to a row it declares, and a column of it that other rooms read."""


def rename(path: Path, row: str, column: str) -> None:
    """Rename a field where it is declared, and nowhere else: as if the column had another name."""
    code = path.read_text(encoding="utf-8")
    declared = re.compile(rf"(class {row}\b.*?\n    ){column}(: )", re.DOTALL)
    changed, number = declared.subn(rf"\1{column}_renamed\2", code, count=1)
    assert number == 1, f"{path.name} declares no {row}.{column}"
    path.write_text(changed, encoding="utf-8")


def complaints(project: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", REPOSITORY / "pyproject.toml"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def test_a_renamed_column_is_a_type_error_where_it_is_used(tmp_path: Path) -> None:
    package = tmp_path / "plugins" / "tenure"
    shutil.copytree(
        REPOSITORY / "plugins" / "tenure", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    assert "Success" in complaints(tmp_path)
    for module, (row, column) in COLUMNS.items():
        rename(package / module, row, column)
    found = complaints(tmp_path)
    unseen = [
        f"{row}.{column}"
        for row, column in COLUMNS.values()
        if not re.search(rf'has no attribute "{column}"', found)
    ]
    assert unseen == [], found
