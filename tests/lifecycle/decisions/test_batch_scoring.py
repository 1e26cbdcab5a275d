"""Shards cover each row once; ids are UUIDv7 and the same for every try."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.lifecycle.decisions.batch_scoring import MAX_SHARDS, decision_id, shards


@pytest.mark.parametrize(
    ("rows", "size", "sizes"),
    [(0, 10, []), (9, 10, [9]), (10, 10, [10]), (11, 10, [10, 1])],
)
def test_shards_around_the_size(rows: int, size: int, sizes: list[int]) -> None:
    assert [shard.rows for shard in shards(rows, size)] == sizes


@given(st.integers(0, 10**9), st.integers(1, 10**6))
def test_shards_cover_every_row_once(rows: int, size: int) -> None:
    found = shards(rows, size)
    assert len(found) <= MAX_SHARDS
    edges = [0, *(shard.stop for shard in found)]
    assert [shard.start for shard in found] == edges[:-1]
    assert edges[-1] == rows
    assert all(shard.rows > 0 for shard in found)


def test_an_id_is_a_uuid7_of_the_plan() -> None:
    found = uuid.UUID(decision_id("run", 1_700_000_000_000, 3))
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == 1_700_000_000_000


def test_ids_differ_by_run_and_row_only() -> None:
    ids = {decision_id(run, 1, row) for run in ("a", "b") for row in range(5000)}
    assert len(ids) == 10_000
    assert decision_id("a", 1, 7) in ids
