"""A small dataset on a real database and store, and a process to die in."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from tenure.adapters.sql import data
from tenure.adapters.sql.training import published
from tenure.installation import Installation
from tenure.lifecycle.training import choose_snapshots
from tenure.settings import Settings
from tenure.usecases.data.ingestion import Ingestion, ingestion
from tenure.vocabulary import RunRef

RUN = RunRef("tiny__ingest_data", "r1", "ingest", 0, "ada")
YAML = """\
name: tiny
description: Numbers for tests.
owner: ada
steward: sam
time_column: at
suite: tiny
source: {settle_seconds: 0, memory_mb: 1024}
quality: {max_quarantined: 0.5, min_rows: 1}
contract:
  key: [id]
  columns:
    id: {type: string, nullable: false}
    at: {type: timestamp, nullable: false}
    x: {type: number}
"""
EXPECTATIONS: list[dict[str, Any]] = [
    {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "x", "min_value": 0, "max_value": 10},
        "severity": "warning",
    }
]


@dataclass
class Gate:
    """The data gate over one dataset, `tiny`."""

    platform: Installation
    run: RunRef = RUN

    @property
    def service(self) -> Ingestion:
        return ingestion(self.platform, "tiny")

    @property
    def store(self) -> Path:
        """Folder of the local store."""
        return self.platform.settings.home / "store"

    def drop(self, xs: list[float | None], name: str = "a.parquet") -> str:
        """Land one batch; returns its key."""
        path = self.store / "landing/tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        at = pa.array(
            [1_400_000_000_000_000 + i for i in range(len(xs))], pa.timestamp("us", "UTC")
        )
        ids = [f"r{i}" for i in range(len(xs))]
        pq.write_table(pa.table({"x": pa.array(xs, pa.float64()), "at": at, "id": ids}), path)
        return f"landing/tiny/{name}"

    def expect(self, *expectations: dict[str, Any]) -> None:
        """Put another suite in force."""
        path = self.platform.settings.suites / "tiny.json"
        path.write_text(
            json.dumps({"name": "tiny", "expectations": [*EXPECTATIONS, *expectations]})
        )

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.platform.database.begin() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def in_force(self) -> dict[str, str]:
        """Each batch to the snapshot that a training would read."""
        with self.platform.database.begin() as connection:
            chosen = choose_snapshots(
                published(connection, "tiny"), dataset="tiny", window_batches=1
            )
            found = {row.batch: row.digest for row in data.in_force(connection, "tiny")}
        assert chosen[0].digest in found.values()
        return found

    def keys(self, prefix: str) -> list[str]:
        return list(self.platform.store.list(prefix))

    def in_child(self, act: "Callable[[Ingestion], object]", **environment: str) -> int:
        """Do it in a process of its own, with its own connections; returns how that ended."""
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.environ.update(environment)
            act(ingestion(Installation(self.platform.settings), "tiny"))
            code = 0
        finally:
            os._exit(code)


@pytest.fixture
def gate(settings: Settings, tmp_path: Path) -> Iterator[Gate]:
    include = tmp_path / "include"
    (include / "configs/datasets").mkdir(parents=True)
    (include / "configs/datasets/tiny.yaml").write_text(YAML)
    (include / "expectations").mkdir()
    found = Gate(Installation(replace(settings, include=include)))
    found.expect()
    yield found
    found.platform.database.dispose()
