"""`tenure init`: an empty project that is valid, and is found from inside."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.config import load_platform
from tenure.errors import StateConflict
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.onboarding.new_project import new_project
from tenure.vocabulary import Role

runner = CliRunner()


def test_a_new_project_is_valid_and_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_project(tmp_path / "ours")
    monkeypatch.chdir(tmp_path / "ours" / "include" / "configs")
    done = runner.invoke(app, ["check"])
    assert done.exit_code == 0
    assert done.output.startswith("All valid: 0 datasets, 0 models, 0 suites\n")
    settings = Settings.from_environment({})
    assert settings.home == tmp_path / "ours" / "var"
    assert settings.include == tmp_path / "ours" / "include"
    assert set(load_platform(settings.include).roles) == set(Role)


def test_what_a_variable_names_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_project(tmp_path / "ours")
    monkeypatch.chdir(tmp_path / "ours")
    named = Settings.from_environment({"TENURE_HOME": "/elsewhere/var"})
    assert (named.home, named.include) == (Path("/elsewhere/var"), tmp_path / "ours" / "include")
    assert Settings.from_environment({}, project=REPOSITORY).include == REPOSITORY / "include"


def test_outside_of_any_project_the_checkout_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({}).include == REPOSITORY / "include"


@pytest.mark.parametrize("name", ["README.md", ".gitignore", "include/configs/platform.yaml"])
def test_what_is_there_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(StateConflict, match="Nothing was written"):
        new_project(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / name]
    assert runner.invoke(app, ["init", str(tmp_path)]).exit_code == 1


@pytest.mark.parametrize("found", [None, "/usr/bin/tenure"])
def test_the_way_to_the_command_is_named_where_the_shell_does_not_know_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str | None
) -> None:
    monkeypatch.setattr("tenure.cli.init.shutil.which", lambda _: found)
    done = runner.invoke(app, ["init", str(tmp_path / "ours")])
    said = f'export PATH="{Path(sys.executable).parent}:$PATH"' in done.output
    assert said is (found is None)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert runner.invoke(app, ["init", str(tmp_path / "file")]).exit_code == 2


@pytest.mark.airflow
def test_its_dags_are_those_of_the_platform_only(tmp_path: Path) -> None:
    new_project(tmp_path)
    code = (
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag({str(REPOSITORY / 'dags')!r})\n"
        "print(sorted(bag.dags), bag.import_errors)"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PYTHONPATH": str(REPOSITORY / "plugins"),
        "TENURE_HOME": str(tmp_path / "var"),
        "TENURE_INCLUDE": str(tmp_path / "include"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "['maintain_platform', 'new_model', 'retrain_models'] {}"
