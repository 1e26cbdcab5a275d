"""`tenure check` and `tenure suite lint`: file:line, what is allowed, exit codes."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.settings import REPOSITORY

runner = CliRunner()


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the house's configs."""
    copy = tmp_path / "include"
    shutil.copytree(REPOSITORY / "include", copy)
    monkeypatch.setenv("TENURE_INCLUDE", str(copy))
    monkeypatch.chdir(tmp_path)
    return copy


def spoil(path: Path, old: str, new: str) -> int:
    """Replace once; returns the line."""
    body = path.read_text()
    assert body.count(old) >= 1
    path.write_text(body.replace(old, new, 1))
    return body[: body.index(old)].count("\n") + 1


def test_the_configs_of_the_house_are_valid(include: Path) -> None:
    done = runner.invoke(app, ["check"])

    assert done.exit_code == 0
    assert done.output.startswith("All valid: ")


def test_an_unknown_key_and_a_misspelt_type(include: Path) -> None:
    key = spoil(include / "configs/models/flight_late.yaml", "risk_tier:", "risk_teir:")
    kind = spoil(include / "expectations/flights.json", "to_not_be_null", "to_not_be_nul")

    done = runner.invoke(app, ["check"])

    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert any(
        line.startswith(f"include/configs/models/flight_late.yaml:{key}: unknown key 'risk_teir'; ")
        and "did you mean 'risk_tier'? Allowed: " in line
        for line in lines
    )
    assert any(
        line.startswith(f"include/expectations/flights.json:{kind}: unknown expectation type ")
        and "did you mean 'expect_column_values_to_not_be_null'? Allowed: " in line
        for line in lines
    )


def test_json_for_programs(include: Path) -> None:
    line = spoil(include / "expectations/flights.json", '"mostly": 0.98', '"mostly": 98')

    done = runner.invoke(app, ["check", "--json"])

    assert done.exit_code == 1
    answer = json.loads(done.output)
    assert answer["ok"] is False
    (problem,) = answer["problems"]
    assert problem["file"].endswith("include/expectations/flights.json")
    assert problem["line"] == line
    assert problem["message"] == "mostly must be above 0 and at most 1, got 98; 98% is written 0.98"


@pytest.mark.parametrize("path", ["include", ".", "include/configs", "include/configs/models"])
def test_a_path_leads_to_its_include(include: Path, path: str) -> None:
    assert runner.invoke(app, ["check", path]).exit_code == 0


def test_one_file_shows_its_own_problems(include: Path) -> None:
    spoil(include / "expectations/flights.json", "to_not_be_null", "to_not_be_nul")

    assert runner.invoke(app, ["check", "include/configs/platform.yaml"]).exit_code == 0
    assert runner.invoke(app, ["check", "include/expectations/flights.json"]).exit_code == 1


def test_wrong_usage(include: Path) -> None:
    assert runner.invoke(app, ["check", "/"]).exit_code == 2
    assert runner.invoke(app, ["suite", "lint", "nobody"]).exit_code == 2


def test_suite_lint(include: Path) -> None:
    assert runner.invoke(app, ["suite", "lint", "flights"]).exit_code == 0
    spoil(include / "expectations/flights.json", '"column": "temp"', '"column": "tmp"')

    done = runner.invoke(app, ["suite", "lint", "flights"])

    assert done.exit_code == 1
    assert "column 'tmp' is not in the contract; did you mean 'temp'?" in done.output
