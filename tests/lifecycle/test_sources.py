"""Names of landing files."""

import pytest

from tenure.lifecycle.sources import Source, batch_of, broken_name, is_candidate
from tenure.ports import is_object_key

CANDIDATES = {
    "landing/d/a.parquet": True,
    "landing/d/a.csv": True,
    "landing/d/README": True,
    "landing/d/_SUCCESS": False,
    "landing/d/.a.parquet": False,
    "landing/d/a.parquet.tmp": False,
    "landing/d/a.PART": False,
    "landing/d/sub/a.parquet": False,
    "landing/e/a.parquet": False,
    "snapshots/d/a.parquet": False,
}


@pytest.mark.parametrize(("key", "wanted"), CANDIDATES.items())
def test_candidates(key: str, wanted: bool) -> None:
    assert is_candidate("d", key) is wanted


NAMES = {
    "a.parquet": ("a", True),
    "2013-03.parquet": ("2013-03", True),
    "a.b.parquet": ("a.b", True),
    "a b.parquet": ("a_b", False),
    "é.parquet": ("x_", False),
    "a.csv": ("a", False),
    "a": ("a", False),
    "x" * 101 + ".parquet": ("x" * 100, False),
    "{{ 1 }}.parquet": ("x___1___", False),
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_batch_of(name: str, expected: tuple[str, bool]) -> None:
    batch, fine = expected
    key = f"landing/d/{name}"

    assert batch_of(key) == batch
    assert (broken_name(key, Source(format="parquet")) is None) is fine
    assert is_object_key(f"quarantine/d/{batch_of(key)}/x")
