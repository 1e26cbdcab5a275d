"""`tenure ledger verify`, `tenure reconcile`, `tenure archive verify`: answers and exit codes."""

import json

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tenure.adapters.sql import versions
from tenure.cli import app
from tenure.installation import Installation
from tenure.usecases.promotion import authority

pytestmark = pytest.mark.service

runner = CliRunner()


@pytest.fixture
def installed(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Two ledger events, and the environment that leads the command line to them."""
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    monkeypatch.setenv("TENURE_MLFLOW_URL", settings.mlflow_url)
    for number in (1, 2):
        with platform.database.begin() as c:
            platform.ledger.note(
                c, subject="s", actor="ada", body={"n": number}, op_key=f"{number}"
            )
    return platform


def break_chain(platform: Installation) -> None:
    with platform.database.begin() as c:
        c.execute(text("SET LOCAL session_replication_role = replica"))
        c.execute(text("UPDATE ledger_event SET actor = 'eve' WHERE seq = 2"))


def test_a_whole_ledger(installed: Installation) -> None:
    done = runner.invoke(app, ["ledger", "verify", "--invariants", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert (found["events"], found["ok"], len(found["head"])) == (2, True, 64)
    assert [one["id"] for one in found["invariants"]] == [f"I{n}" for n in range(1, 23)]
    assert {one["rows"] for one in found["invariants"]} == {0}
    assert (found["anchors"], found["platform_yaml_recorded"]) == (0, False)
    words = runner.invoke(app, ["ledger", "verify"])
    assert words.output == (
        f"2 events hold; head {found['head']}; 0 anchors agree\n"
        "platform.yaml, as it is in force, has no ledger event; maintain_platform writes it "
        "within minutes.\n"
    )
    authority.take_up(installed, seen_by="maintain_platform")
    again = json.loads(runner.invoke(app, ["ledger", "verify", "--json"]).output)
    assert (again["events"], again["platform_yaml_recorded"]) == (3, True)


def test_a_broken_ledger_exits_1_with_the_first_entry(installed: Installation) -> None:
    break_chain(installed)
    done = runner.invoke(app, ["ledger", "verify", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.output)["broken"]["seq"] == 2
    words = runner.invoke(app, ["ledger", "verify"])
    assert words.exit_code == 1
    assert words.output.startswith("BROKEN at event 2: hash is ")


def test_a_broken_rule_exits_1_and_is_shown(installed: Installation) -> None:
    with installed.database.begin() as c:
        c.execute(
            text(
                "INSERT INTO outbox (op_key, topic, created_at) "
                "VALUES ('o', 't', now() - interval '2 days')"
            )
        )
    done = runner.invoke(app, ["ledger", "verify", "--invariants"])
    assert done.exit_code == 1
    assert "I14: id=1, topic=t, attempts=0, last_error=None" in done.output


def test_reconciling_says_what_each_part_did(installed: Installation) -> None:
    done = runner.invoke(app, ["reconcile", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["ledger"]["events"] == 2
    assert "events=2" in runner.invoke(app, ["reconcile"]).output


def test_reconciling_a_broken_ledger_exits_1(installed: Installation) -> None:
    break_chain(installed)
    done = runner.invoke(app, ["reconcile"])
    assert done.exit_code == 1
    assert "LedgerBroken" in done.output


def test_reconciling_without_mlflow_exits_3(installed: Installation) -> None:
    with installed.database.begin() as c:
        versions.register_model(c, name="m", owner="ada", risk_tier="limited", purpose="t")
        versions.create_draft(c, model_name="m", trained_by="ada", training_key="k")
    done = runner.invoke(app, ["reconcile", "--json"])
    assert done.exit_code == 3
    assert json.loads(done.output)["aliases"]["kind"] == "ServiceUnreachable"


@pytest.mark.parametrize("name", ["m", "m@", "@1", "m@x", "m@-1"])
def test_an_archive_is_named_by_model_and_version(installed: Installation, name: str) -> None:
    assert runner.invoke(app, ["archive", "verify", name]).exit_code == 2
