"""What profiles suggest for a model: label, features, bounds of its gates."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tenure.errors import ConfigInvalid
from tenure.lifecycle.data.profiling import BatchProfile, ColumnProfile
from tenure.lifecycle.data.profiling.remarks import LikePair
from tenure.lifecycle.training.drafting import (
    ColumnRoles,
    FeatureDraft,
    LabelDraft,
    draft_features,
    draft_gates,
    draft_label,
)

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def label(*top: tuple[Any, int], nulls: int = 0, kind: Any = "string") -> ColumnProfile:
    rows = sum(count for _, count in top)
    return ColumnProfile("y", kind, rows + nulls, nulls, len(top), top=top)


@pytest.mark.parametrize(
    ("top", "said", "values", "share", "is_guess"),
    [
        ([(True, 10), (False, 30)], None, (None, None), 0.25, False),
        ([(0, 30), (1, 10)], None, (None, None), 0.25, False),
        ([(1.0, 10), (0.0, 30)], None, (None, None), 0.25, False),
        ([("1", 10), ("0", 30)], None, (None, None), 0.25, False),
        ([("True", 10), ("FALSE", 30)], None, (None, None), 0.25, False),
        ([(0, 30), (1, 10)], "0", (0, 1), 0.75, False),
        ([("no", 30), ("yes", 10)], None, ("yes", "no"), 0.25, True),
        ([("no", 10), ("yes", 30)], None, ("yes", "no"), 0.75, True),
        ([("Late", 30), ("on time", 10)], None, ("Late", "on time"), 0.75, True),
        ([("a", 30), ("b", 10)], None, ("b", "a"), 0.25, True),
        ([("a", 20), ("b", 20)], None, ("a", "b"), 0.5, True),
        ([("a", 30), ("b", 10)], "a", ("a", "b"), 0.75, False),
        ([(1, 30), (2, 10)], None, (1, 2), 0.75, True),
        ([(3.0, 30), (2.5, 10)], None, (2.5, 3), 0.25, True),
        ([(2.0, 30), (3.0, 10)], "2", (2, 3), 0.75, False),
        ([(2, 30), (3, 10)], "2.0", (2, 3), 0.75, False),
        ([(-1, 30), (1, 10)], None, (1, -1), 0.25, True),
    ],
)
def test_which_value_is_true(
    top: list[Any], said: Any, values: tuple[Any, Any], share: float, is_guess: bool
) -> None:
    found = draft_label(label(*top), said, next_step="x")
    assert (found.positive, found.negative) == values
    assert [type(one) for one in (found.positive, found.negative)] == [type(one) for one in values]
    assert (found.share, found.rows, found.is_guess) == (share, 40, is_guess)


@pytest.mark.parametrize(
    ("column", "said", "words"),
    [
        (label(nulls=9), None, "none of 9 rows has a value"),
        (label(("a", 9)), None, "one class only, 'a' (9 rows)"),
        (label(("a", 3), ("b", 2), ("c", 1)), None, "3 different values: 'a' (3 rows), 'b' (2"),
        (label(("a", 3), ("b", 2)), "c", "'c' is none of 'a' (3 rows) and 'b' (2 rows)"),
        (ColumnProfile("y", "number", 99, 0, 80), None, "80 different values"),
        (ColumnProfile("y", "timestamp", 9, 0, 2, low=MOMENT, high=MOMENT), None, "2 different"),
        (ColumnProfile("y", "timestamp", 9, 0, 1, low=MOMENT, high=MOMENT), None, "one moment"),
    ],
    ids=str,
)
def test_what_is_no_label(column: ColumnProfile, said: str | None, words: str) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        draft_label(column, said, next_step="say which")
    assert words in refused.value.what
    assert refused.value.next_step == "say which"


ROLES = ColumnRoles("y", "at", "who", ("id",), ("sex", "age"), ("sex",), frozenset({"email"}))
ROWS = 1_000


def number(name: str, **other: Any) -> ColumnProfile:
    facts = {"rows": ROWS, "nulls": 0, "distinct": 90, "low": 0, "high": 9} | other
    return ColumnProfile(name, **{"type": "number", **facts})


def text(name: str, distinct: int, rows: int = ROWS, nulls: int = 0) -> ColumnProfile:
    return ColumnProfile(name, "string", rows, nulls, distinct)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (number("at", type="timestamp", low=MOMENT, high=MOMENT), "says when"),
        (text("id", ROWS), "names a row"),
        (text("who", 300), "names whom a row is about"),
        (text("sex", 2), "is protected: its groups are audited"),
        (number("age", distinct=70), "is protected: it has too many values"),
        (text("email", 300), "is personal"),
        (number("void", nulls=ROWS, distinct=0, low=None, high=None), "has no value at all"),
        (number("then", type="timestamp", low=MOMENT, high=MOMENT), None),
        (number("once", type="timestamp", distinct=1, nulls=0), "has one value in all rows"),
        (number("same", distinct=1), "has one value in all rows"),
        (number("endless", high=float("inf")), "holds infinite numbers"),
        (number("huge", type="integer", high=2**53 + 1), "beyond 2^53"),
        (number("huge", type="integer", low=-(2**53) - 1), "beyond 2^53"),
        (number("count", type="integer", distinct=ROWS), "differs in every row"),
        (text("note", 501), "501 different texts: they name rows"),
        (text("city", 256), None),
        (number("leak"), "seems to give y away: alone it reaches an ROC AUC of 0.950"),
        (number("copy"), "gives y away (by a threshold)"),
        (number("kelvin"), "tells what celsius tells (correlation 1.0000)"),
        (number("celsius"), None),
        (number("big", type="integer", high=2**53), None),
        (number("flag", distinct=1, nulls=1), None),
        (number("money", distinct=ROWS), None),
        (text("state", 255), None),
        (text("notes", 500, nulls=0), None),
        (ColumnProfile("on", "boolean", ROWS, 0, 2), None),
    ],
    ids=lambda one: one.name if isinstance(one, ColumnProfile) else None,
)
def test_why_a_column_is_not_read(column: ColumnProfile, reason: str | None) -> None:
    pairs = [
        LikePair("decides", "copy", "y", "by a threshold"),
        LikePair("nearly equal", "celsius", "kelvin", "correlation 1.0000"),
        LikePair("decides", "state", "on"),
    ]
    columns = (number("celsius"), label((True, 500), (False, 500), kind="boolean"), column)
    profile = BatchProfile("b", ROWS, columns[0 if column.name != "celsius" else 1 :])
    found = draft_features(profile, pairs, {"leak": 0.95, "money": 0.94}, ROLES)
    read = {*found.all}
    assert (column.name in read) == (reason is None)
    assert (reason or "") in found.left_out.get(column.name, "")
    assert "y" not in read | {*found.left_out}
    assert len(read) + len(found.left_out) == len(profile.columns) - 1


@pytest.mark.parametrize(
    ("share", "rows", "alone", "days", "expected"),
    [
        (0.5, 10_000, {"a": 0.617, "b": 0.55, "leak": 1.0}, 90, (0.59, 0.25, 0.5, 500, 100, 24)),
        (0.1, 10_000, {}, 90, (0.55, 0.09, 0.1, 500, 100, 24)),
        (0.003, 10_000, {"a": 0.52}, 8, (0.55, 0.01, 0.003, 500, 100, 24)),
        (0.8, 400, {"a": 0.7}, 7.9, (0.58, 0.16, 0.8, 50, 10, 0)),
        (0.5, 2, {}, 0, (0.55, 0.25, 0.5, 1, 10, 0)),
    ],
)
def test_the_bounds_of_its_gates(
    share: float, rows: int, alone: dict[str, float], days: float, expected: tuple[Any, ...]
) -> None:
    """The columns that are not read are none that a model has to beat."""
    found = draft_gates(
        LabelDraft(None, None, share, rows, is_guess=False),
        FeatureDraft(("a",), ("b",)),
        alone,
        days=days,
        holdout_fraction=0.25,
    )
    seen = (found.roc_auc, found.brier, found.threshold)
    sizes = (found.min_rows, found.min_group_rows, found.gap_hours)
    assert (*seen, *sizes) == expected
    assert (found.best is None) == (not alone)
