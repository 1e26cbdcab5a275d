"""Names in the landing folder that nobody can take: reported once, and the good file is taken."""

import os
from pathlib import Path

import pytest
from asking import incidents

from tenure.installation import Installation
from tenure.usecases.data.ingestion import ingestion

pytestmark = [pytest.mark.service, pytest.mark.fault]
BAD = [
    b"sub/a.parquet",
    b"year=2026/month=01/part-0.parquet",
    b"_odd.parquet",
    b"a\nb.parquet",
    b"a\xff.parquet",
    "a\u202eb.parquet".encode(),
]


def test_bad_landing_names(platform: Installation) -> None:
    """Beside a batch: folders, a marker, a newline, no UTF-8, a turned name, a link, a pipe."""
    key = "landing/flights/2013-01.parquet"
    platform.store.put(key, b"rows")
    folder = platform.store.fetch(key).parent
    old = platform.clock.now().timestamp() - 60
    os.utime(folder / "2013-01.parquet", (old, old))
    for name in BAD:
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"rows")
    (folder / "link.parquet").symlink_to(folder / "2013-01.parquet")
    os.mkfifo(folder / "pipe.parquet")
    for _ in range(2):
        assert ingestion(platform, "flights").discover() == [key]
    (said,) = incidents(platform)
    assert said.startswith("8 things in landing/flights/ are not read: ")
