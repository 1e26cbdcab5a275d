"""A mistyped model or dataset is wrong usage in every command, and the known ones are named."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tenure.adapters.sql import versions
from tenure.cli import app
from tenure.installation import Installation

pytestmark = pytest.mark.service

ERASE = ["decision", "erase", "flight_lat", "--subject", "x", "--reason", "y", "--yes"]


@pytest.fixture
def run(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    with platform.database.begin() as connection:
        versions.register_model(
            connection, name="retired", owner="ada", risk_tier="limited", purpose="tests"
        )
    return CliRunner()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("data list flihgts", "dataset"),
        ("data list flihgts --json", "dataset"),
        ("data show flihgts 2013-01", "dataset"),
        ("data schema flihgts", "dataset"),
        ("data diff flihgts:2013-01 flights:2013-02", "dataset"),
        ("data diff 9f2c9f2c flihgts:2013-02", "dataset"),
        ("suite suggest flihgts", "dataset"),
        ("suite preview flihgts", "suite"),
        ("suite diff flihgts", "suite"),
        ("suite lint flihgts", "suite"),
        ("suite history flihgts", "suite"),
        ("drift flight_lat", "model"),
        ("drift ../models/flight_late", "model"),
        ("bias-audit flight_lat@1", "model"),
        ("archive verify flight_lat@1", "model"),
        ("rollback flight_lat --reason slow --yes", "model"),
        ("review list --model flight_lat", "model"),
        ("decision replay --sample 3 --model flight_lat", "model"),
        ("key create app --scope score --model flight_lat", "model"),
        (" ".join(ERASE), "model"),
    ],
)
def test_a_mistyped_name(run: CliRunner, command: str, kind: str) -> None:
    known = "flight_late, retired" if kind == "model" else "flights"
    done = run.invoke(app, command.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"there is no {kind} '" in done.stderr
    assert f"'; there are: {known}" in done.stderr


def test_a_mistyped_state(run: CliRunner) -> None:
    done = run.invoke(app, ["review", "list", "--state", "opne"])
    assert (done.exit_code, done.stdout) == (2, "")
    said = "there is no state 'opne'; there are: open, claimed, answered, expired"
    assert said in " ".join(done.stderr.split())


@pytest.mark.parametrize("command", ["data list flights", "review list --model retired"])
def test_a_known_name_with_nothing_to_show(run: CliRunner, command: str) -> None:
    assert run.invoke(app, command.split()).exit_code == 0


def test_a_name_without_a_valid_yaml_is_known(
    run: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "include" / "configs" / "datasets"
    folder.mkdir(parents=True)
    (folder / "orders.yaml").write_text("name: [")
    monkeypatch.setenv("TENURE_INCLUDE", str(tmp_path / "include"))
    assert run.invoke(app, ["data", "list", "orders"]).exit_code == 0
    assert "there are: orders" in run.invoke(app, ["data", "list", "flights"]).stderr
