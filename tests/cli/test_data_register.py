"""`tenure data owners|schema`, and who is seen to have opened a snapshot."""

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.demo.upstream import write_month
from tenure.installation import Installation
from tenure.settings import REPOSITORY
from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.data.snapshots import open_snapshot
from tenure.vocabulary import RunRef

runner = CliRunner()


@pytest.mark.exhaustive
@pytest.mark.service
def test_a_model_that_lost_a_column_and_a_reader_are_listed(
    platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENURE_HOME", str(platform.settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", platform.settings.database_url)
    monkeypatch.setenv("TENURE_STORE_URL", platform.settings.store_url)
    told = runner.invoke(app, ["data", "schema", "flights"])
    assert (told.exit_code, told.output) == (
        0,
        "Every model that reads flights can read all that is published of it.\n",
    )
    landing = platform.settings.home / "store/landing/flights"
    write_month(landing, 2)
    path = landing / "2013-02.parquet"
    pq.write_table(pq.read_table(path).slice(0, 300).drop_columns(["temp"]), path)
    done = ingestion(platform, "flights").ingest(
        "landing/flights/2013-02.parquet", RunRef("d", "r", "t")
    )
    run = RunRef("flight_late__train_model", "r7", "train", user="ada")
    open_snapshot(
        platform, "flights", done.snapshot, purpose="training", run=run, model="flight_late"
    )

    broken = runner.invoke(app, ["data", "schema", "flights", "--json"])
    assert broken.exit_code == 1
    assert json.loads(broken.output) == [
        {
            "model": model,
            "column": "temp",
            "said": "temp is not there",
            "verdict": "breaking",
            "batch": "2013-02",
        }
        for model in ("flight_delay", "flight_late")
    ]
    (row,) = json.loads(runner.invoke(app, ["data", "list", "--json"]).output)
    assert (row["sensitivity"], row["owner"], row["steward"]) == ("public", "ada", "sam")
    shown = runner.invoke(app, ["data", "show", "flights", "2013-02"]).output
    assert shown.splitlines()[-1].split()[-4:] == ["ada", "training", "flight_late", "r7"]


def test_owners_are_written_and_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    copytree(REPOSITORY / "include", tmp_path / "include")
    monkeypatch.setenv("TENURE_INCLUDE", str(tmp_path / "include"))

    def answer(*options: str) -> tuple[int, dict[str, Any]]:
        done = runner.invoke(app, ["data", "owners", "--json", *options])
        return done.exit_code, json.loads(done.output)

    assert answer()[0] == 1
    code, found = answer("--write")
    assert (code, found["is_same"]) == (0, True)
    assert "/include/expectations/flights.json @sam" in found["lines"]
    assert answer()[0] == 0
    (tmp_path / "CODEOWNERS").write_text("* @eve\n")
    assert answer()[0] == 1
