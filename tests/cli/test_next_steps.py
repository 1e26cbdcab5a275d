"""The next command can be typed as it stands."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from stack_states import write_state

from tenure.cli import next_steps
from tenure.config import DatasetConfig
from tenure.lifecycle.data.sources import broken_name
from tenure.settings import Settings

ROLES = "roles:\n  trainer: [ada, ann]\n  approver: [grace]\n"


@pytest.mark.parametrize(
    ("roles", "me", "said"),
    [
        (ROLES, "root", " --as ada"),
        (ROLES, "ann", ""),
        (ROLES, "grace", ""),
        ("roles: {approver: [grace]}\n", "root", ""),
        ("roles: [\n", "root", ""),
    ],
)
def test_who_is_nobody_here_is_told_whom_to_be(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, roles: str, me: str, said: str
) -> None:
    monkeypatch.setenv("TENURE_AIRFLOW_USER", me)
    include = settings.home / "include"
    (include / "configs").mkdir(parents=True)
    (include / "configs" / "platform.yaml").write_text(roles)
    assert next_steps.as_member(replace(settings, include=include)) == said


def dataset(name: str = "d", kind: str = "csv") -> DatasetConfig:
    return DatasetConfig.model_validate(
        {
            "name": name,
            "description": "made up",
            "owner": "ada",
            "steward": "sam",
            "sensitivity": "public",
            "suite": name,
            "source": {"format": kind},
            "contract": {"columns": {"a": {"type": "string"}}},
        }
    )


@pytest.mark.parametrize(
    ("file", "kind", "copied"),
    [
        ("my file.csv", "csv", "'my file.csv' '/a b/landing/d/my_file.csv'"),
        ("rents.tsv", "csv", "rents.tsv '/a b/landing/d/rents.csv'"),
        ("rents.txt.gz", "csv", "rents.txt.gz '/a b/landing/d/rents.csv.gz'"),
        ("rents.parq", "parquet", "rents.parq '/a b/landing/d/rents.parquet'"),
        ("rents.csv.gz", "csv", "rents.csv.gz '/a b/landing/d/rents.csv.gz'"),
    ],
)
def test_a_file_lands_under_a_name_that_is_taken(
    settings: Settings, file: str, kind: str, copied: str
) -> None:
    """The printed copy is judged by its rows: no name that `new dataset` read is refused there."""
    config = dataset(kind=kind)
    lines = list(next_steps.after_dataset(settings, config, Path(file), "/a b/landing/d/"))
    assert lines[1] == f"  mkdir -p '/a b/landing/d/' && cp {copied}"
    name = shlex.split(lines[1])[-1].rpartition("/")[2]
    assert broken_name(name, config.source) is None


@pytest.mark.parametrize("is_up", [True, False])
def test_a_stack_that_is_not_there_is_started(settings: Settings, *, is_up: bool) -> None:
    if is_up:
        write_state(settings.home)
    lines = list(next_steps.after_dataset(settings, dataset(), Path("a.csv"), "/l/d/"))
    assert any(line.startswith("  tenure up ") for line in lines) is not is_up
    assert lines[-1].startswith("  tenure ingest d")
