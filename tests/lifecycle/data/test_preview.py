"""One pass for two suites, and what differs between two judgements."""

from collections.abc import Sequence

import pytest

from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.preview import (
    Comparison,
    PreviewTotals,
    findings_of,
    together,
    totals,
    under_new_names,
)
from tenure.lifecycle.data.quality import Finding, QualityPolicy, judge
from tenure.verdicts import Severity

POLICY = QualityPolicy(max_quarantined=0.5, min_rows=1)
NULLS = "expect_column_values_to_not_be_null"
RANGE = "expect_column_values_to_be_between"


def finding(
    subject: str = "x",
    rows: Sequence[int] = (),
    *,
    allowed: str = "none",
    severity: str = "critical",
    rule: str = NULLS,
    holds: bool = False,
) -> Finding:
    return Finding(rule, subject, Severity(severity), holds, f"{len(rows)} of 10", allowed, rows)


def compared(before: list[Finding], after: list[Finding]) -> Comparison:
    return Comparison("b", judge(10, before, POLICY), judge(10, after, POLICY))


def expectation(column: str, severity: str = "critical") -> Expectation:
    return Expectation("", NULLS, {"column": column}, Severity(severity))


def suite(*expectations: Expectation) -> Suite:
    return Suite("s", "d", "", expectations)


def test_what_both_ask_is_computed_once() -> None:
    before = suite(expectation("x"), expectation("y"))
    after = suite(expectation("y"), expectation("y", "info"), expectation("z"))

    both = together(before, after)

    assert [e.subject for e in both.expectations] == ["x", "y", "z"]
    found = [finding(e.subject, severity="info") for e in both.expectations]
    assert [(f.subject, str(f.severity)) for f in findings_of(before, both, found)] == [
        ("x", "critical"),
        ("y", "critical"),
    ]
    assert [(f.subject, str(f.severity)) for f in findings_of(after, both, found)] == [
        ("y", "critical"),
        ("y", "info"),
        ("z", "critical"),
    ]


def test_a_rule_that_cannot_be_computed_stays_critical() -> None:
    both = together(suite(expectation("x", "info")), suite())
    broken = finding(severity="critical")
    assert {e.severity for e in both.expectations} == {Severity.INFO}
    assert findings_of(suite(expectation("x", "info")), both, [broken]) == [broken]


def test_findings_that_are_missing_are_noticed() -> None:
    both = suite(expectation("x"), expectation("y"))
    with pytest.raises(ValueError, match="zip"):
        findings_of(both, both, [finding()])


def test_a_loosened_limit() -> None:
    found = compared(
        [finding(rows=[1, 2], allowed="none")],
        [finding(rows=[1, 2], allowed="at most 20%", holds=True)],
    )

    assert found.flips
    assert (found.quarantine_change, found.published_change) == (-2, 10)
    assert [str(cause) for cause in found.causes()] == [
        "x has 2 of 10, allowed none; the edited suite allows at most 20%"
    ]


def test_a_removed_rule_and_an_added_one() -> None:
    found = compared([finding("x", rows=[1])], [finding("y", rows=[2, 3])])

    assert not found.flips
    assert found.quarantine_change == 1
    assert [str(cause) for cause in found.causes()] == [
        "x has 1 of 10, allowed none; the edited suite does not look at it",
        "y has 2 of 10, allowed none; the suite in force does not look at it",
    ]


def test_a_batch_that_both_refuse_for_the_same_reason() -> None:
    same = finding("y", rows=[5])
    found = compared([same], [same, finding(rows=[1], severity="info")])
    assert not found.flips
    assert found.causes() == []


def test_a_limit_that_changed_without_effect_is_no_cause() -> None:
    found = compared(
        [finding(rows=[1, 2, 3], allowed="none"), finding("y")],
        [finding(rows=[1, 2, 3], allowed="at most 20%")],
    )
    assert [cause.finding.subject for cause in found.causes()] == ["y"]


def test_a_milder_severity_is_a_cause() -> None:
    found = compared([finding(rows=[1])], [finding(rows=[1], severity="warning")])

    assert (found.flips, found.quarantine_change, found.published_change) == (True, 0, 9)
    assert [str(cause) for cause in found.causes()] == [
        "x has 1 of 10, allowed none; to the edited suite it is warning"
    ]


def test_rows_that_push_a_batch_over_the_limit_are_named_with_the_limit() -> None:
    found = compared(
        [finding(rows=range(5), severity="warning", rule=RANGE, allowed="0…9")],
        [finding(rows=range(6), severity="warning", rule=RANGE, allowed="0…8")],
    )

    assert found.flips
    assert [str(cause) for cause in found.causes()] == [
        "x has 6 of 10, allowed 0…8; the suite in force allows 0…9",
        "the batch has 6 of 10 rows in quarantine (60.00%), allowed at most 50%; by the suite in "
        "force it has 5 of 10 rows in quarantine (50.00%)",
    ]


def test_two_rules_of_one_kind_are_told_apart() -> None:
    shared = finding(allowed="0…100", rule=RANGE, holds=True)
    found = compared(
        [shared, finding(rows=[1], rule=RANGE, allowed="0…9")],
        [shared, finding(rows=[1], rule=RANGE, allowed="0…10", holds=True)],
    )
    assert [str(cause) for cause in found.causes()] == [
        "x has 1 of 10, allowed 0…9; the edited suite allows 0…10"
    ]


def test_sums() -> None:
    good, bad = [finding(rows=[1], holds=True)], [finding(rows=[1, 2])]

    three = [compared(bad, good), compared(good, bad), compared(good, good)]
    assert totals(three) == PreviewTotals(
        batches=3,
        failed_to_passed=1,
        passed_to_failed=1,
        quarantine_change=0,
        published_change=0,
    )
    assert totals([]).batches == 0


def test_a_suite_of_before_a_rename_speaks_of_the_new_names() -> None:
    pair = Expectation("p", "pair", {"column_A": "x", "column_B": "y"}, Severity.INFO)
    listed = Expectation("l", "listed", {"column_list": ["y", "x"]}, Severity.INFO)
    table = Expectation("t", "table", {"min_value": 1}, Severity.INFO)
    old = suite(expectation("x"), expectation("y"), pair, listed, table)

    new, changed = under_new_names(old, {"x": "z"})

    subjects = ["z", "y", "z and y", "y and z", "the table"]
    assert ([e.subject for e in new.expectations], changed) == (subjects, 3)
    assert (new.digest, [e.id for e in new.expectations[2:]]) == ("d", ["p", "l", "t"])
    assert under_new_names(old, {}) == (old, 0)
