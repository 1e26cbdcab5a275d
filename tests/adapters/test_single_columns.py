"""How well a column tells the label alone."""

import numpy as np
import pyarrow as pa
import pytest

from tenure.adapters.single_columns import alone

ROWS = 4_000
DRAW = np.random.default_rng(3)
LABELS = DRAW.random(ROWS) < 0.3
TIMES = np.arange(ROWS)


def table() -> pa.Table:
    noise = DRAW.normal(size=ROWS)
    return pa.table(
        {
            "same": LABELS,
            "words": np.where(LABELS, "late", "fine"),
            "near": noise + 3 * LABELS,
            "noise": noise,
            "many": [f"t{n}" for n in DRAW.integers(0, ROWS, ROWS)],
            "there": pa.array([1 if one else None for one in LABELS], pa.int64()),
            "middle": np.where(LABELS, 0.0, np.where(DRAW.random(ROWS) < 0.5, -5.0, 5.0)),
            "empty": pa.nulls(ROWS, pa.float64()),
        }
    )


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [
        ("same", 1.0, 1.0),
        ("words", 1.0, 1.0),
        ("there", 1.0, 1.0),
        ("middle", 1.0, 1.0),
        ("near", 0.95, 0.999),
        ("noise", 0.4, 0.6),
        ("many", 0.4, 0.6),
        ("empty", 0.5, 0.5),
    ],
)
def test_what_a_column_reaches(column: str, low: float, high: float) -> None:
    found = alone(table(), [column], LABELS, TIMES)
    assert low <= found[column] <= high


def test_what_only_the_past_tells_is_nothing_now() -> None:
    """Learned on the older rows and tried on the newest: the order of the rows does not matter."""
    is_new = np.arange(ROWS) >= ROWS * 3 // 4
    column = np.where(is_new, ~LABELS, LABELS)
    mixed = DRAW.permutation(ROWS)
    turned = pa.table({"turned": column[mixed]})
    assert alone(turned, ["turned"], LABELS[mixed], TIMES[mixed])["turned"] == 0.0


def test_without_both_classes_nothing_is_told() -> None:
    assert alone(table(), ["noise"], np.zeros(ROWS, bool), TIMES) == {}
