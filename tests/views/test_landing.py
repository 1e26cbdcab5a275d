"""Which landed files wait until they stand still."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenure.adapters.local_store import LocalStore
from tenure.config import parse_dataset
from tenure.views.landing import settling

DATASET = """\
name: d
description: Tests.
owner: ada
steward: sam
suite: d
source: {format: parquet, settle_seconds: 60}
contract: {key: [id], columns: {id: {type: string, nullable: false}}}
"""


@dataclass(frozen=True)
class AheadClock:
    """So many seconds later."""

    seconds: float

    def now(self) -> datetime:
        return datetime.now(tz=UTC) + timedelta(seconds=self.seconds)


@pytest.mark.parametrize(("age", "waits"), [(0, ["a.parquet"]), (70, [])])
def test_what_changed_just_now_is_named(tmp_path: Path, age: float, waits: list[str]) -> None:
    store = LocalStore(tmp_path)
    for key in ("landing/d/a.parquet", "landing/d/a.parquet.tmp", "landing/e/b.parquet"):
        store.put(key, b"one")
    assert settling(parse_dataset(DATASET), store, AheadClock(age)) == waits


def test_a_file_that_is_taken_away_meanwhile_does_not_wait(tmp_path: Path) -> None:
    class Vanishing(LocalStore):
        def list(self, prefix: str) -> list[str]:  # type: ignore[override]
            return [f"{prefix}gone.parquet"]

    found = settling(parse_dataset(DATASET), Vanishing(tmp_path), AheadClock(0))
    assert found == []
