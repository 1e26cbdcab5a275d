"""A YAML that is gone while its model serves."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tenure.adapters.sql import versions
from tenure.cli import app
from tenure.installation import Installation
from tenure.usecases.operations.configs import lost_configs

pytestmark = pytest.mark.service
runner = CliRunner()


@pytest.fixture
def served(platform: Installation, tmp_path: Path) -> Iterator[Installation]:
    """Models in each state; only `flight_late` has a YAML."""
    include = tmp_path / "include"
    shutil.copytree(platform.settings.include, include)
    states = {
        "flight_late": "champion",
        "gone": "champion",
        "probed": "canary",
        "retired": "superseded",
    }
    with platform.database.begin() as connection:
        for name in states:
            versions.register_model(
                connection, name=name, owner="ada", risk_tier="limited", purpose="tests"
            )
            versions.create_draft(connection, model_name=name, trained_by="ada", training_key=name)
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        for name, state in states.items():
            connection.execute(
                text(
                    "UPDATE model_version SET state = :state, artifact_digest = :name, "
                    "signature = :name, evaluation_report = :name, bias_report = :name "
                    "WHERE model = :name"
                ),
                {"name": name, "state": state},
            )
    found = Installation(replace(platform.settings, include=include))
    yield found
    found.database.dispose()


def test_what_serves_without_a_file_is_named(served: Installation) -> None:
    found = lost_configs(served)
    folder = served.settings.configs / "models"
    assert [(one.path, one.line) for one in found] == [
        (folder / "gone.yaml", 1),
        (folder / "probed.yaml", 1),
    ]
    assert found[0].message.startswith("there is no such file, and gone@1 serves (champion)")
    assert "probed@1 serves (canary)" in found[1].message


def test_a_check_asks_the_database_where_it_can(
    served: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = served.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    done = runner.invoke(app, ["check", "--json"])
    answer = json.loads(done.output)
    assert (done.exit_code, answer["not_asked"]) == (1, None)
    assert [Path(one["file"]).stem for one in answer["problems"]] == ["gone", "probed"]

    monkeypatch.setenv("TENURE_DATABASE_URL", "postgresql+psycopg://postgres@127.0.0.1:9/none")
    done = runner.invoke(app, ["check"])
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == (
        "Not asked: whether models can learn from what is published, and whether one serves "
        "whose YAML is gone "
        "(The lifecycle database does not answer)"
    )
