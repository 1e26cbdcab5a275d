"""What an edit means, in words, for each kind of edit."""

from typing import Any

import pytest

from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.suite_changes import changes
from tenure.verdicts import Severity

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
PAIR = "expect_column_pair_values_a_to_be_greater_than_b"


def rule(
    kind: str = NOT_NULL, severity: str = "critical", ident: str = "", **kwargs: Any
) -> Expectation:
    content = f"{kind}{sorted(kwargs.items())}"
    return Expectation(ident or content, kind, kwargs, Severity(severity))


def said(before: list[Expectation], after: list[Expectation]) -> list[str]:
    old, new = (Suite("s", name, "", tuple(e)) for name, e in (("a", before), ("b", after)))
    return [str(change) for change in changes(old, new)]


T = "2013-03-01T00:00:00+00:00"
EDITS: dict[str, tuple[Expectation, Expectation, list[str]]] = {
    "a null limit raised": (
        rule(column="x", mostly=0.98),
        rule(column="x", mostly=0.85),
        ["loosened: x, nulls: at most 2% → at most 15%"],
    ),
    "a null limit where there was none": (
        rule(column="x"),
        rule(column="x", mostly=0.85),
        ["loosened: x, nulls: none → at most 15%"],
    ),
    "a null limit lowered": (
        rule(column="x", mostly=0.85),
        rule(column="x", mostly=0.98),
        ["tightened: x, nulls: at most 15% → at most 2%"],
    ),
    "the same, said otherwise": (rule(column="x"), rule(column="x", mostly=1.0), []),
    "a wider range": (
        rule(BETWEEN, column="x", min_value=1, max_value=12),
        rule(BETWEEN, column="x", min_value=0, max_value=13),
        ["loosened: x, values: 1…12 → 0…13"],
    ),
    "a narrower range": (
        rule(BETWEEN, column="x", min_value=0),
        rule(BETWEEN, column="x", min_value=0, max_value=13),
        ["tightened: x, values: at least 0 → 0…13"],
    ),
    "a range that moved": (
        rule(BETWEEN, column="x", min_value=1, max_value=12),
        rule(BETWEEN, column="x", min_value=2, max_value=13),
        ["changed: x, values: 1…12 → 2…13"],
    ),
    "an end left out": (
        rule(BETWEEN, column="x", min_value=1),
        rule(BETWEEN, column="x", min_value=1, strict_min=True),
        ["tightened: x, values: at least 1 → more than 1"],
    ),
    "an upper end left out": (
        rule(BETWEEN, column="x", max_value=1, strict_max=True),
        rule(BETWEEN, column="x", max_value=1),
        ["loosened: x, values: less than 1 → at most 1"],
    ),
    "an earlier time in another zone": (
        rule(BETWEEN, column="x", min_value=T),
        rule(BETWEEN, column="x", min_value="2013-03-01T00:30:00+01:00"),
        [f"loosened: x, values: at least {T} → at least 2013-03-01T00:30:00+01:00"],
    ),
    "the same time in another zone": (
        rule(BETWEEN, column="x", min_value=T),
        rule(BETWEEN, column="x", min_value="2013-03-01T01:00:00+01:00"),
        [],
    ),
    "a value more": (
        rule(IN_SET, column="x", value_set=["a"]),
        rule(IN_SET, column="x", value_set=["b", "a"]),
        ["loosened: x, values: one of a → one of b, a"],
    ),
    "a value less": (
        rule(IN_SET, column="x", value_set=["a", "b"]),
        rule(IN_SET, column="x", value_set=["a"]),
        ["tightened: x, values: one of a, b → one of a"],
    ),
    "values in another order": (
        rule(IN_SET, column="x", value_set=["a", "b"]),
        rule(IN_SET, column="x", value_set=["b", "a"]),
        [],
    ),
    "a value exchanged": (
        rule(IN_SET, column="x", value_set=["a", "b"]),
        rule(IN_SET, column="x", value_set=["a", "c"]),
        ["changed: x, values: one of a, b → one of a, c"],
    ),
    "a forbidden value more": (
        rule("expect_column_values_to_not_be_in_set", column="x", value_set=["a"]),
        rule("expect_column_values_to_not_be_in_set", column="x", value_set=["a", "b"]),
        ["tightened: x, values: none of a → none of a, b"],
    ),
    "a needed value more": (
        rule("expect_column_distinct_values_to_contain_set", column="x", value_set=["a"]),
        rule("expect_column_distinct_values_to_contain_set", column="x", value_set=["a", "b"]),
        ["tightened: x, values: all of a → all of a, b"],
    ),
    "an exact set": (
        rule("expect_column_distinct_values_to_equal_set", column="x", value_set=["a"]),
        rule("expect_column_distinct_values_to_equal_set", column="x", value_set=["a", "b"]),
        ["changed: x, values: one of a → one of a, b"],
    ),
    "a long set": (
        rule(IN_SET, column="x", value_set=list(range(20))),
        rule(IN_SET, column="x", value_set=list(range(1, 30)), mostly=0.9),
        ["changed: x, values: added 20, 21, 22, 23, 24, 25, 26, 27 and 2 more; removed 0; share of "
         "rows 1 → 0.9"],
    ),
    "equal is enough": (
        rule(PAIR, column_A="x", column_B="y"),
        rule(PAIR, column_A="x", column_B="y", or_equal=True),
        ["loosened: x and y, order: x > y → x ≥ y"],
    ),
    "another regex": (
        rule("expect_column_values_to_match_regex", column="x", regex="a"),
        rule("expect_column_values_to_match_regex", column="x", regex="b"),
        ["changed: x, form: text like a → text like b"],
    ),
    "severity": (
        rule(column="x"),
        rule(column="x", severity="warning"),
        ["severity: x, nulls: critical → warning (rows that break it are set aside)"],
    ),
    "limit and severity": (
        rule(column="x", severity="info"),
        rule(column="x", mostly=0.9),
        [
            "loosened: x, nulls: none → at most 10%",
            "severity: x, nulls: info → critical (a batch that breaks it fails)",
        ],
    ),
    "another column under the same id": (
        rule(column="x", ident="i"),
        rule(column="y", ident="i"),
        ["removed: x, nulls: none (critical)", "added: y, nulls: none (critical)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "words"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_in_words(before: Expectation, after: Expectation, words: list[str]) -> None:
    assert said([before], [after]) == words


def test_added_removed_and_order() -> None:
    x, y, z = (rule(column=name) for name in "xyz")

    assert said([x, y], [z, y]) == [
        "added: z, nulls: none (critical)",
        "removed: x, nulls: none (critical)",
    ]
    assert said([x, y, z], [z, x, y]) == []


def test_two_rules_of_one_column_keep_apart() -> None:
    hard = rule(BETWEEN, column="x", max_value=100)
    soft = rule(BETWEEN, column="x", max_value=50, severity="warning")
    wider = rule(BETWEEN, column="x", max_value=60, severity="warning")

    assert said([hard, soft], [hard, wider]) == [
        "loosened: x, values: at most 50 → at most 60",
    ]


def test_an_id_leads_to_its_old_rule() -> None:
    first = rule(BETWEEN, column="x", max_value=1, ident="one")
    second = rule(BETWEEN, column="x", max_value=2, ident="two")
    edited = rule(BETWEEN, column="x", max_value=3, ident="two")

    assert said([first, second], [edited, first]) == ["loosened: x, values: at most 2 → at most 3"]
