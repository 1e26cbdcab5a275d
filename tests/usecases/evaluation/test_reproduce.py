"""`tenure reproduce MODEL@N`: trained again in a process of its own, compared, nothing moved."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tenure.adapters.sql import reports
from tenure.cli import app, exit_code
from tenure.errors import ConfigInvalid, ServiceUnreachable, StateConflict
from tenure.usecases.evaluation import reproduce
from tenure.vocabulary import State


@pytest.fixture
def ask(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings = world.platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    return lambda *words: CliRunner().invoke(app, ["reproduce", *words])


def trained(world: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    world.train()


def restate(world: Any, **facts: Any) -> None:
    """As if the first training had left other facts."""
    change = text("UPDATE model_version SET facts = facts || CAST(:changed AS jsonb)")
    with world.platform.database.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(change, {"changed": json.dumps(facts)})


def test_the_same_comes_out_whatever_the_yaml_says_now(world: Any, ask: Any) -> None:
    trained(world)
    world.configure(estimator="hist_gradient_boosting")
    before = world.ledger()
    answer = ask("loan_ok@1", "--json")
    told = json.loads(answer.stdout)
    assert (answer.exit_code, told["verdict"], told["facts"]["differ"]) == (0, "passed", [])
    assert told["facts"]["again"] == told["facts"]["stored"]
    assert told["facts"]["again"]["artifact_digest"] == world.row().artifact_digest
    assert world.versions()[0].state is State.TRAINED
    assert world.ledger() == before
    with world.platform.database.begin() as connection:
        kept = reports.by_digest(connection, told["digest"])
    assert kept is not None
    assert kept.report.summary == told["summary"]


@pytest.mark.exhaustive
def test_what_differs_is_named_and_exits_1(world: Any, ask: Any) -> None:
    trained(world)
    facts = world.row().facts
    packages = {**facts.environment.packages, "scikit-learn": "1.0.0"}
    environment = {**vars(facts.environment), "packages": packages}
    restate(world, metrics={**facts.metrics, "brier": 0.5}, environment=environment)
    answer = ask("loan_ok@1")
    assert answer.exit_code == 1
    first = answer.stdout.splitlines()[0]
    assert first.startswith("loan_ok@1: trained again, brier differs; the environment is another:")
    assert "scikit-learn 1.0.0, here 1." in first


@pytest.mark.parametrize("what", ["snapshots", "reference"])
def test_what_is_gone_is_named(world: Any, ask: Any, what: str) -> None:
    trained(world)
    for key in world.platform.store.list(what):
        world.platform.store.delete(key)
    answer = ask("loan_ok@1")
    assert isinstance(answer.exception, StateConflict)
    assert exit_code(answer.exception) == 1
    assert "loan_ok@1 cannot be trained again: " in answer.exception.what
    assert "is not in the store." in answer.exception.what


def test_a_draft_was_never_trained(world: Any, ask: Any) -> None:
    for month in (1, 2):
        world.publish(month)
    world.request()
    world.plan()
    assert "loan_ok@1 is draft and was never trained" in str(ask("loan_ok@1").exception)
    assert "There is no loan_ok@2; known: loan_ok@1." in str(ask("loan_ok@2").exception)
    assert ask("loan_ok").exit_code == 2


@pytest.mark.parametrize(
    "case",
    [
        ("os._exit(9)", ServiceUnreachable, "ended with exit code 9 (it said nothing)"),
        ("os.kill(os.getpid(), 9)", ServiceUnreachable, "was killed by signal 9"),
        ("raise ValueError('no\\nsense')", ServiceUnreachable, "exit code 1 (sense)"),
        ("answer({'refused': ['too few.', 'more']})", ConfigInvalid, "again: too few."),
    ],
)
def test_a_process_that_gives_no_model_is_said(
    world: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, case: Any
) -> None:
    child, kind, says = case
    trained(world)
    (tmp_path / "child.py").write_text(
        "import json, os, pathlib, sys\n"
        "answer = lambda said: pathlib.Path(sys.argv[1], 'answer.json').write_text("
        f"json.dumps(said))\n{child}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(reproduce, "CHILD", "child")
    with pytest.raises(kind) as caught:
        reproduce.reproduce(world.platform, "loan_ok", 1, world.run("cli", "reproduce"))
    assert says in caught.value.what
