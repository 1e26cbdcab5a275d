"""The verdict on a batch, as a table; bounds below, at and above."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from tenure.lifecycle.data.quality import (
    CONTRACT,
    KEY,
    REASONS,
    Finding,
    QualityPolicy,
    Reason,
    count_reasons,
    counts_from_facts,
    counts_to_facts,
    judge,
    report,
    summary,
)
from tenure.verdicts import Severity, Verdict

INFO, WARNING, CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
POLICY = QualityPolicy(max_quarantined=0.1, min_rows=1)


def finding(
    severity: Severity, rows: Sequence[int] = (), *, holds: bool = False, rule: str = "rule"
) -> Finding:
    return Finding(rule, "x", severity, holds, f"{len(rows)} bad", "none", rows, columns=("x",))


@dataclass(frozen=True)
class Case:
    name: str
    findings: tuple[Finding, ...]
    verdict: Verdict
    quarantined: tuple[int, ...] = ()
    policy: QualityPolicy = POLICY
    rows_in: int = 100


CASES = [
    Case("nothing to say", (), Verdict.PASSED),
    Case(
        "a rule holds within its tolerance", (finding(CRITICAL, [1], holds=True),), Verdict.PASSED
    ),
    Case("information only", (finding(INFO, range(100)),), Verdict.PASSED),
    Case("a warning sets rows aside", (finding(WARNING, [3, 5]),), Verdict.PASSED, (3, 5)),
    Case("a warning about the whole table", (finding(WARNING),), Verdict.PASSED),
    Case("a critical rule fails the batch", (finding(CRITICAL),), Verdict.FAILED),
    Case("and its rows are set aside", (finding(CRITICAL, [7]),), Verdict.FAILED, (7,)),
    Case(
        "a critical rule without a value to look at",
        (replace(finding(CRITICAL, [7]), is_inconclusive=True),),
        Verdict.PASSED,
    ),
    Case(
        "a row counts once, whatever it breaks",
        (finding(WARNING, range(10)), finding(WARNING, range(10))),
        Verdict.PASSED,
        tuple(range(10)),
    ),
    Case("share below the limit", (finding(WARNING, range(9)),), Verdict.PASSED, tuple(range(9))),
    Case("share at the limit", (finding(WARNING, range(10)),), Verdict.PASSED, tuple(range(10))),
    Case("share above it", (finding(WARNING, range(11)),), Verdict.FAILED, tuple(range(11))),
    Case("rows below the minimum", (), Verdict.FAILED, policy=QualityPolicy(min_rows=101)),
    Case("rows at the minimum", (), Verdict.PASSED, policy=QualityPolicy(min_rows=100)),
    Case("rows above it", (), Verdict.PASSED, policy=QualityPolicy(min_rows=99)),
    Case("an empty batch is no data", (), Verdict.FAILED, rows_in=0),
    Case("unless it may be empty", (), Verdict.PASSED, policy=QualityPolicy(min_rows=0), rows_in=0),
    Case(
        "everything in quarantine is no data",
        (finding(WARNING, range(100)),),
        Verdict.FAILED,
        tuple(range(100)),
        QualityPolicy(max_quarantined=1.0, min_rows=1),
    ),
    Case(
        "a broken contract",
        (finding(CRITICAL, range(100), rule=CONTRACT),),
        Verdict.FAILED,
        tuple(range(100)),
    ),
    Case(
        "a file that cannot be read",
        (finding(CRITICAL, rule=CONTRACT),),
        Verdict.FAILED,
        rows_in=0,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_judge(case: Case) -> None:
    judgement = judge(case.rows_in, case.findings, case.policy)

    assert judgement.verdict is case.verdict
    assert tuple(sorted(judgement.reasons)) == case.quarantined
    assert judgement.rows_in == judgement.rows_ok + judgement.rows_quarantined == case.rows_in


def test_every_reason_of_a_row_is_kept() -> None:
    judgement = judge(
        10,
        [finding(WARNING, [4], rule="first"), finding(WARNING, [4], rule="second")],
        QualityPolicy(max_quarantined=1.0),
    )

    assert judgement.reasons == {
        4: [Reason("first", "x", ("x",), "none"), Reason("second", "x", ("x",), "none")]
    }
    assert str(judgement.reasons[4][0]) == "x: first, allowed none"


def test_the_worst_comes_first() -> None:
    findings = [
        finding(CRITICAL, holds=True, rule="sound"),
        finding(WARNING, range(50), rule="warned"),
        finding(CRITICAL, [1], rule="fatal"),
    ]

    judgement = judge(100, findings, POLICY)

    assert [(check.rule, check.severity) for check in judgement.checks] == [
        ("fatal", CRITICAL),
        ("warned", WARNING),
        ("max_quarantined", CRITICAL),
        ("sound", CRITICAL),
        ("min_rows", CRITICAL),
    ]


def test_the_limits_of_the_batch_are_numbers() -> None:
    checks = {c.rule: c for c in judge(100, [finding(WARNING, range(5))], POLICY).checks}

    share, rows = checks["max_quarantined"], checks["min_rows"]
    assert (share.value, share.limit, share.counts) == (0.05, 0.1, (5, 100))
    assert (rows.value, rows.limit, rows.counts) == (95.0, 1.0, None)


SUMMARIES = {
    "all hold": (
        [finding(CRITICAL, holds=True), finding(INFO, holds=True)],
        "d batch b: all 2 expectations hold; 100 rows published, 0 not.",
    ),
    "keys are no expectation": (
        [finding(WARNING, [1], rule="key"), finding(CRITICAL, holds=True)],
        "d batch b: all 1 expectations hold; x has 1 bad, allowed none; 99 rows published, 1 not.",
    ),
    "failed": (
        [finding(CRITICAL, [1, 2]), finding(CRITICAL, holds=True)],
        "d batch b: 1 of 2 expectations failed; x has 2 bad, allowed none.",
    ),
    "many": (
        [finding(CRITICAL) for _ in range(5)],
        "d batch b: 5 of 5 expectations failed; x has 0 bad, allowed none; x has 0 bad, allowed "
        "none; x has 0 bad, allowed none; and 2 more.",
    ),
    "contract": (
        [Finding(CONTRACT, "x", CRITICAL, False, "string", "number", range(100))],
        "d batch b: the contract is broken; x: found string, expected number.",
    ),
}


@pytest.mark.parametrize(("findings", "expected"), SUMMARIES.values(), ids=SUMMARIES.keys())
def test_summary(findings: list[Finding], expected: str) -> None:
    assert summary("d", "b", judge(100, findings, POLICY)) == expected


def test_an_equal_judgement_is_the_equal_report() -> None:
    def build(seed: str) -> str:
        return report("d", "b", judge(10, [finding(WARNING, [1])], POLICY), {"key": seed}).digest

    assert build("a") == build("a") != build("b")


def test_rows_are_counted_by_reason_and_read_back_from_the_report() -> None:
    one = Reason("in_set", "city", ("city",), "one of x, y")
    other = Reason(KEY, "id", ("id",), "a key of its own")
    counted = count_reasons([[other, one, one], [one], []])
    assert [(found.reason, found.rows) for found in counted] == [(one, 2), (other, 1)]
    assert counts_from_facts({REASONS: counts_to_facts(counted)}) == counted
    assert counts_from_facts({}) == []
    assert (one.is_of_suite, other.is_of_suite) == (True, False)
    assert len({one.id, other.id}) == 2
