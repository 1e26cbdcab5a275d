"""`tenure bias-audit MODEL@VERSION` on a trained version."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tenure.cli import app

COMMAND = "bias-audit"


@pytest.fixture
def ask(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings = world.platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    return lambda *words: CliRunner().invoke(app, [COMMAND, *words])


def trained(world: Any, *, unfair: bool) -> None:
    for month in (1, 2):
        world.publish(month, unfair=unfair)
    world.request()
    world.plan()
    world.train()


@pytest.mark.parametrize(("unfair", "code", "verdict"), [(True, 1, "failed"), (False, 0, "passed")])
def test_exit_code_and_json(world: Any, ask: Any, unfair: bool, code: int, verdict: str) -> None:
    trained(world, unfair=unfair)
    answer = ask("loan_ok@1", "--json")
    told = json.loads(answer.stdout)
    assert (answer.exit_code, told["verdict"], told["subject"]) == (code, verdict, "loan_ok@1")
    assert len(told["digest"]) == 64
    lines = ask("loan_ok@1").stdout.splitlines()
    assert lines[0] == f"loan_ok@1: {told['summary']}"
    assert any(line.split()[:3] == [verdict, "sex", "selection_rate"] for line in lines)
    assert lines[-1] == f"Report {told['digest']}"


@pytest.mark.parametrize("words", ["loan_ok", "loan_ok@", "loan_ok@x", "../etc@1", "@1"])
def test_wrong_usage(ask: Any, words: str) -> None:
    assert ask(words).exit_code == 2


def test_a_version_that_is_not_there(ask: Any) -> None:
    answer = ask("loan_ok@7")
    assert answer.exit_code == 1
    assert "There is no loan_ok@7; known: none" in str(answer.exception)
