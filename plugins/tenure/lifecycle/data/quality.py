"""The data gate: contract, expectations, quarantine, publish."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import Field

from tenure.lifecycle.policy import Policy
from tenure.verdicts import Check, Report, Severity, Verdict
from tenure.vocabulary import digest_json

SHOWN = 3
"""Findings that the summary spells out before it counts the others."""
CONTRACT = "contract"
"""Rule of the findings about the shape of a batch; without its shape nothing else is judged."""
SCHEMA = "schema"
"""Rule of the findings about columns that came and went; as a warning they stop a reader."""
CELL_RULES = ("width", "header", "quote", "encoding", "type", "null")
"""Rules of the contract about single rows and cells: they set rows aside, not the batch."""
KEY = "key"
"""Rule of the contract that each row has a key of its own: others are set aside."""
ROUNDED = "rounded"
"""Rule of the contract that cells keep their digits: those that do not are counted, and stay."""
REASONS = "reasons"
"""Fact of a report: how many rows have each reason."""
MAX_QUARANTINED, MIN_ROWS = "max_quarantined", "min_rows"
"""Rules of the policy about the batch as a whole."""
_LIMITS = {MAX_QUARANTINED, MIN_ROWS}
_NO_EXPECTATIONS = {CONTRACT, SCHEMA, KEY, ROUNDED, *_LIMITS, *CELL_RULES}


class QualityPolicy(Policy):
    """When a batch is stopped as a whole."""

    max_quarantined: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of rows that may be quarantined before the batch fails."""
    min_rows: int = Field(default=1, ge=0)
    """Rows that must remain after quarantine."""


@dataclass(frozen=True)
class Finding:
    """What one rule (of contract or suite) says of a batch.

    Args:
        rule: Name of the rule: `expect_column_values_to_not_be_null`, `contract`.
        subject: The column or columns, or `the table`.
        severity: What breaking it means.
        holds: Whether it holds, within its own tolerance.
        observed: For people, with numbers.
        allowed: For people.
        rows: Positions (from 0) of the rows that break it; empty when no single row is to blame.
            Ignored when it holds: its tolerance covers them.
        columns: Columns that it looks at.
        value: As of a `Check`, like the next two.
        limit: Of `value`.
        counts: (rows that break it, rows that it looked at).
        quote: What a library says beside `observed`; it may quote a value.
        is_inconclusive: Whether it had no value to look at: then it neither holds nor is broken.
    """

    rule: str
    subject: str
    severity: Severity
    holds: bool
    observed: str
    allowed: str
    rows: Sequence[int] = ()
    columns: tuple[str, ...] = ()
    value: float | None = None
    limit: float | None = None
    counts: tuple[int, int] | None = None
    quote: str = ""
    is_inconclusive: bool = False

    def __str__(self) -> str:
        if self.rule in {CONTRACT, SCHEMA}:
            return f"{self.subject}: found {self._in_full}, expected {self.allowed}"
        return f"{self.subject} has {self.observed}, allowed {self.allowed}"

    @property
    def is_broken(self) -> bool:
        """Whether something was seen that it does not allow."""
        return not self.holds and not self.is_inconclusive

    @property
    def is_fatal(self) -> bool:
        """Whether it alone stops the batch."""
        return self.is_broken and self.severity is Severity.CRITICAL

    @property
    def verdict(self) -> Verdict:
        """What it says; never `passed` without a value that was looked at."""
        if self.is_inconclusive:
            return Verdict.INCONCLUSIVE
        return Verdict.PASSED if self.holds else Verdict.FAILED

    @property
    def _in_full(self) -> str:
        return f"{self.observed}: {self.quote}" if self.quote else self.observed

    @property
    def reason(self) -> "Reason":
        """Why it sets a row aside."""
        return Reason(self.rule, self.subject, self.columns, self.allowed)

    @property
    def check(self) -> Check:
        """The same as evidence, without the rows."""
        return Check(
            rule=self.rule,
            verdict=self.verdict,
            observed=self._in_full,
            allowed=self.allowed,
            subject=self.subject,
            severity=self.severity,
            columns=self.columns,
            value=self.value,
            limit=self.limit,
            counts=self.counts,
        )


@dataclass(frozen=True)
class Reason:
    """Why a row was set aside: a rule that it breaks, as it stands in the quarantine file."""

    rule: str
    subject: str
    columns: tuple[str, ...]
    allowed: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule}, allowed {self.allowed}"

    @property
    def id(self) -> str:
        """Names it in a link and in the database."""
        return digest_json(asdict(self))[:16]

    @property
    def is_of_suite(self) -> bool:
        """Whether a rule of the suite says so, and not the contract: then the row has its types."""
        return self.rule not in _NO_EXPECTATIONS


@dataclass(frozen=True)
class ReasonCount:
    """A reason, and the rows of a batch that have it; a row may have several."""

    reason: Reason
    rows: int


def count_reasons(reasons: Iterable[Sequence[Reason]]) -> list[ReasonCount]:
    """How many rows have each reason, the most frequent first."""
    found = Counter(reason for of_row in reasons for reason in dict.fromkeys(of_row))
    ordered = sorted(found.items(), key=lambda one: (-one[1], str(one[0])))
    return [ReasonCount(reason, rows) for reason, rows in ordered]


def counts_to_facts(counts: Iterable[ReasonCount]) -> list[dict[str, object]]:
    """As the report keeps them under `REASONS`."""
    return [{**asdict(one.reason), "rows": one.rows} for one in counts]


def counts_from_facts(facts: Mapping[str, Any]) -> list[ReasonCount]:
    """The inverse, from the facts of a report; empty where it counts none."""
    return [
        ReasonCount(Reason(one["rule"], one["subject"], tuple(one["columns"]), one["allowed"]), n)
        for one in facts.get(REASONS, ())
        for n in (one["rows"],)
    ]


@dataclass(frozen=True)
class Judgement:
    """The verdict on a batch and the rows to set aside.

    `rows_in == rows_ok + len(reasons)`, whatever the verdict. When it failed, nothing is
    published: the rows without a reason are good, but wait for the repaired batch.
    """

    verdict: Verdict
    rows_in: int
    reasons: Mapping[int, Sequence[Reason]]
    """Position of each quarantined row to why."""
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...] = field(repr=False)

    @property
    def rows_quarantined(self) -> int:
        """Rows that break a rule."""
        return len(self.reasons)

    @property
    def rows_ok(self) -> int:
        """Rows that break none."""
        return self.rows_in - self.rows_quarantined


def judge(rows_in: int, findings: Sequence[Finding], policy: QualityPolicy) -> Judgement:
    """Decide whether a batch may be published, and which of its rows.

    A critical rule that does not hold fails the batch. The rows that break a warning or a critical
    rule are quarantined, with every reason. Then the batch as a whole must stay within the policy.
    """
    reasons: dict[int, list[Reason]] = {}
    for finding in findings:
        if not finding.is_broken or finding.severity is Severity.INFO:
            continue
        for row in finding.rows:
            reasons.setdefault(row, []).append(finding.reason)
    shapeless = any(f.rule == CONTRACT and f.is_fatal for f in findings)
    limits = () if shapeless else _limits(rows_in, len(reasons), policy)
    everything = sorted((*findings, *limits), key=_worst_first)
    fatal = any(finding.is_fatal for finding in everything)
    return Judgement(
        verdict=Verdict.FAILED if fatal else Verdict.PASSED,
        rows_in=rows_in,
        reasons=reasons,
        checks=tuple(finding.check for finding in everything),
        findings=tuple(everything),
    )


def _worst_first(finding: Finding) -> tuple[bool, bool, bool, bool]:
    """Broken, unsure, sound; causes before limits that follow from them; fatal before the rest."""
    return not finding.is_broken, finding.holds, finding.rule in _LIMITS, not finding.is_fatal


def _limits(rows_in: int, quarantined: int, policy: QualityPolicy) -> tuple[Finding, Finding]:
    share = quarantined / rows_in if rows_in else 0.0
    rows_ok = rows_in - quarantined
    return (
        Finding(
            rule=MAX_QUARANTINED,
            subject="the batch",
            severity=Severity.CRITICAL,
            holds=share <= policy.max_quarantined,
            observed=f"{quarantined:,} of {rows_in:,} rows in quarantine ({100 * share:.2f}%)",
            allowed=f"at most {100 * policy.max_quarantined:g}%",
            value=share,
            limit=policy.max_quarantined,
            counts=(quarantined, rows_in),
        ),
        Finding(
            rule=MIN_ROWS,
            subject="the batch",
            severity=Severity.CRITICAL,
            holds=rows_ok >= policy.min_rows,
            observed=f"{rows_ok:,} good rows",
            allowed=f"at least {policy.min_rows:,}",
            value=float(rows_ok),
            limit=float(policy.min_rows),
        ),
    )


def lost_columns(checks: Iterable[Check]) -> frozenset[str]:
    """Columns that a published batch lacks although a model reads them; it stops who reads one."""
    return frozenset(
        column
        for check in checks
        if check.rule == SCHEMA
        and check.severity is Severity.WARNING
        and check.verdict is Verdict.FAILED
        for column in check.columns
    )


def is_partly_usable(checks: Iterable[Check]) -> bool:
    """Whether the batch that was checked, although published, stops a model that reads it."""
    return bool(lost_columns(checks))


def summary(dataset: str, batch: str, judgement: Judgement) -> str:
    """The judgement in one or two sentences with numbers.

    `flights batch 2013-03: 2 of 14 expectations failed; temp has 3,121 of 28,834 nulls (10.8%),
    allowed at most 2%.`
    """
    said = [f for f in judgement.findings if f.is_broken]
    counts = f"{dataset} batch {batch}: {_counts(judgement)}"
    more = len(said) - SHOWN
    parts = [counts, *(str(f) for f in said[:SHOWN])] + ([f"and {more} more"] if more > 0 else [])
    if judgement.verdict is Verdict.PASSED:
        parts.append(f"{judgement.rows_ok:,} rows published, {judgement.rows_quarantined:,} not")
    return "; ".join(parts) + "."


def _counts(judgement: Judgement) -> str:
    if any(f.rule == CONTRACT and not f.holds for f in judgement.findings):
        return "the contract is broken"
    rules = [f for f in judgement.findings if f.rule not in _NO_EXPECTATIONS]
    broken = sum(f.is_broken for f in rules)
    unsure = sum(f.is_inconclusive for f in rules)
    more = f", {unsure} had no value to look at" if unsure else ""
    if broken:
        return f"{broken} of {len(rules)} expectations failed{more}"
    if unsure:
        return f"{len(rules) - unsure} of {len(rules)} expectations hold{more}"
    return f"all {len(rules)} expectations hold"


def report(dataset: str, batch: str, judgement: Judgement, facts: Mapping[str, object]) -> Report:
    """The evidence of the judgement; equal input gives the equal report."""
    return Report(
        stage="quality",
        subject=f"{dataset}/{batch}",
        verdict=judgement.verdict,
        summary=summary(dataset, batch, judgement),
        checks=judgement.checks,
        facts={
            "rows_in": judgement.rows_in,
            "rows_ok": judgement.rows_ok,
            "rows_quarantined": judgement.rows_quarantined,
            REASONS: counts_to_facts(count_reasons(judgement.reasons.values())),
            **facts,
        },
        enforced=True,
    )
