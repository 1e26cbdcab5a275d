"""What a label says of the task, and what its numbers suggest."""

import math

import pytest

from tenure.errors import ConfigInvalid
from tenure.lifecycle.data.profiling import ColumnProfile
from tenure.lifecycle.training.drafting import FeatureDraft
from tenure.lifecycle.training.task_draft import (
    NumberDraft,
    NumberScan,
    draft_class_gates,
    draft_classes,
    draft_error_gates,
    draft_numbers,
    draft_tolerance,
    guess_task,
)

SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def column(kind: str, distinct: int, *, rows: int = 1_000, top: int = 0) -> ColumnProfile:
    values = tuple((n, rows // distinct) for n in range(top))
    return ColumnProfile("y", kind, rows, 0, distinct, top=values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "task"),
    [
        (column("boolean", 2), "binary"),
        (column("string", 2), "binary"),
        (column("integer", 2), "binary"),
        (column("string", 3), "multiclass"),
        (column("string", 50), "multiclass"),
        (column("integer", 10, top=10), "multiclass"),
        (column("integer", 11, top=11), "regression"),
        (column("number", 900), "regression"),
        (
            ColumnProfile("y", "number", 99, 0, 3, top=((0.5, 33), (1.0, 33), (2.0, 33))),
            "regression",
        ),
    ],
)
def test_the_task(label: ColumnProfile, task: str) -> None:
    assert guess_task(label).task == task


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (column("timestamp", 9), "it holds moments"),
        (column("string", 51), "51 different texts in 1,000 rows name rows"),
        (column("string", 50, rows=249), "50 different texts in 249 rows name rows"),
    ],
)
def test_no_task(label: ColumnProfile, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        guess_task(label)
    assert words in refused.value.what
    assert refused.value.next_step


def classes(*rows: int, kind: str = "string") -> ColumnProfile:
    top = tuple((f"c{n}" if kind == "string" else float(n), count) for n, count in enumerate(rows))
    return ColumnProfile("y", kind, sum(rows), 0, len(rows), top=top)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (column("boolean", 2), "it is boolean, and classes are texts or whole numbers"),
        (classes(90, 90), "it has 2 classes, not 3 to 50"),
        (classes(*[90] * 51), "it has 51 classes, not 3 to 50"),
        (classes(90, 13, 14), "too few have 'c1' (13 rows)"),
    ],
)
def test_no_classes(label: ColumnProfile, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        draft_classes(label, learned_share=0.75)
    assert words in refused.value.what


def test_classes_and_their_bounds() -> None:
    found = draft_classes(classes(14, 400, 400, kind="number"), learned_share=0.75)
    assert found.counts == {"1": 400, "2": 400, "0": 14}
    gates = draft_class_gates(
        draft_classes(classes(*[200] * 5), learned_share=0.75), days=9, holdout_fraction=0.25
    )
    assert gates.balanced_accuracy == 0.26  # 0.2 and two times sqrt(0.16 / 250)
    assert gates.log_loss == 1.61  # ln 5
    assert (gates.min_rows, gates.min_group_rows, gates.gap_hours) == (125, 12, 24)


def numbers(
    low: float, high: float, quantiles: tuple[float, ...], **other: object
) -> ColumnProfile:
    facts = {"type": "number", "rows": 90, "nulls": 0, "distinct": 80} | other
    return ColumnProfile(
        "y",
        low=low,
        high=high,
        quantiles=dict(zip(SHARES, quantiles, strict=True)),
        **facts,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (column("string", 9), "it is string, and a regression predicts numbers"),
        (numbers(0, 0, (0,) * 5, nulls=90), "none of 90 rows has a value"),
        (numbers(2, 2, (2,) * 5), "every row that has a value has 2"),
        (numbers(0, math.inf, (0, 1, 2, 3, 4)), "it holds infinite numbers"),
    ],
)
def test_no_numbers(label: ColumnProfile, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        draft_numbers(label)
    assert words in refused.value.what


@pytest.mark.parametrize(
    ("low", "high", "outliers"),
    [(0, 100, False), (0, 500, False), (0, 501, True), (-400, 100, False), (-401, 100, True)],
)
def test_outliers(low: float, high: float, outliers: bool) -> None:
    """Ten times as far from the median (50) as the fifth percentile (5) and its counterpart."""
    found = draft_numbers(numbers(low, high, (5, 30, 50, 70, 95)))
    assert found.median == 50
    assert found.has_outliers == outliers


def test_the_bounds_of_its_gates() -> None:
    label = NumberDraft(4_000, 0, 100, 50, (5, 95))
    features = FeatureDraft(("a", "b"), ())
    errors = {"a": 12.0, "b": 30.0, "leak": 0.1}
    found = draft_error_gates(
        label, features, NumberScan(20.0, errors, 10.0, 400), days=90, holdout_fraction=0.25
    )
    assert (found.best, found.mae, found.max_difference) == (("a", 12.0), 13.0, 10.0)
    assert (found.min_rows, found.min_group_rows, found.gap_hours) == (500, 50, 24)
    assert found.tolerance == 0.05
    worse = NumberScan(20.0, {"a": 20.0, "b": 21.0}, 10.0, 400)
    nothing = draft_error_gates(label, features, worse, days=0, holdout_fraction=0.25)
    assert (nothing.best, nothing.mae, nothing.gap_hours) == (None, 20.0, 0)


@pytest.mark.parametrize(
    ("rows", "tolerance"),
    [(3_455, None), (3_456, 0.05), (9_000, 0.04), (21_599, 0.03), (21_600, 0.02), (10**7, 0.02)],
)
def test_the_tolerance_of_intervals_is_three_standard_errors(
    rows: int, tolerance: float | None
) -> None:
    """Of 0.9 on a quarter of the rows, and of the margin learned from 0.15 of them: 0.98/√rows."""
    assert draft_tolerance(rows, 0.25) == tolerance
