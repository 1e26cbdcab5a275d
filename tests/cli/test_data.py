"""`tenure data list|show` on a real database."""

import json

import pytest
from typer.testing import CliRunner

from tenure.cli import app
from tenure.demo.upstream import write_month
from tenure.errors import DataRejected
from tenure.vocabulary import RunRef
from tenure.wiring.base import Platform
from tenure.wiring.ingestion import ingestion

pytestmark = pytest.mark.service

runner = CliRunner()


def test_a_good_and_a_broken_batch(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert shown.output.startswith("flights batch 2013-03: 2 of 14 expectations failed; temp has ")
    assert "3,460 of 28,834 nulls (12.0%)" in shown.output
    answer = json.loads(runner.invoke(app, ["data", "show", "flights", "2013-03", "--json"]).output)
    assert answer["quarantine"].startswith("file://")
    assert runner.invoke(app, ["data", "show", "flights", "2013-09"]).exit_code == 2
