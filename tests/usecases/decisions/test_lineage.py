"""`tenure lineage` on a life that was lived: trained, promoted, and a batch scored."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import CliRunner

from tenure.adapters.sql import reads
from tenure.cli import app
from tenure.lifecycle.promotion.approval import Choice
from tenure.usecases.decisions.batch_scoring import finish, plan, score_shard
from tenure.usecases.promotion import approval, traffic
from tenure.views import lineage
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

MODEL = "loan_ok"


@pytest.fixture
def lived(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three batches; the version learned from two and scored the third."""
    settings = world.platform.settings
    for name in ("home", "database_url", "store_url", "include"):
        monkeypatch.setenv(f"TENURE_{name.upper()}", str(getattr(settings, name)))
    digests = [world.publish(1), world.publish(2)]
    world.request()
    world.life()
    version = world.versions()[0]
    asked = approval.ask(world.platform, version)
    assert asked is not None
    approval.answer(
        world.platform,
        (version.id, asked.artifact, asked.evidence),
        user="grace",
        choice=Choice.APPROVE,
        run=world.run(task="review"),
    )
    traffic.promote_first(world.platform, version.id, actor="test")
    digests.append(world.publish(3, 50))
    run = RunRef(f"{MODEL}__batch_score", "b1", "score", user="olga")
    for number in plan(world.platform, MODEL, run, snapshot="2013-03", shard_rows=50):
        score_shard(world.platform, MODEL, run, number)
    finish(world.platform, MODEL, run)
    world.digests = digests
    return world


def told(*words: str) -> str:
    found = CliRunner().invoke(app, ["lineage", *words])
    assert found.exit_code == 0, found.output
    return found.output


def test_back_from_a_version_to_its_files(lived: Any) -> None:
    text = told(f"{MODEL}@1")
    first, *_ = text.splitlines()
    assert first.startswith(f"{MODEL}@1 (champion), trained by ")
    for digest, batch in zip(lived.digests[:2], ("2013-01", "2013-02"), strict=True):
        assert f"loans:{batch}: 200 rows, snapshot {digest}" in text
        assert f"file: landing/loans/{batch}.parquet (sha256 {digest})" in text
    assert "2013-03: " not in text.partition("champion with")[0]
    assert f"judged by: suite - {'s' * 64}" in text
    assert re.search(r"read by \S+ for training of loan_ok", text)
    assert re.search(r"champion with up to 100%: \S+ \S+ to now", text)
    assert "50 logged answers with its name" in text
    assert re.search(r"batch loans:2013-03 scored by loan_ok@1: 50 rows for olga, finished", text)
    row = json.loads(told(f"{MODEL}@1", "--json"))
    assert row["answers"] == {MODEL: {"1": 50}}
    assert [s["origin"]["batch"] for s in row["sources"]] == ["2013-01", "2013-02"]


@pytest.mark.parametrize("way", ["digest", "batch", "file"])
def test_forward_from_a_file_to_versions_and_answers(lived: Any, way: str) -> None:
    names = {
        "digest": lived.digests[0][:12],
        "batch": "loans:2013-01",
        "file": "landing/loans/2013-01.parquet",
    }
    text = told(names[way])
    assert f"snapshot {lived.digests[0]}" in text
    assert "learned from by 1 version:" in text
    assert f"{MODEL}@1 (champion), by " in text
    assert "50 logged answers" in text
    assert "scored by" not in text
    assert "learned from by 0 versions:" in told("loans:2013-03")
    assert f"scored by {MODEL}@1: 50 rows" in told("loans:2013-03")


def test_back_from_a_decision_which_the_ledger_notes(lived: Any) -> None:
    from tenure.usecases.decisions import replay

    (decision,) = replay.chosen(lived.platform, rows=1, seed=1, model=MODEL)
    text = told(decision)
    assert f"decision {decision}: answered at " in text
    assert "landing/loans/2013-02.parquet" in text
    with lived.platform.database.begin() as connection:
        query = "SELECT body FROM ledger_event WHERE subject = 'decisions' ORDER BY seq DESC"
        noted = connection.exec_driver_sql(f"{query} LIMIT 1").scalar_one()
    assert noted["how"] == "lineage"
    json.loads(told(decision, "--json"))


def test_a_graph_is_one_mermaid_flowchart(lived: Any) -> None:
    for words in ((f"{MODEL}@1",), ("loans:2013-01",)):
        lines = told(*words, "--graph").splitlines()
        assert lines[0] == "flowchart LR"
        assert all(line.startswith("  ") for line in lines[1:])
        nodes = {n for line in lines for n in re.findall(r"^  (\w+)[\[(]", line)}
        ends = {n for line in lines if "-->" in line for n in re.findall(r"^  (\w+) |(\w+)$", line)}
        assert {name for pair in ends for name in pair if name} <= nodes


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (f"{MODEL}@7", "there is no version loan_ok@7"),
        ("01890000-0000-7000-8000-000000000000", "is not in the log"),
        ("loans:1999-01", "fits no snapshot"),
        ("landing/loans/none.parquet", "fits no snapshot"),
    ],
)
def test_what_is_not_there_is_said(lived: Any, what: str, said: str) -> None:
    found = CliRunner().invoke(app, ["lineage", what])
    assert found.exit_code != 0
    assert said in found.output + str(found.exception)


def test_readers_are_counted_and_stretches_of_traffic_joined(lived: Any) -> None:
    with lived.platform.database.begin() as connection:
        for _ in range(3):
            reads.note_read(
                connection,
                "loans",
                lived.digests[0],
                purpose="preview",
                model=None,
                run=RunRef("cli", "r", "t", user="sam"),
            )
    found = lineage.of_version(lived.platform, MODEL, 1)
    assert found is not None
    by = {(one.reader, one.purpose): one.times for one in found.sources[0].readers}
    assert by["sam", "preview"] == 3
    (stretch,) = found.serving
    assert (stretch.part, stretch.share_bp, stretch.until) == ("champion", 10_000, None)
    assert stretch.since < datetime.now(tz=UTC)
