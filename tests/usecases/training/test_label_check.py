"""`tenure check` compares labels with the newest data, and says where it could not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.config import load_all
from tenure.installation import Installation
from tenure.usecases.training.label_check import LabelFindings, check_labels

RUNNER = CliRunner()


def check(world: Any, **how: Any) -> LabelFindings:
    return check_labels(world.platform, load_all(world.platform.settings.include), **how)


def relabel(world: Any, label: str) -> Path:
    """The model's YAML with another label."""
    path: Path = world.platform.settings.configs / "models" / "loan_ok.yaml"
    before = path.read_text().replace("categorical: [branch]", "categorical: []")
    wanted = next(line for line in before.splitlines() if line.startswith("label: "))
    path.write_text(before.replace(wanted, f"label: {label}"))
    return path


def test_labels_that_are_labels(world: Any) -> None:
    world.publish(1)
    assert check(world) == LabelFindings((), ("loan_ok",), {})


def test_a_value_that_is_no_label_has_its_line_and_its_batch(world: Any) -> None:
    world.publish(1)
    world.publish(2, rows=4, seed=1, branch=["f", "m", "9", "m"])
    path = relabel(world, "{column: branch}")
    (problem,) = check(world).problems
    assert (problem.path, path.read_text().splitlines()[problem.line - 1]) == (
        path,
        "label: {column: branch}",
    )
    assert "branch is no label in 4 of 4 rows: 'm' (2 rows), '9' (1 row), 'f' (1 row)" in (
        problem.message
    )
    assert problem.message.endswith("Newest batch of loans: 2013-02.")


@pytest.mark.parametrize(
    ("label", "values", "is_fine"),
    [
        ("{column: branch, positive: m}", ["f", "m", "f", "m"], True),
        ("{column: branch, positive: m}", ["f", "f", "f", "f"], True),
        ("{column: branch, positive: m}", ["f", "m", "9", "m"], False),
        ("{column: branch, positive: m, negative: f}", ["9", "m", "m", "m"], False),
        ("{column: branch, positive: 2, negative: 1}", ["1", "2", "2", "1"], True),
        ("{column: ok, positive: 2}", ["f", "m", "f", "m"], True),
        ("{column: at}", ["f", "m", "f", "m"], False),
    ],
)
def test_the_declared_label(world: Any, label: str, values: list[str], is_fine: bool) -> None:
    """One class alone is no problem: a training takes several batches."""
    world.publish(1, rows=4, branch=values)
    relabel(world, label)
    assert (check(world).problems == ()) == is_fine


def test_without_a_batch_there_is_nothing_to_compare(world: Any) -> None:
    assert check(world) == LabelFindings((), (), {"loan_ok": "nothing is published yet"})


def test_a_snapshot_that_is_gone_is_said(world: Any) -> None:
    digest = world.publish(1)
    world.platform.store.delete(f"snapshots/loans/{digest}/data.parquet")
    found = check(world)
    assert found.problems == ()
    assert "the newest snapshot cannot be read" in found.unchecked["loan_ok"]


def test_a_database_that_does_not_answer_is_no_problem_of_a_yaml(world: Any) -> None:
    nowhere = "postgresql+psycopg://postgres@/tenure?host=/nowhere"
    settings = replace(world.platform.settings, database_url=nowhere)
    path = settings.configs / "models" / "loan_ok.yaml"
    other = path.read_text().replace("name: loan_ok", "name: loan_too")
    path.with_stem("loan_too").write_text(other)
    platform = Installation(settings)
    found = check_labels(platform, load_all(settings.include))
    platform.database.dispose()
    assert (found.problems, found.checked) == ((), ())
    assert "does not answer" in found.unchecked["loan_ok"]
    assert found.unchecked["loan_too"] == found.unchecked["loan_ok"]


def test_the_command_says_what_it_did_not_compare(
    world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = world.platform.settings
    settings.suites.mkdir()
    suite = {
        "name": "loans",
        "expectations": [
            {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}
        ],
    }
    (settings.suites / "loans.json").write_text(json.dumps(suite))
    monkeypatch.setenv("TENURE_HOME", str(tmp_path))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    said = RUNNER.invoke(app, ["check"])
    assert said.exit_code == 0, said.output
    assert "Labels of loan_ok were not compared with data: nothing is published yet" in said.output

    world.publish(1, rows=4, branch=["f", "m", "9", "m"])
    relabel(world, "{column: branch, positive: m, horizon_hours: 1}")
    said = RUNNER.invoke(app, ["check"])
    assert said.exit_code == 1
    assert "label: branch is no label in 2 of 4 rows: '9' (1 row), 'f' (1 row)" in said.output

    monkeypatch.setenv("TENURE_DATABASE_URL", "postgresql+psycopg://postgres@/t?host=/nowhere")
    said = RUNNER.invoke(app, ["check", "--json"])
    assert said.exit_code == 0
    assert "does not answer" in json.loads(said.output)["labels_not_checked"]["loan_ok"]
