"""In whose name a command acts: one rule for every command that takes --actor."""

import os
import pwd
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tenure.adapters.sql.ledger import SqlLedger
from tenure.cli import app
from tenure.cli.arguments import acting
from tenure.errors import NotPermitted
from tenure.installation import Installation
from tenure.installation.identity import login_name
from tenure.settings import Settings


@pytest.fixture
def as_login(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> pytest.MonkeyPatch:
    for name in ("home", "database_url", "store_url", "include"):
        monkeypatch.setenv(f"TENURE_{name.upper()}", str(getattr(settings, name)))
    return monkeypatch


@pytest.mark.parametrize(
    ("login", "actor", "name", "delegate"),
    [
        pytest.param("vera", None, "vera", None, id="in one's own name"),
        pytest.param("vera", "VERA", "vera", None, id="one's own name, said"),
        pytest.param("olga", "sam", "sam", "olga", id="an operator for a steward"),
    ],
)
def test_in_whose_name(
    as_login: pytest.MonkeyPatch, login: str, actor: str | None, name: str, delegate: str | None
) -> None:
    as_login.setattr("tenure.cli.arguments.login_name", lambda: login)
    with acting(actor) as (platform, who):
        assert (who, platform.delegate) == (name, delegate)


@pytest.mark.parametrize("login", ["vera", "root", "cli", "sam"])
def test_others_act_for_nobody(as_login: pytest.MonkeyPatch, login: str) -> None:
    as_login.setattr("tenure.cli.arguments.login_name", lambda: login)
    says = f"{login} may not act on behalf of olga"
    with pytest.raises(NotPermitted, match=says), acting("olga"):
        pytest.fail("nothing may be done")


def test_the_login_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "olga")
    assert login_name() == pwd.getpwuid(os.getuid()).pw_name


def test_the_ledger_names_both(platform: Installation) -> None:
    ledger = SqlLedger(platform.clock, delegate="olga")
    with platform.database.begin() as c:
        ledger.note(c, subject="s", actor="sam", body={"n": 1}, op_key="k")
        row = c.exec_driver_sql("SELECT actor, body FROM ledger_event").one()
    assert (row.actor, row.body) == ("olga", {"n": 1, "on_behalf_of": "sam"})


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command that names an actor."""
    if hasattr(command, "commands"):
        found = [commands(one, (*path, name)) for name, one in command.commands.items()]
        return [one for each in found for one in each]
    return [path] if any("--actor" in param.opts for param in command.params) else []


def test_every_actor_is_under_the_rule() -> None:
    found = commands(typer.main.get_command(app))
    assert len(found) >= 5
    for path in found:
        said = CliRunner().invoke(app, [*path, "--help"]).output
        assert "On whose behalf" in said, path
