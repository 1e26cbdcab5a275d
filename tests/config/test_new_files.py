"""Configs that were not there before: all of them or none."""

from pathlib import Path

import pytest

from tenure.config.new_files import new_configs
from tenure.errors import ConfigInvalid


def test_all_are_written(tmp_path: Path) -> None:
    files = {tmp_path / "a" / "one.yaml": "1\n", tmp_path / "b" / "two.json": "ü\n"}
    new_configs(files)
    assert {path: path.read_text("utf-8") for path in files} == files
    assert sorted(one.name for one in tmp_path.rglob("*") if one.is_file()) == [
        "one.yaml",
        "two.json",
    ]


def test_none_is_written_over_another(tmp_path: Path) -> None:
    (tmp_path / "two").write_text("mine")
    with pytest.raises(ConfigInvalid, match="two cannot be written: File exists"):
        new_configs({tmp_path / "one": "1", tmp_path / "two": "2"})
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("two", "mine")]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("")
    with pytest.raises(ConfigInvalid, match="cannot be written"):
        new_configs({tmp_path / "place" / "one": "1"})
