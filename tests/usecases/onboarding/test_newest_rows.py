"""Which rows a new model is drafted from."""

from typing import Any

import pyarrow as pa
import pytest

from tenure.errors import ConfigInvalid, GateInconclusive, ObjectMissing
from tenure.usecases.onboarding import newest_rows as module


def test_without_a_batch_there_is_nothing_to_look_at(world: Any, made: Any) -> None:
    with pytest.raises(GateInconclusive):
        made()
    assert not (world.platform.settings.configs / "models" / "loan_new.yaml").exists()


def test_a_batch_that_was_repaired_counts_once(world: Any, made: Any) -> None:
    world.publish(1)
    world.publish(1, seed=7)
    found = made()
    assert (found.batches, found.rows) == (("2013-01",), 200)


def test_of_many_rows_some_are_looked_at(
    published: Any, monkeypatch: pytest.MonkeyPatch, made: Any
) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 300)
    found = made()
    assert (found.rows, found.draft.target.label.rows) == (600, 300)
    assert "600 rows in the 3 newest batches" in found.path.read_text()
    assert "; 300 of them were looked at" in found.path.read_text()


def test_a_column_that_an_older_batch_lacks_is_said(published: Any, made: Any) -> None:
    path = published.platform.settings.configs / "datasets" / "loans.yaml"
    path.write_text(path.read_text().replace("    sex:", "    age: {type: integer}\n    sex:"))
    found = made()
    assert found.left_out["age"] == "is not in all of the 3 newest batches"


def test_a_snapshot_that_is_gone_is_named(world: Any, made: Any) -> None:
    digest = world.publish(1)
    world.platform.store.delete(f"snapshots/loans/{digest}/data.parquet")
    with pytest.raises(ObjectMissing, match=f"store has no snapshots/loans/{digest}"):
        made()


def test_without_a_moment_nothing_can_be_split(world: Any, made: Any) -> None:
    world.publish(1, rows=200, at=[None] * 200)
    with pytest.raises(ConfigInvalid) as refused:
        made()
    assert "the time column at of loans has no value in 1 batches (2013-01)" in refused.value.what


def test_a_column_of_two_types_is_refused(world: Any, made: Any) -> None:
    world.publish(1, sex=pa.array([1, 2] * 100))
    world.publish(2)
    with pytest.raises(ConfigInvalid, match="hold one column in different types"):
        made()
