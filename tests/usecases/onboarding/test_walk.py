"""From a stranger's file to scores, by the use cases of the commands, in their order."""

import os
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from any_table import houses, made, people, trained

from tenure.usecases.data.ingestion import ingestion
from tenure.usecases.onboarding.new_dataset import DatasetSpec, create
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize(("rows", "label"), [(people, "left"), (houses, "price")])
def test_a_file_becomes_a_version(world: Any, rows: Any, label: str) -> None:
    """What the file has, no person says: its types, its time, its key."""
    platform = world.platform
    for folder in ("datasets", "models"):
        for path in (platform.settings.configs / folder).iterdir():
            path.unlink()
    landing = platform.settings.home / "store" / "landing" / "loans"
    landing.mkdir(parents=True)
    _, columns = rows()
    file = landing / "first.csv"
    pyarrow.csv.write_csv(pa.table({name: pa.array(v) for name, v in columns.items()}), file)
    os.utime(file, (1.3e9, 1.3e9))  # it has stood still

    create(platform.settings, DatasetSpec("loans", file, owner="ada"))
    (key,) = ingestion(platform, "loans").discover()
    ingestion(platform, "loans").ingest(key, RunRef("loans__ingest_data", "r1", "ingest", 0, "ada"))
    found = made(world, label)
    _, verdicts = trained(world)
    assert verdicts[0] == Verdict.PASSED
    assert {"offer", "tax"} & found.left_out.keys()
