"""Which values are labels: one table for training rows, landed outcomes and posted ones."""

import re
from typing import Any

import pytest

from tenure.errors import ConfigInvalid
from tenure.lifecycle.training.labels import LabelRule

PLAIN, TWO, TWO_ONE = LabelRule(), LabelRule("2"), LabelRule("2", "1")
YES, YES_NO = LabelRule("yes"), LabelRule("yes", "no")
ZERO, FALSE = LabelRule("0"), LabelRule("false")


@pytest.mark.parametrize(
    ("rule", "value", "meaning"),
    [
        *[(PLAIN, value, True) for value in (True, 1, 1.0, "1", "true", "True", "TRUE")],
        *[(PLAIN, value, False) for value in (False, 0, 0.0, -0.0, "0", "false", "False")],
        *[(PLAIN, v, None) for v in (2, -1, 9, 0.37, 0.999999, 1e300, "yes", "1.0", "", " 1", "t")],
        (TWO, 2, True),
        (TWO, 2.0, True),
        (TWO, "2", True),
        (TWO, 1, None),
        (TWO, True, True),
        (TWO, False, False),
        (TWO_ONE, 1, False),
        (TWO_ONE, 0, None),
        (TWO_ONE, 9, None),
        (YES, "yes", True),
        (YES, "Yes", None),
        (YES, "no", None),
        (YES, "true", True),
        (YES, 1, None),
        (YES_NO, "no", False),
        (YES_NO, "unknown", None),
        (ZERO, 0, True),
        (ZERO, "0", True),
        (ZERO, 1, False),
        (ZERO, 9, None),
        (ZERO, True, None),
        (FALSE, False, True),
        (FALSE, True, False),
        (FALSE, "TRUE", False),
        (FALSE, 0, None),
    ],
    ids=repr,
)
def test_one_value(rule: LabelRule, value: object, meaning: bool | None) -> None:
    assert rule.meaning(value) is meaning


def meanings(rule: LabelRule, counts: dict[str, int], **how: Any) -> dict[str, bool]:
    return rule.meanings(counts, column="y", still_safe="Nothing happened.", **how)


@pytest.mark.parametrize(
    ("rule", "counts", "expected"),
    [
        (PLAIN, {}, {}),
        (PLAIN, {"true": 3, "0": 1}, {"true": True, "0": False}),
        (TWO, {"1": 5, "2": 3}, {"1": False, "2": True}),
        (TWO, {"-1": 5, "2": 3}, {"-1": False, "2": True}),
        (YES, {"yes": 5}, {"yes": True}),
        (YES_NO, {"no": 5}, {"no": False}),
        (ZERO, {"1": 5}, {"1": False}),
    ],
)
def test_a_whole_column(rule: LabelRule, counts: dict[str, int], expected: dict[str, bool]) -> None:
    assert meanings(rule, counts) == expected


@pytest.mark.parametrize(
    ("rule", "counts", "says"),
    [
        (PLAIN, {"1": 67, "2": 133}, "y is no label in 133 of 200 rows: '2' (133 rows);"),
        (PLAIN, {"-1": 1, "1": 9}, "y is no label in 1 of 10 rows: '-1' (1 row);"),
        (PLAIN, {"0": 90, "1": 90, "9": 20}, "in 20 of 200 rows: '9' (20 rows); a label is bool"),
        (PLAIN, {f"0.{n}": n for n in range(1, 8)}, "'0.4' (4 rows), '0.3' (3 rows), and 2 more"),
        (TWO, {"1": 150, "2": 30, "9": 20}, "in 170 of 200 rows: '1' (150 rows), '9' (20 rows);"),
        (TWO, {"1": 200}, "in 200 of 200 rows: '1' (200 rows); a label is '2' (positive), or boo"),
        (TWO_ONE, {"1": 2, "2": 3, "9": 4}, "'9' (4 rows); a label is '2' (positive) or '1' (neg"),
        (YES, {"Yes": 7, "no": 3}, "'Yes' (7 rows), 'no' (3 rows); a label is 'yes' (positive)"),
        (YES, {"Yes": 7}, "no label.negative is declared."),
        (ZERO, {"true": 7}, "'true' (7 rows); a label is '0' (positive) or '1' (negative)."),
    ],
)
def test_a_column_that_is_refused(rule: LabelRule, counts: dict[str, int], says: str) -> None:
    with pytest.raises(ConfigInvalid, match=re.escape(says)):
        meanings(rule, counts)


def test_of_a_part_the_positive_need_not_occur() -> None:
    assert meanings(YES, {"no": 7}, of_a_part=True) == {"no": False}
    with pytest.raises(ConfigInvalid, match="'no' \\(7 rows\\), 'unknown' \\(1 row\\)"):
        meanings(YES, {"no": 7, "unknown": 1}, of_a_part=True)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(ConfigInvalid) as refused:
        meanings(PLAIN, {"x" * 10_000: 1})
    assert len(refused.value.what) < 150
