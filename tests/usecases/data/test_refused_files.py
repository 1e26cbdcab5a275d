"""A file that failed is kept by its digest, as long as its dataset keeps data and lets it."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rides import RUN, YAML, drop, ingest_all, installed

from tenure.errors import DataRejected
from tenure.files import digest_file
from tenure.installation import Installation
from tenure.settings import Settings
from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.data.refused_files import expire_refused

pytestmark = pytest.mark.service


@pytest.fixture
def rides(settings: Settings, tmp_path: Path) -> Iterator[Installation]:
    platform = installed(settings, tmp_path / "include")
    yield platform
    platform.database.dispose()


def configure(platform: Installation, text: str) -> None:
    (platform.settings.configs / "datasets/rides.yaml").write_text(text)


def later(platform: Installation, **ahead: int) -> Installation:
    """The same installation, some days on."""
    found = Installation(platform.settings)
    now = datetime.now(UTC) + timedelta(**ahead)
    clock = type("Later", (), {"now": lambda _self: now})()
    vars(found).update(clock=clock, database=platform.database)
    return found


def kept(platform: Installation) -> list[str]:
    return list(platform.store.list("refused/"))


def test_a_failed_file_is_kept_whole_and_once(rides: Installation) -> None:
    key = drop(rides, "b5", 11, "xy")
    drop(rides, "b1", 0, "xy")
    digest = digest_file(rides.settings.home / "store" / key)
    ingest_all(rides)
    drop(rides, "b5", 1, "xy")
    ingest_all(rides)
    drop(rides, "b5", 11, "xy")
    ingest_all(rides)
    assert kept(rides) == [f"refused/rides/{digest}"]
    assert digest_file(rides.store.fetch(kept(rides)[0], digest)) == digest


def test_killed_after_it_was_kept(rides: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    key = drop(rides, "b5", 11, "xy")
    rides.database.dispose()
    if (child := os.fork()) == 0:
        os.environ |= {"TENURE_ENV": "test", "TENURE_FAIL": "ingest.kept:kill"}
        ingestion(rides, "rides").ingest(key, RUN)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (refused,) = kept(rides)
    for _ in range(2):
        with pytest.raises(DataRejected, match="temp has 11 of 200 nulls"):
            ingestion(rides, "rides").ingest(key, RUN)
    assert kept(rides) == [refused]


@pytest.mark.parametrize(
    "text",
    [
        YAML.replace("city: {type: string}", "city: {type: string, sensitivity: personal}"),
        YAML.replace("name: rides\n", "name: rides\nsensitivity: restricted\n"),
    ],
    ids=["a personal column", "restricted"],
)
def test_what_may_not_lie_there_in_clear_is_not_kept(
    rides: Installation, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(rides.store), "encryption", lambda _store: "a volume of this test")
    drop(rides, "b5", 11, "xy")
    ingest_all(rides)
    assert len(kept(rides)) == 1
    configure(rides, text)
    assert expire_refused(rides) == 1
    ingest_all(rides)
    assert kept(rides) == []


def test_retention_deletes_it(rides: Installation) -> None:
    configure(rides, YAML + "retention_days: 3\n")
    drop(rides, "b5", 11, "xy")
    ingest_all(rides)
    assert expire_refused(later(rides, days=2, hours=23)) == 0
    (rides.settings.configs / "datasets/rides.yaml").unlink()
    assert expire_refused(later(rides, days=2, hours=23)) == 0, "by the config that judged last"
    assert expire_refused(later(rides, days=3, hours=1)) == 1
    assert kept(rides) == []
    assert expire_refused(later(rides, days=3, hours=1)) == 0
