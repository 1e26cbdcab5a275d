"""Outcomes of a landed file: the same ids every time, the last observed counts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.landed_outcomes import LandedFile, read

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
DIGEST = "ab" * 32


@pytest.fixture
def landed(tmp_path: Path) -> Any:
    def make(**columns: Any) -> LandedFile:
        values = {"request_id": ["r1"], "label": [True], "observed_at": [NOON]} | columns
        path = tmp_path / "data.parquet"
        pq.write_table(pa.table({k: v for k, v in values.items() if v is not None}), path)
        return read(path, digest=DIGEST, received_at=NOON)

    return make


def test_rows_in_the_order_they_were_observed(landed: Any) -> None:
    moments = [NOON, NOON - timedelta(hours=2), NOON - timedelta(hours=1)]
    found = landed(request_id=["a", "b", "a"], label=[True, True, False], observed_at=moments)
    assert found.columns["request_id"] == ["b", "a", "a"]
    assert found.columns["label"] == [True, False, True]
    assert found.columns["outcome_id"] == [f"{DIGEST[:32]}-{n:09d}" for n in range(3)]
    assert found.columns["decision_id"] == [None] * 3
    assert found.complete_until == NOON
    assert found.refused == 0


@pytest.mark.parametrize(
    ("columns", "refused"),
    [
        ({"label": pa.array([None], pa.bool_())}, 1),
        ({"request_id": pa.array([None], pa.string())}, 1),
        ({"observed_at": pa.array([None], pa.timestamp("us", "UTC"))}, 1),
        ({"observed_at": [NOON + timedelta(minutes=5)]}, 0),
        ({"observed_at": [NOON + timedelta(minutes=5, microseconds=1)]}, 1),
        ({"decision_id": ["d1"]}, 1),
        ({"decision_id": ["d1"], "request_id": None}, 0),
        ({"decision_id": ["d1"], "request_id": pa.array([None], pa.string())}, 0),
    ],
)
def test_what_counts(landed: Any, columns: dict[str, Any], refused: int) -> None:
    found = landed(**columns)
    assert found.refused == refused
    assert len(found.columns["label"]) == 1 - refused
    assert (found.complete_until is None) == bool(refused)


@pytest.mark.parametrize("label", [[1], [1.0], [True]])
def test_labels_as_numbers(landed: Any, label: list[Any]) -> None:
    assert landed(label=label).columns["label"] == [True]


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"request_id": None}, KeyError, "decision_id or request_id"),
        ({"label": None}, KeyError, "label"),
        ({"observed_at": None}, KeyError, "observed_at"),
        ({"label": [2]}, ValueError, "label is int64, not bool"),
        ({"label": [0.5]}, ValueError, "label is double, not bool"),
        ({"label": [["x"]]}, ValueError, "label is list"),
        ({"observed_at": ["yesterday"]}, ValueError, "observed_at is string"),
    ],
)
def test_another_shape(
    landed: Any, columns: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        landed(**columns)
