"""`tenure key` and the options of `tenure serve`."""

import json

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tenure.adapters.sql.tables import gateway_key
from tenure.cli import app
from tenure.wiring.base import Platform


@pytest.fixture
def run(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("TENURE_HOME", str(platform.settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", platform.settings.database_url)
    return CliRunner()


def test_create_and_revoke(run: CliRunner, platform: Platform) -> None:
    made = run.invoke(app, ["key", "create", "app", "--scope", "score", "--scope", "outcome"])
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert secret.startswith("tnr_")
    with platform.database.begin() as c:
        (row,) = c.execute(select(gateway_key)).all()
    assert row.scopes == ["score", "outcome"]
    assert secret not in str(row)
    ended = run.invoke(app, ["key", "revoke", "app", "--json"])
    assert json.loads(ended.stdout) == {"name": "app", "revoked": 1}
    assert run.invoke(app, ["key", "revoke", "app"]).exit_code == 1


def test_create_as_json(run: CliRunner) -> None:
    made = run.invoke(app, ["key", "create", "app", "--scope", "admin", "--json"])
    answer = json.loads(made.stdout)
    assert (answer["name"], answer["scopes"]) == ("app", ["admin"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["key", "create", "app"],
        ["key", "create", "app", "--scope", "everything"],
        ["serve", "--port", "0"],
        ["serve", "--port", "65536"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
