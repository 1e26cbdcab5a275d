"""The time machine: what an edited suite would have said of batches beside the one in force.

Both suites are computed in one pass: `together` lists each distinct expectation once, `findings_of`
gives each suite its own findings back, `judge` of the data gate does the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tenure.lifecycle.data.expectations import Expectation, Suite
from tenure.lifecycle.data.quality import Finding, Judgement
from tenure.verdicts import Severity, Verdict
from tenure.vocabulary import canonical_json


def together(before: Suite, after: Suite) -> Suite:
    """One suite with every distinct expectation of both, once; it is computed, never judged.

    Severity does not count: all are `info` here, so that a finding of another severity is one that
    the validator raised by itself, such as a rule that cannot be computed.
    """
    found = {
        _key(e): replace(e, severity=Severity.INFO)
        for suite in (before, after)
        for e in suite.expectations
    }
    return Suite(after.name, f"{before.digest}+{after.digest}", "", tuple(found.values()))


def findings_of(suite: Suite, both: Suite, findings: Sequence[Finding]) -> list[Finding]:
    """The findings of one suite, in its order and severity, out of those that `both` gave."""
    found = {_key(e): f for e, f in zip(both.expectations, findings, strict=True)}
    mine = [(expectation.severity, found[_key(expectation)]) for expectation in suite.expectations]
    return [
        replace(f, severity=severity) if f.severity is Severity.INFO else f for severity, f in mine
    ]


def under_new_names(suite: Suite, renamed: Mapping[str, str]) -> tuple[Suite, int]:
    """The suite with the columns' new names, and how many of its rules named an old one.

    Args:
        suite: Of before a contract renamed columns.
        renamed: Old name to new name.
    """
    found = [replace(e, kwargs=_renamed(e, renamed)) for e in suite.expectations]
    changed = sum(a != b for a, b in zip(suite.expectations, found, strict=True))
    return replace(suite, expectations=tuple(found)), changed


def _renamed(expectation: Expectation, renamed: Mapping[str, str]) -> dict[str, object]:
    kwargs = dict(expectation.kwargs)
    for name in {"column", "column_A", "column_B"} & kwargs.keys():
        kwargs[name] = renamed.get(str(kwargs[name]), kwargs[name])
    listed = kwargs.get("column_list")
    if isinstance(listed, list):
        kwargs["column_list"] = [renamed.get(str(column), column) for column in listed]
    return kwargs


def _key(expectation: Expectation) -> tuple[str, bytes]:
    return expectation.type, canonical_json(expectation.kwargs)


@dataclass(frozen=True)
class Cause:
    """A finding that one of the suites has and the other has not.

    `otherwise` is what the other suite says of the same rule, None when it has no such rule.
    """

    finding: Finding
    is_edited: bool
    """Whether the edited suite says so, not the one in force."""
    otherwise: Finding | None

    def __str__(self) -> str:
        return f"{self.finding}; {self._of_the_other()}"

    def _of_the_other(self) -> str:
        suite, other = (
            "the suite in force" if self.is_edited else "the edited suite",
            self.otherwise,
        )
        if other is None:
            return f"{suite} does not look at it"
        if other.allowed != self.finding.allowed:
            return f"{suite} allows {other.allowed}"
        if other.severity is not self.finding.severity:
            return f"to {suite} it is {other.severity}"
        return f"by {suite} it has {other.observed}"


@dataclass(frozen=True)
class Comparison:
    """One batch under the suite in force (`before`) and the edited one (`after`)."""

    batch: str
    before: Judgement
    after: Judgement

    @property
    def flips(self) -> bool:
        """Whether the verdict differs."""
        return self.before.verdict is not self.after.verdict

    @property
    def quarantine_change(self) -> int:
        """Rows that would be quarantined more (or fewer, below 0)."""
        return self.after.rows_quarantined - self.before.rows_quarantined

    @property
    def published_change(self) -> int:
        """Rows that would be published more (or fewer, below 0); of a failed batch none are."""
        return _published(self.after) - _published(self.before)

    def causes(self) -> list[Cause]:
        """What differs between the two judgements; of a flip, only what speaks for failing."""
        sides = [(self.before, self.after, False), (self.after, self.before, True)]
        if self.flips:
            sides = [side for side in sides if side[0].verdict is Verdict.FAILED]
        return [
            Cause(finding, is_edited, _otherwise(finding, one, other))
            for one, other, is_edited in sides
            for finding in _only(one, other)
        ]


def _published(judgement: Judgement) -> int:
    return judgement.rows_ok if judgement.verdict is Verdict.PASSED else 0


def _only(one: Judgement, other: Judgement) -> list[Finding]:
    """Findings with an effect that the other judgement does not have in the same way."""
    there = {_effect(f) for f in other.findings if _matters(f)}
    return [f for f in one.findings if _matters(f) and _effect(f) not in there]


def _matters(finding: Finding) -> bool:
    """Whether it stops the batch or sets rows aside."""
    return finding.is_broken and finding.severity is not Severity.INFO


def _effect(finding: Finding) -> tuple[str, str, bool, tuple[int, ...]]:
    return finding.rule, finding.subject, finding.is_fatal, tuple(finding.rows)


def _otherwise(finding: Finding, one: Judgement, other: Judgement) -> Finding | None:
    """What the other suite says where this one found a breach."""
    shared = {_words(f) for f in one.findings}
    alike = [f for f in other.findings if (f.rule, f.subject) == (finding.rule, finding.subject)]
    alike.sort(key=lambda f: _words(f) in shared)
    return alike[0] if alike else None


def _words(finding: Finding) -> tuple[str, str, str, Severity]:
    return finding.rule, finding.subject, finding.allowed, finding.severity


@dataclass(frozen=True)
class PreviewTotals:
    """Sums over batches: how many flip each way, and rows more or fewer."""

    batches: int
    failed_to_passed: int
    passed_to_failed: int
    quarantine_change: int
    published_change: int


def totals(compared: Sequence[Comparison]) -> PreviewTotals:
    """The sums of a preview."""
    return PreviewTotals(
        batches=len(compared),
        failed_to_passed=sum(c.flips and c.after.verdict is Verdict.PASSED for c in compared),
        passed_to_failed=sum(c.flips and c.after.verdict is Verdict.FAILED for c in compared),
        quarantine_change=sum(c.quarantine_change for c in compared),
        published_change=sum(c.published_change for c in compared),
    )
