"""Rides: a small dataset whose batches differ in missing temperatures and unknown cities."""

import json
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from tenure.errors import DataRejected
from tenure.installation import Installation
from tenure.settings import REPOSITORY, Settings
from tenure.usecases.data.ingestion import ingestion
from tenure.vocabulary import RunRef

RUN = RunRef("rides__ingest_data", "r1", "ingest", 0, "ada")
ROWS = 200
YAML = """\
name: rides
description: Rides for tests.
owner: ada
steward: sam
time_column: at
suite: rides
quality: {max_quarantined: 0.2, min_rows: 1}
source: {format: parquet, settle_seconds: 0}
contract:
  key: [id]
  columns:
    id: {type: string, nullable: false}
    at: {type: timestamp, nullable: false}
    temp: {type: number}
    city: {type: string}
    late: {type: boolean}
"""
BATCHES = {  # nulls among 200 rows of temp, and the cities
    "b1": (0, "xy"),
    "b2": (4, "xy"),  # 2%: at the limit in force
    "b3": (5, "xy"),  # above it
    "b4": (10, "xy"),  # 5%: at the new limit
    "b5": (11, "xy"),  # above that
    "b6": (8, "xz"),  # 4%, and a city nobody knows
    "b7": (0, "xz"),
    "b8": (2, "xy"),
}


def rules(mostly: float = 0.98, cities: str = "xy") -> str:
    return json.dumps(
        {
            "name": "rides",
            "expectations": [
                {
                    "type": "expect_column_values_to_not_be_null",
                    "kwargs": {"column": "temp", "mostly": mostly},
                },
                {
                    "type": "expect_column_values_to_be_in_set",
                    "kwargs": {"column": "city", "value_set": [*cities]},
                    "severity": "warning",
                },
                {
                    "type": "expect_column_values_to_be_between",
                    "kwargs": {"column": "temp", "max_value": 1000},
                    "severity": "warning",
                },
            ],
        },
        indent=1,
    )


def installed(settings: Settings, include: Path) -> Installation:
    """An installation with one dataset, one suite, and one model that reads `temp`."""
    (include / "configs/datasets").mkdir(parents=True)
    (include / "configs/models").mkdir()
    (include / "expectations").mkdir()
    shutil.copy(REPOSITORY / "include/configs/platform.yaml", include / "configs")
    (include / "configs/datasets/rides.yaml").write_text(YAML)
    model = (REPOSITORY / "include/configs/models/flight_late.yaml").read_text()
    for old, new in (
        ("name: flight_late", "name: ride_late"),
        ("dataset: flights", "dataset: rides"),
        ("subject_column: flight_id", "subject_column: id"),
        ("attributes: [carrier, origin]", "attributes: [city]"),
    ):
        model = model.replace(old, new)
    start, end = model.index("  numeric:"), model.index("schedule:")
    model = f"{model[:start]}  numeric: [temp]\n  categorical: [city]\n{model[end:]}"
    (include / "configs/models/ride_late.yaml").write_text(model)
    (include / "expectations/rides.json").write_text(rules())
    return Installation(replace(settings, include=include))


def drop(
    platform: Installation, name: str, nulls: int, cities: str, *, kind: str = "parquet"
) -> str:
    """Land a batch: every fourth row has the second city; the last rows have no temp."""
    path = platform.settings.home / f"store/landing/rides/{name}.{kind}"
    path.parent.mkdir(parents=True, exist_ok=True)
    start = 1_400_000_000_000_000
    table = pa.table(
        {
            "id": [f"{name}-{i}" for i in range(ROWS)],
            "at": pa.array([start + i for i in range(ROWS)], pa.timestamp("us", "UTC")),
            "temp": pa.array([None if i < nulls else float(i) for i in range(ROWS)], pa.float64()),
            "city": [cities[1] if i % 20 == 19 else cities[0] for i in range(ROWS)],
            "late": [i % 3 == 0 for i in range(ROWS)],
        }
    )
    if kind == "csv":
        csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return f"landing/rides/{name}.{kind}"


def ingest_all(platform: Installation) -> None:
    service = ingestion(platform, "rides")
    for key in service.discover():
        with suppress(DataRejected):
            service.ingest(key, RUN)


def drop_some(platform: Installation, *names: str) -> None:
    for name in names:
        drop(platform, name, *BATCHES[name])
    ingest_all(platform)


def commit(platform: Installation, why: str = "rules") -> None:
    git(platform, "init", "--quiet")
    git(platform, "add", "--all")
    git(platform, "commit", "--quiet", f"--message={why}")


def git(platform: Installation, *arguments: str) -> str:
    who = ["-c", "user.name=sam", "-c", "user.email=sam@example.org"]
    command = ["git", "-C", str(platform.settings.include), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
