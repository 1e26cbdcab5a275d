"""A run that took nothing says what became of the files: nothing is silent, nothing is a riddle."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.cli.not_taken import nothing_taken
from tenure.errors import DataRejected
from tenure.installation import Installation
from tenure.usecases.data.ingestion import ingestion
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.service

YAML = (
    "name: d\ndescription: D.\nowner: ada\nsteward: sam\nsuite: d\n"
    "contract: {columns: {x: {type: number, nullable: false}}}\n"
)


@pytest.fixture
def installed(platform: Installation, tmp_path: Path) -> Iterator[Installation]:
    (tmp_path / "configs/datasets").mkdir(parents=True)
    (tmp_path / "configs/datasets/d.yaml").write_text(YAML)
    (tmp_path / "expectations").mkdir()
    suite = '{"name": "d", "expectations": [{"type": "expect_table_row_count_to_be_between", '
    (tmp_path / "expectations/d.json").write_text(suite + '"kwargs": {"min_value": 1}}]}')
    found = Installation(replace(platform.settings, include=tmp_path))
    yield found
    found.database.dispose()


def land(platform: Installation, name: str, *, still: bool = True) -> None:
    path = platform.settings.home / "store/landing/d" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": [1.0, float(len(name))]}), path)
    if still:
        os.utime(path, (1.3e9, 1.3e9))


def judge(platform: Installation) -> None:
    """As the run of the schedule that was faster."""
    service = ingestion(platform, "d")
    for n, key in enumerate(service.discover()):
        try:
            service.ingest(key, RunRef("d__ingest_data", "scheduled", "ingest", n))
        except DataRejected:
            continue


def test_what_became_of_the_files(installed: Installation) -> None:
    clock = installed.clock

    def found() -> tuple[str, bool]:
        answer = nothing_taken(installed, "d", began)
        return "\n".join(answer.lines), answer.is_well

    began = clock.now()
    said, is_well = found()
    assert said.startswith("Nothing new in ")
    assert not is_well  # and so no model can be drafted

    land(installed, "new.parquet", still=False)
    assert found()[0].startswith("Not taken yet: new.parquet in ")

    land(installed, "new.parquet")
    judge(installed)
    said, is_well = found()
    assert "Another run of the DAG took what lay there meanwhile:\n" in said
    assert "UTC: d batch new: all 1 expectations hold; 2 rows published" in said
    assert is_well

    began = clock.now() + timedelta(seconds=1)
    said, is_well = found()
    assert "Another run" not in said
    assert "The newest batch:\n" in said
    assert is_well

    began = clock.now()
    land(installed, "other.tsv")
    judge(installed)
    said, is_well = found()
    assert "expected the suffix .parquet" in said
    assert said.endswith("Next:\n  tenure data show d other")
    assert not is_well
