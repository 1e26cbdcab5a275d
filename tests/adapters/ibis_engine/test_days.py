"""Losses by day: digits of every size are kept, by a unit of the size of a usual error."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.ibis_engine import IbisEngine
from tenure.adapters.ibis_engine.days import losses_by_day
from tenure.ports import DecisionFilter
from tenure.usecases.monitoring.budget import _mean_loss, _unit

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
ERRORS = [0.5, 1.0, 4.5, 6.0]


def stored(folder: Path, errors: list[float]) -> tuple[Path, Path]:
    count, moment = len(errors), pa.timestamp("us", tz="UTC")
    ids = [f"d{n}" for n in range(count)]
    decisions = {
        "decision_id": ids,
        "request_id": ids,
        "version_id": pa.array([1] * count, pa.int64()),
        "event_time": pa.array([BEGIN + timedelta(hours=n) for n in range(count)], moment),
        "received_at": pa.array([BEGIN] * count, moment),
        "fallback_level": ["model"] * count,
        "decision": pa.nulls(count, pa.bool_()),
        "score": errors,
        "answer": pa.nulls(count, pa.string()),
    }
    outcomes = {
        "outcome_id": ids,
        "decision_id": ids,
        "request_id": pa.nulls(count, pa.string()),
        "caller": pa.nulls(count, pa.string()),
        "label": [0.0] * count,
        "received_at": pa.array([BEGIN] * count, moment),
    }
    paths = folder / "decisions.parquet", folder / "outcomes.parquet"
    for path, columns in zip(paths, (decisions, outcomes), strict=True):
        pq.write_table(pa.table(columns), path)
    return paths


@pytest.mark.parametrize("size", [1e-9, 1e-3, 1.0, 250.0, 1e9, 1e15])
def test_an_error_of_any_size_keeps_its_digits(tmp_path: Path, size: float) -> None:
    errors = [size * one for one in ERRORS]
    unit = _unit(float(np.mean(errors)))
    decisions, outcomes = stored(tmp_path, errors)
    asked = DecisionFilter((decisions,), 1, segments={})
    found = losses_by_day(IbisEngine(), asked, [outcomes], "absolute", unit)
    counts = found[BEGIN.date()]
    assert (counts.answered, counts.labelled) == (4, 4)
    vector = np.array([counts.answered, counts.labelled, counts.loss], dtype=float)
    assert _mean_loss(0.5, unit, vector) == pytest.approx(3.0 * size, rel=1e-5)


@pytest.mark.parametrize(
    ("error", "unit"), [(0.0, 1.0), (9.99, 1.0), (10.0, 10.0), (0.02, 0.01), (3.2e8, 1e8)]
)
def test_the_unit(error: float, unit: float) -> None:
    assert _unit(error) == pytest.approx(unit, rel=1e-12)
