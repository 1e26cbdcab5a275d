"""What a gate says: a verdict with the checks that led to it, stored before anything is raised."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from tenure.vocabulary import digest_json


class Verdict(StrEnum):
    """`inconclusive` means too little evidence; it never counts as `passed`."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Severity(StrEnum):
    """What a broken check means; the words are those of Great Expectations."""

    INFO = "info"
    """Reported, nothing else."""
    WARNING = "warning"
    """The rows that break it are quarantined."""
    CRITICAL = "critical"
    """The verdict is failed."""


@dataclass(frozen=True)
class Check:
    """One comparison of a gate, in numbers; `observed` and `allowed` tell them to people.

    Args:
        rule: What was compared: `roc_auc`, `nulls`, `expect_column_values_to_be_unique`.
        verdict: Whether it holds.
        observed: For people: `12.1% nulls`.
        allowed: For people: `at most 2%`.
        subject: For people: a column, columns, a group, `the table`.
        severity: What breaking it means.
        columns: Those that it looks at.
        value: The observed number; a share (0…1) where rows were counted. None where there is none,
            or it must not be shown.
        limit: The number that `value` may just reach, in the same unit; None where there is not
            exactly one.
        counts: (rows that break it, rows that it looked at), where rows were counted.
        interval: (low, high) of `value`, where one was computed.
    """

    rule: str
    verdict: Verdict
    observed: str
    allowed: str
    subject: str = ""
    severity: Severity = Severity.CRITICAL
    columns: tuple[str, ...] = ()
    value: float | None = None
    limit: float | None = None
    counts: tuple[int, int] | None = None
    interval: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """The rule for people, with its severity where breaking it does not decide.

        >>> Check("nulls", Verdict.PASSED, "", "", severity=Severity.INFO).name
        'nulls (info)'
        """
        decides = self.severity is Severity.CRITICAL
        return self.rule if decides else f"{self.rule} ({self.severity})"

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Check":
        """Read back what `Report.to_dict` made; the numbers stay as they are written.

        Raises:
            ValueError: A field is missing, unknown, or no member of its enum.
        """
        _require_closed(cls, stored)
        pairs = {
            name: tuple(stored[name]) if stored[name] is not None else None
            for name in ("columns", "counts", "interval")
        }
        words = {
            "verdict": Verdict(stored["verdict"]),
            "severity": Severity(stored["severity"]),
        }
        return cls(**{**stored, **pairs, **words})


@dataclass(frozen=True)
class Report:
    """The evidence of one judgement.

    Args:
        stage: Stem of the stage: quality, evaluation, bias, canary, monitoring, retraining…
        subject: What was judged: `flights/2013-03`, `flight_late@2`.
        verdict: The sum of the checks.
        summary: One sentence with numbers, for cards and tables.
        checks: The comparisons, worst first.
        facts: Everything else as JSON values: counts, digests, intervals.
        enforced: Whether a verdict other than passed stops what was judged. False of an excused
            gate (`mode: report_only`), and of a report that only records or warns.
    """

    stage: str
    subject: str
    verdict: Verdict
    summary: str
    checks: tuple[Check, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    enforced: bool = field(kw_only=True)

    def to_dict(self) -> dict[str, object]:
        """JSON form; its digest is the report's id."""
        return asdict(self) | {"facts": dict(self.facts)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Report":
        """Read back what `to_dict` made, so that the digest is the same.

        Raises:
            ValueError: A field is missing, unknown, or no member of its enum.
            TypeError: `enforced` is no boolean.
        """
        _require_closed(cls, stored)
        if not isinstance(stored["enforced"], bool):
            raise TypeError(f"enforced is {stored['enforced']!r}, neither true nor false")
        checks = tuple(Check.from_dict(check) for check in stored["checks"])
        return cls(**{**stored, "verdict": Verdict(stored["verdict"]), "checks": checks})

    @property
    def digest(self) -> str:
        """Content id of the report."""
        return digest_json(self.to_dict())


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """`failed` beats `inconclusive` beats `passed`; nothing at all is inconclusive.

    >>> worst([Verdict.PASSED, Verdict.INCONCLUSIVE]).value
    'inconclusive'
    >>> worst([]).value
    'inconclusive'
    """
    seen = set(verdicts)
    for verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED):
        if verdict in seen:
            return verdict
    return Verdict.INCONCLUSIVE


def _require_closed(kind: type[Check | Report], stored: Mapping[str, Any]) -> None:
    differ = {one.name for one in fields(kind)} ^ stored.keys()
    if differ:
        raise ValueError(f"{kind.__name__} as it was stored differs in {', '.join(sorted(differ))}")
