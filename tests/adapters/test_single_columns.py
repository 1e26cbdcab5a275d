"""How well a column tells the label alone."""

import numpy as np
import pyarrow as pa
import pytest

from tenure.adapters.single_columns import alone, errors_alone, scan

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


def test_numbers_in_their_order_are_taken_by_lot() -> None:
    label = np.sort(np.random.default_rng(5).normal(size=ROWS))
    rows = pa.table({"words": [f"w{n}" for n in np.digitize(label, np.linspace(-2, 2, 60))]})
    assert alone(rows, ["words"], label, TIMES)["words"] < 0.5  # the newest words are all new
    assert alone(rows, ["words"], label, None)["words"] > 0.95


def test_rows_sorted_by_the_label_are_taken_by_lot() -> None:
    order = np.argsort(LABELS, kind="stable")
    found = alone(table().take(order), ["same", "noise"], LABELS[order], TIMES)
    assert found["same"] == 1.0
    assert 0.4 <= found["noise"] <= 0.6


@pytest.mark.parametrize(
    ("column", "low", "high"),
    [
        ("copy", 0.99, 1.0),
        ("turned", 0.99, 1.0),
        ("words", 0.99, 1.0),
        ("near", 0.5, 0.94),
        ("noise", 0.0, 0.1),
        ("empty", 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("times", [None, TIMES])
def test_what_a_column_tells_of_numbers(
    column: str, low: float, high: float, times: np.ndarray | None
) -> None:
    """Outliers count neither for nor against it, nor does how it is written."""
    draw = np.random.default_rng(4)
    label = draw.normal(size=ROWS)
    label[:5] = 1e9
    rows = pa.table(
        {
            "copy": label,
            "turned": -np.cbrt(label),
            "words": [f"w{n}" for n in np.digitize(label, np.linspace(-2, 2, 60))],
            "near": label + draw.normal(0, 0.5, ROWS),
            "noise": draw.normal(size=ROWS),
            "empty": pa.nulls(ROWS, pa.float64()),
        }
    )
    found = errors_alone(rows, [column], label, times)
    told = alone(rows, [column], label, times)
    assert low <= told[column] <= high
    assert (found.errors[column] < found.trivial) == (low > 0)


def test_dates_are_looked_at_in_their_order_and_name_no_rows() -> None:
    import pandas as pd

    days = np.datetime64("2024-01-01") + np.arange(ROWS) * LABELS
    frame = pd.DataFrame({"closed": np.array([f"{d}T00:00:00Z" for d in days], dtype=object)})
    at = np.arange(ROWS)
    found = scan(frame, LABELS, None, before=at[:3000], holdout=at[3000:], dates=["closed"])
    assert found.alone["closed"] == 1.0
    assert found.named == {}


def test_of_several_classes_each_is_told_from_the_rest() -> None:
    import pandas as pd

    rng = np.random.default_rng(5)
    labels = rng.choice(["a", "b", "c", "d"], 800, p=(0.4, 0.3, 0.2, 0.1))
    frame = pd.DataFrame(
        {
            "noise": rng.normal(size=800),
            "of_c": np.where(labels == "c", 1.0, rng.random(800) / 2),
            "same": labels.astype(object),
            "slipped": np.roll(np.where(labels == "a", "x", "y"), 1).astype(object),
        }
    )
    rows = np.arange(800)
    found = scan(frame, labels, rows, before=rows[:600], holdout=rows[600:])
    assert {**found.of_one, "same": None} == {
        "of_c": ("c", 1.0),
        "same": None,
    }  # plain to see, and no leak of the others
    assert found.alone["of_c"] < found.limit
    assert found.alone["noise"] < 0.7
    assert found.alone["same"] == 1.0
    assert list(found.shifted) == ["slipped"]
    assert found.measure == "mean_roc_auc"
