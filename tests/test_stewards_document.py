"""The example of docs/stewards.md is what the commands say of real flights."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from flight_configs import flight_configs
from typer.testing import CliRunner

from tenure.cli import app
from tenure.demo.upstream import write_month
from tenure.errors import DataRejected
from tenure.installation import Installation
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.data.ingestion import ingestion
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

DOCUMENT = (REPOSITORY / "docs/stewards.md").read_text(encoding="utf-8")


@pytest.mark.exhaustive
def test_the_example_is_what_the_command_prints(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    include = flight_configs(tmp_path / "include")
    platform = Installation(replace(settings, include=include))
    landing = settings.home / "store/landing/flights"
    write_month(landing, 2)
    write_month(landing, 3, damage="broken")
    service = ingestion(platform, "flights")
    for key in service.discover():
        with suppress(DataRejected):
            service.ingest(key, RunRef("d", "r", "t"))
    suite = include / "expectations/flights.json"
    assert suite.read_text().count('"mostly": 0.98') == 1
    assert '`"mostly": 0.98`; you write `"mostly": 0.85`' in DOCUMENT
    suite.write_text(suite.read_text().replace('"mostly": 0.98', '"mostly": 0.85'))
    for name, value in (
        ("HOME", settings.home),
        ("INCLUDE", include),
        ("DATABASE_URL", settings.database_url),
        ("STORE_URL", settings.store_url),
    ):
        monkeypatch.setenv(f"TENURE_{name}", str(value))

    done = CliRunner().invoke(app, ["suite", "preview", "flights"])

    (example,) = re.findall(r"```\n\$ tenure suite preview flights\n(.*?)```", DOCUMENT, re.DOTALL)
    assert re.sub(r"\([0-9a-f]{12}…\)", "(…)", done.stdout) == example
    platform.database.dispose()
