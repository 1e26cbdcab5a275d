"""Sums of errors by group: those of numpy, and the same in whatever order the rows come."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tenure.adapters.ibis_engine.errors import group_errors
from tenure.lifecycle.training.evaluation.regression import sums_of

RNG = np.random.default_rng(4)
OUTCOMES = RNG.normal(0.0, 100.0, 5000)
PREDICTIONS = OUTCOMES + RNG.standard_t(2, 5000)
SEX = RNG.choice(["f", "m", None], 5000).tolist()


def stored(folder: Path, order: Any) -> Path:
    table = pa.table({"g_sex": SEX, "score": PREDICTIONS, "label": OUTCOMES}).take(pa.array(order))
    pq.write_table(table, folder / "part.parquet")
    return folder / "part.parquet"


def test_they_are_those_of_numpy(tmp_path: Path) -> None:
    found = group_errors([stored(tmp_path, np.arange(5000))], ["sex"])
    assert set(found) == {("f",), ("m",), (None,)}
    for (name,), sums in found.items():
        mine = np.array([one == name for one in SEX])
        expected = sums_of((PREDICTIONS - OUTCOMES)[mine])
        assert vars(sums) == {
            part: pytest.approx(value, rel=1e-9, abs=1e-9) for part, value in vars(expected).items()
        }


def test_the_order_of_the_rows_makes_no_difference_at_all(tmp_path: Path) -> None:
    orders = [np.arange(5000), RNG.permutation(5000), np.arange(5000)[::-1]]
    found = [group_errors([stored(tmp_path, order)], ["sex"]) for order in orders]
    assert found[0] == found[1] == found[2]


def test_errors_that_are_all_nothing(tmp_path: Path) -> None:
    table = pa.table({"g_sex": ["f", "f"], "score": [1.0, 2.0], "label": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "part.parquet")
    (sums,) = group_errors([tmp_path / "part.parquet"], ["sex"]).values()
    assert (sums.rows, sums.absolute, sums.squared) == (2, 0.0, 0.0)


def test_a_huge_error_does_not_break_the_scan(tmp_path: Path) -> None:
    table = pa.table({"g_sex": ["f", "f"], "score": [1e300, 2.0], "label": [-1e300, 1.0]})
    pq.write_table(table, tmp_path / "part.parquet")
    (sums,) = group_errors([tmp_path / "part.parquet"], ["sex"]).values()
    assert sums.absolute == pytest.approx(2e300)
    assert math.isinf(sums.squared)
