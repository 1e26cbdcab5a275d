"""What a gate says: a verdict with the checks that led to it, stored before anything is raised."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from tenure.vocabulary import digest_json


class Verdict(StrEnum):
    """`inconclusive` means too little evidence; it never counts as `passed`."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Check:
    """One comparison of a gate.

    `observed` and `allowed` are for people: `12.1% nulls`, `at most 2%`.
    `interval` is (low, high) of the observed number where one was computed.
    """

    name: str
    verdict: Verdict
    observed: str
    allowed: str
    subject: str = ""
    interval: tuple[float, float] | None = None


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
    """

    stage: str
    subject: str
    verdict: Verdict
    summary: str
    checks: tuple[Check, ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """JSON form; its digest is the report's id."""
        return asdict(self) | {"facts": dict(self.facts)}

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
