"""The remembered form of a config says what the YAML says."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tenure.config import load_all
from tenure.orchestration import catalog
from tenure.settings import REPOSITORY

pytestmark = pytest.mark.airflow


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENURE_HOME", str(tmp_path))
    monkeypatch.setenv("TENURE_INCLUDE", str(REPOSITORY / "include"))


@pytest.mark.parametrize("round_", ["cold", "remembered"])
def test_a_view_equals_the_config(round_: str) -> None:
    if round_ == "remembered":
        catalog.models()
    whole = load_all(REPOSITORY / "include")
    for view in catalog.models():
        assert view == catalog.ConfigView(whole.models[view.name].model_dump(mode="json"))
    for view in catalog.datasets():
        assert view == catalog.ConfigView(whole.datasets[view.name].model_dump(mode="json"))


def test_a_view_reads_like_the_config() -> None:
    model = catalog.models()[0]
    assert model.canary.metrics[0].event == load_first().canary.metrics[0].event
    assert model.features.numeric == load_first().features.numeric
    with pytest.raises(AttributeError, match="never changes"):
        model.owner = "eve"  # type: ignore[misc]


def load_first() -> object:
    return next(iter(load_all(REPOSITORY / "include").models.values()))


def test_nothing_is_remembered_when_the_home_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TENURE_HOME", str(tmp_path / "file"))
    assert [model.name for model in catalog.models()] == catalog.model_names()


def test_a_damaged_memory_is_read_anew(tmp_path: Path) -> None:
    first = catalog.models()
    remembered = next((tmp_path / "cache" / "configs" / "models").glob("*.json"))
    remembered.write_text("{half")
    assert catalog.models() == first


@pytest.mark.parametrize(
    ("changed", "owner"),
    [(None, "remembered"), ("config/models.py", "ada"), ("vocabulary.py", "ada")],
)
def test_what_was_remembered_is_not_believed_when_the_code_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str | None, owner: str
) -> None:
    package = Path(shutil.copytree(REPOSITORY / "plugins/tenure", tmp_path / "package"))
    monkeypatch.setattr(catalog, "_PACKAGE", package)
    catalog.models()
    remembered = min((tmp_path / "cache/configs/models").glob("*.json"))
    body = json.loads(remembered.read_bytes())
    body["config"]["owner"] = "remembered"
    remembered.write_text(json.dumps(body))
    if changed:
        same_size_and_time(package / changed)
    assert catalog.models()[0].owner == owner


def same_size_and_time(path: Path) -> None:
    """Change the file as an image does whose times are all set to one moment."""
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
