"""`tenure key` and the options of `tenure serve`."""

import json

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tenure.adapters.sql.tables import gateway_key
from tenure.cli import app
from tenure.installation import Installation


@pytest.fixture
def run(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("TENURE_HOME", str(platform.settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", platform.settings.database_url)
    return CliRunner()


def test_create_and_revoke(run: CliRunner, platform: Installation) -> None:
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


def test_rotation(run: CliRunner) -> None:
    ids = []
    for _ in range(2):
        made = run.invoke(app, ["key", "create", "app", "--scope", "score", "--json"])
        ids.append(json.loads(made.stdout)["id"])
    ended = run.invoke(app, ["key", "revoke", "app", "--id", ids[0]])
    assert ended.stdout == "1 key(s) of app revoked\n"
    rows = json.loads(run.invoke(app, ["key", "list", "--json"]).stdout)
    assert [(row["id"], row["revoked_at"] is None) for row in rows] == [
        (ids[0], False),
        (ids[1], True),
    ]
    table = run.invoke(app, ["key", "list"]).stdout.splitlines()
    assert " ".join(table[0].split()) == "id name scopes models rows/s created last used revoked"
    assert table[1].startswith(f"{ids[0]}  app   score   all     any")


def test_key_for_a_model_that_is_not_registered(run: CliRunner) -> None:
    command = ["key", "create", "app", "--scope", "score", "--model", "ghost"]
    done = run.invoke(app, command)
    assert done.exit_code == 2
    assert "there is no model 'ghost'; there are: flight_delay, flight_late, " in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["key", "create", "app"],
        ["key", "create", "app", "--scope", "everything"],
        ["serve", "--port", "0"],
        ["serve", "--port", "65536"],
        ["serve", "--host", "0.0.0.0"],
        ["serve", "--host", "::"],
        ["serve", "--host", "gateway.example"],
        ["key", "create", "app", "--scope", "score", "--rows-per-second", "0"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2
