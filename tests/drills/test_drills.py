"""Drills for real: each breaks a sandbox of its own, and the installation only hears of it."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from click.testing import Result
from sqlalchemy import select
from typer.testing import CliRunner

from tenure.adapters.sql import drills as sql
from tenure.adapters.sql.tables import incident, ledger_event
from tenure.cli import app
from tenure.drills.faults import FAULTS, RejectedBatch
from tenure.errors import NotPermitted
from tenure.installation import Installation
from tenure.lifecycle.incidents.drill import DRILLS
from tenure.settings import Settings
from tenure.usecases.audit.ledger import check_chain

pytestmark = pytest.mark.service

Run = Callable[..., Result]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """Whoever watches looks every half second, so that a test does not wait for minutes."""
    include = tmp_path / "include"
    (include / "configs").mkdir(parents=True)
    people = (settings.configs / "platform.yaml").read_text("utf-8")
    watch = "watch: {period_seconds: 1, webhook: 'env:NOBODY'}\n"
    (include / "configs" / "platform.yaml").write_text(people + watch, "utf-8")
    return replace(settings, include=include)


@pytest.fixture
def run(platform: Installation, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in the name of an operator."""
    settings = platform.settings
    monkeypatch.setenv("TENURE_HOME", str(settings.home))
    monkeypatch.setenv("TENURE_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_INCLUDE", str(settings.include))
    monkeypatch.setattr("tenure.cli.arguments.login_name", lambda: "olga")
    return lambda *words: CliRunner().invoke(app, ["drill", *words])


def left_behind() -> list[str]:
    """Folders and processes of sandboxes."""
    folders = [str(one) for one in Path(tempfile.gettempdir()).glob("tenure-drill-*")]
    ours = psutil.Process().children(recursive=True)
    lines = [" ".join(one.cmdline()) for one in ours if one.status() != psutil.STATUS_ZOMBIE]
    return folders + [line for line in lines if "tenure-drill-" in line or "main() serve" in line]


def test_each_drill_has_a_fault() -> None:
    assert set(DRILLS) == set(FAULTS)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "rejected-batch" else pytest.mark.exhaustive)
        for name in sorted(DRILLS)
    ],
)
def test_a_drill_finds_tells_and_is_back_and_the_ledger_has_it(
    run: Run, platform: Installation, name: str
) -> None:
    assert "never drilled" in run("--list").stdout
    said = run(name, "--json")
    assert said.exit_code == 0, said.output
    result = json.loads(said.stdout)
    assert result["succeeded"] is True
    assert 0 <= result["found"] <= result["alerted"] <= result["back"]
    with platform.database.begin() as connection:
        (event,) = connection.execute(select(ledger_event))
        assert connection.execute(select(incident.c.id)).all() == []
        last = sql.last_drills(connection, [*DRILLS])
    assert (event.subject, event.actor) == (f"drill:{name}", "olga")
    assert event.body["kind"] == DRILLS[name].kind
    assert [*last] == [name]
    assert (last[name].back, last[name].problem) == (event.body["back_seconds"], "")
    assert check_chain(platform).chain.broken is None
    listed = run("--list").stdout
    assert "last drilled today by olga: found in" in listed
    records = {one["name"]: one["last"] for one in json.loads(run("--list", "--json").stdout)}
    assert [key for key, value in records.items() if value] == [name]
    assert left_behind() == []


def test_a_drill_that_comes_to_no_end_is_recorded_as_failed(
    run: Run, platform: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault stays: whoever should mend it lets the time run out."""

    def too_late(_: RejectedBatch) -> None:
        monkeypatch.setattr("tenure.drills.run.LONGEST_SECONDS", 0.0)

    monkeypatch.setattr(RejectedBatch, "mend", too_late)
    said = run("rejected-batch")
    assert said.exit_code == 1
    assert "The drill failed: not back within 0 s. Recorded." in said.stdout
    assert "failed, not back within 0 s" in run("--list").stdout
    with platform.database.begin() as connection:
        last = sql.last_drills(connection, ["rejected-batch"])["rejected-batch"]
    assert last.found is not None
    assert last.back is None
    assert left_behind() == []


@pytest.mark.parametrize(
    ("words", "code"), [(("nothing",), 2), ((), 2), (("rejected-batch", "--actor", "ada"), 1)]
)
def test_who_asks_for_nothing_known_or_may_not_starts_nothing(
    run: Run, platform: Installation, words: tuple[str, ...], code: int
) -> None:
    said = run(*words)
    assert said.exit_code == code
    assert isinstance(said.exception, NotPermitted) is (code == 1)
    with platform.database.begin() as connection:
        assert connection.execute(select(ledger_event)).all() == []
