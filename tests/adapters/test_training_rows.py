"""Snapshots into frames, and the scored holdout as the reference file others rely on."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.ibis_engine.confusion import confusion_cells
from tenure.adapters.training_rows import (
    ObservedValues,
    TrainingRows,
    observed_values,
    pick,
    read_rows,
    read_scores,
    reference_bytes,
)
from tenure.errors import ConfigInvalid

COLUMNS: dict[str, Any] = {
    "hour": pa.array([5, 6, None, 8], pa.int64()),
    "carrier": pa.array(["AA", None, "UA", "AA"]),
    "at": pa.array([3_000_000, 1_000_000, 2_000_000, 4_000_000], pa.timestamp("us", "UTC")),
    "late": pa.array([True, False, None, True]),
    "sex": pa.array(["f", "m", "f", None]),
}


def write(path: Path, **other: Any) -> Path:
    pq.write_table(pa.table({**COLUMNS, **other}), path)
    return path


def read(*paths: Path, **other: Any) -> TrainingRows:
    columns: dict[str, Any] = {
        "numeric": ["hour"],
        "categorical": ["carrier"],
        "label": "late",
        "time": "at",
        "protected": ["sex", "carrier"],
    }
    return read_rows(paths, **{**columns, **other})


def test_rows_without_a_label_are_counted_not_used(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "a"), write(tmp_path / "b"))
    assert rows.unlabelled == 2
    assert rows.labels.tolist() == [True, False, True] * 2
    assert rows.times.tolist() == [3_000_000, 1_000_000, 4_000_000] * 2
    assert rows.features["hour"].tolist() == [5.0, 6.0, 8.0] * 2
    assert rows.features["carrier"].tolist() == ["AA", None, "AA"] * 2
    assert rows.features.dtypes.astype(str).tolist() == ["float64", "object"]
    assert rows.protected["sex"].tolist() == ["f", "m", ""] * 2


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", None, "America/New_York"])
def test_any_timestamp_becomes_microseconds(tmp_path: Path, unit: str, zone: str | None) -> None:
    moments = pa.array([7, 8, 9, 10], pa.int64()).cast(pa.timestamp("s", zone))
    rows = read(write(tmp_path / "a", at=moments.cast(pa.timestamp(unit, zone))))
    assert rows.times.tolist() == [7_000_000, 8_000_000, 10_000_000]


def test_labels_of_numbers(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a", late=pa.array([0, 1, None, 1]))).labels.sum() == 2


@pytest.mark.parametrize(
    ("case", "other", "says"),
    [
        ("absent column", {"numeric": ["speed"]}, "speed"),
        ("text where a number must be", {"numeric": ["sex"]}, "sex|parse|convert|f"),
        ("text as a label", {"label": "carrier"}, "AA|parse|bool"),
    ],
)
def test_columns_that_do_not_fit(
    tmp_path: Path, case: str, other: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigInvalid, match=says):
        read(write(tmp_path / "a"), **other)


def reference(tmp_path: Path) -> Path:
    rows = read(write(tmp_path / "a"))
    data = reference_bytes(
        rows,
        np.array([0.9, 0.5, 0.49]),
        threshold=0.5,
        numeric=["hour"],
        categorical=["carrier"],
    )
    path = tmp_path / "reference.parquet"
    path.write_bytes(data)
    return path


def test_the_reference_file_has_the_agreed_columns(tmp_path: Path) -> None:
    table = pq.read_table(reference(tmp_path))
    assert {field.name: str(field.type) for field in table.schema} == {
        "f_hour": "double",
        "f_carrier": "string",
        "g_sex": "string",
        "g_carrier": "string",
        "event_time": "timestamp[us, tz=UTC]",
        "score": "double",
        "decision": "bool",
        "label": "bool",
    }
    assert table["decision"].to_pylist() == [True, True, False]
    assert table["f_carrier"].to_pylist() == ["AA", None, "AA"]
    assert reference(tmp_path).read_bytes() == reference(tmp_path).read_bytes()


def test_scores_read_back(tmp_path: Path) -> None:
    scores, labels = read_scores(reference(tmp_path))
    assert scores.tolist() == [0.9, 0.5, 0.49]
    assert labels.tolist() == [True, False, True]


def test_cells_are_counted_in_one_scan(tmp_path: Path) -> None:
    """Null is a group of its own, and every row is in one cell."""
    assert confusion_cells([reference(tmp_path)], ["sex", "carrier"]) == {
        ("f", "AA"): (1, 0, 0, 0),
        ("m", ""): (0, 1, 0, 0),
        ("", "AA"): (0, 0, 1, 0),
    }


def test_cells_equal_a_count_by_hand_on_many_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    n = 5000
    group = rng.choice(["a", "b", "c"], n)
    decision, label = rng.random(n) < 0.4, rng.random(n) < 0.3
    path = tmp_path / "many.parquet"
    pq.write_table(pa.table({"g_x": group, "decision": decision, "label": label}), path)
    expected = {
        (g,): tuple(
            int(((group == g) & (decision == d) & (label == y)).sum())
            for d, y in ((True, True), (True, False), (False, True), (False, False))
        )
        for g in "abc"
    }
    assert confusion_cells([path], ["x"]) == expected


def test_seen_values(tmp_path: Path) -> None:
    rows = read(write(tmp_path / "a"))
    assert observed_values(rows, ["hour"], ["carrier"]) == ObservedValues(
        categories={"carrier": ("AA",)}, ranges={"hour": (5.0, 8.0)}
    )
    assert pick(rows, np.array([2])).protected["sex"].tolist() == [""]
