"""`tenure data list|show` on a real database."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.demo.upstream import write_month
from tenure.errors import DataRejected
from tenure.installation import Installation
from tenure.usecases.data.ingestion import ingestion
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

runner = CliRunner()


@pytest.mark.exhaustive
def test_a_good_and_a_broken_batch(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    landing = settings.home / "store/landing/flights"
    write_month(landing, 2)
    write_month(landing, 3, damage="broken")
    service = ingestion(platform, "flights")
    good, broken = service.discover()
    done = service.ingest(good, RunRef("d", "r", "t"))
    with pytest.raises(DataRejected):
        service.ingest(broken, RunRef("d", "r", "t", 1))

    rows = json.loads(runner.invoke(app, ["data", "list", "--json"]).output)
    assert [(row["batch"], row["verdict"], row["snapshot"]) for row in rows] == [
        ("2013-03", "failed", None),
        ("2013-02", "passed", done.snapshot),
    ]
    table = runner.invoke(app, ["data", "list", "flights"]).output.splitlines()
    assert table[1].split()[:6] == ["flights", "2013-03", "failed", "28834", "25224", "3610"]

    shown = runner.invoke(app, ["data", "show", "flights", "2013-03"])
    assert shown.exit_code == 0
    assert shown.output.startswith("flights batch 2013-03: 2 of 15 expectations failed; temp has ")
    assert "3,460 of 28,834 nulls (12.0%)" in shown.output
    answer = json.loads(runner.invoke(app, ["data", "show", "flights", "2013-03", "--json"]).output)
    assert answer["quarantine"].startswith("file://")
    assert runner.invoke(app, ["data", "show", "flights", "2013-09"]).exit_code == 2


def test_two_snapshots_side_by_side(
    platform: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Other rows, a removed and an added column, another type; by digest and by batch."""
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", settings.store_url)
    monkeypatch.setenv("TENURE_INCLUDE", str(tmp_path))
    yaml = tmp_path / "configs/datasets/d.yaml"
    yaml.parent.mkdir(parents=True)
    (tmp_path / "expectations").mkdir()
    suite = '{"name": "d", "expectations": [{"type": "expect_table_row_count_to_be_between", '
    (tmp_path / "expectations/d.json").write_text(suite + '"kwargs": {"min_value": 1}}]}')
    head = (
        "name: d\ndescription: D.\nowner: ada\nsteward: sam\nsuite: d\ncontract:\n  columns:\n"
        "    x: {type: number}\n    who: {type: string, sensitivity: personal}\n"
    )
    other, digests = Installation(replace(settings, include=tmp_path)), []
    for batch, more, table in (
        ("one", "    n: {type: integer}\n", {"x": [1.0, 3.0, None], "n": [1, 2, 3]}),
        ("two", "    m: {type: string}\n", {"x": [2.0, 4.0], "m": ["a", "b"]}),
    ):
        yaml.write_text(head + more)
        path = settings.home / f"store/landing/d/{batch}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        who = [f"person {i}" for i in range(len(table["x"]))]
        pq.write_table(pa.table({**table, "who": who}), path)
        service = ingestion(other, "d")
        key = f"landing/d/{batch}.parquet"
        digests.append(service.ingest(key, RunRef("d", "r", "t")).snapshot)
    other.database.dispose()

    by_digest = runner.invoke(app, ["data", "diff", digests[0][:8], digests[1], "--json"])
    by_batch = runner.invoke(app, ["data", "diff", "d:one", "d:two", "--json"])

    assert by_digest.output == by_batch.output
    found = json.loads(by_digest.output)
    assert found["rows"] == {"a": 3, "b": 2}
    columns = {c["name"]: c for c in found["columns"]}
    assert {n: c["change"] for n, c in columns.items()} == {
        "x": None,
        "who": None,
        "n": "removed",
        "m": "added",
    }
    assert (columns["x"]["a"]["nulls"], columns["x"]["b"]["mean"]) == (1, 3.0)
    assert "top" not in columns["who"]["a"]
    lines = runner.invoke(app, ["data", "diff", "d:one", "d:two"]).output.splitlines()
    assert lines[0] == f"a: d one {digests[0][:12]}, 3 rows"
    assert lines[3].split() == ["x", "1", "→", "0", "2", "2", "→", "3", "1", "1", "→", "2", "3",
                                "→", "4"]  # fmt: skip
    for name, said in (("d:three", "fits no snapshot"), (digests[0][:5], "fits no snapshot")):
        wrong = runner.invoke(app, ["data", "diff", name, "d:two"])
        assert said in str(wrong.exception)
