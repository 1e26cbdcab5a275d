"""`tenure ledger verify`, `tenure reconcile`, `tenure archive verify`: answers and exit codes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_forgery import forget, rewrite
from sqlalchemy import text
from typer.testing import CliRunner
from witnesses import NAME, WitnessThread, configured

from tenure.adapters.note_keys import NoteSigner
from tenure.adapters.sql import versions
from tenure.cli import app
from tenure.errors import FileRefused
from tenure.installation import Installation
from tenure.lifecycle.audit.signed_note import parse_key
from tenure.usecases.audit.checkpoints import make_checkpoint
from tenure.usecases.promotion import authority
from tenure.vocabulary import RunRef

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
        "Compared with no witness: who owns database and object store could rewrite it.\n"
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


@pytest.fixture
def witnessed(
    installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WitnessThread]:
    """A witness that `platform.yaml` names, and that cosigned both events."""
    key = runner.invoke(app, ["ledger", "key"]).output.strip()
    assert json.loads(runner.invoke(app, ["ledger", "key", "--json"]).output) == {"key": key}
    witness = WitnessThread(tmp_path / "witness", parse_key(key))
    include = tmp_path / "include"
    shutil.copytree(installed.settings.include, include)
    with (include / "configs" / "platform.yaml").open("a") as stream:
        named = {"url": witness.url, "key": witness.witness.key.text}
        stream.write(f"\nledger: {json.dumps({'witness': named})}\n")
    monkeypatch.setenv("TENURE_INCLUDE", str(include))
    make_checkpoint(configured(installed, witness.policy), RunRef("d", "r", "t"))
    yield witness
    witness.stop()


def test_what_the_witness_saw_is_what_counts(
    installed: Installation, witnessed: WitnessThread, tmp_path: Path
) -> None:
    whole = runner.invoke(app, ["ledger", "verify"])
    assert whole.exit_code == 0, whole.output
    assert "Compared with the checkpoint that witness.example/w1 cosigned on 20" in whole.output
    kept = tmp_path / "kept.txt"
    kept.write_text(witnessed.witness.newest().body)
    rewrite(installed, 2)
    forget(installed)
    done = runner.invoke(app, ["ledger", "verify", "--json"])
    assert done.exit_code == 1, done.output
    found = json.loads(done.output)
    assert found["broken"]["seq"] == 2
    assert found["broken"]["why"].startswith("it is about s by eve, but the checkpoint that witn")
    assert [(one["size"], one["witness"]) for one in found["checkpoints"]] == [(2, NAME)]
    witnessed.stop()
    silent = runner.invoke(app, ["ledger", "verify"])
    assert silent.exit_code == 3, "the database is at one with itself, and nobody says otherwise"
    assert "NOT COMPARED with what the witness saw: The witness http" in silent.output
    given = runner.invoke(app, ["ledger", "verify", "--checkpoint", str(kept)])
    assert given.exit_code == 1, given.output
    assert given.output.startswith("BROKEN at event 2: it is about s by eve")


def test_a_checkpoint_of_another_witness_is_refused(
    installed: Installation, witnessed: WitnessThread, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.txt"
    kept.write_text(witnessed.witness.newest().body)
    other = NoteSigner(NAME, b"x" * 32, is_witness=True).key.text
    words = ["ledger", "verify", "--checkpoint", str(kept), "--witness-key"]
    assert isinstance(runner.invoke(app, [*words, other]).exception, FileRefused)
    own = runner.invoke(app, [*words, witnessed.witness.key.text])
    assert own.exit_code == 0, own.output


def test_a_proof_is_written(
    installed: Installation, witnessed: WitnessThread, tmp_path: Path
) -> None:
    done = runner.invoke(app, ["ledger", "proof", "2", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    path = tmp_path / "ledger-00000002.tlog-proof"
    assert done.output == f"{path}\n"
    assert path.read_text().startswith("c2sp.org/tlog-proof@v1\nextra ")
    every = runner.invoke(app, ["ledger", "proof", "s", "--out", str(tmp_path), "--json"])
    assert [len(json.loads(every.output)["files"]), json.loads(every.output)["witness"]] == [
        2,
        NAME,
    ]


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
