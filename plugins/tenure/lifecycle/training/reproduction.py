"""Whether a training that was done again gave the same, and in what it differs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tenure.lifecycle.model_version import Environment
from tenure.verdicts import Check, Report, Severity, Verdict, worst

_SHORT = 12


@dataclass(frozen=True)
class Trained:
    """What one training of a version left.

    Args:
        artifact_digest: SHA-256 of the model.
        predictions_digest: SHA-256 of the holdout's scores.
        metrics: Of the holdout.
        rows: By part of the split.
        environment: Libraries and machine.
        code_digest: Of Tenure's own code.
        lock_digest: Of the lock that the libraries were installed by.
    """

    artifact_digest: str
    predictions_digest: str
    metrics: Mapping[str, float]
    rows: Mapping[str, int]
    environment: Environment
    code_digest: str
    lock_digest: str

    @classmethod
    def from_answer(
        cls, said: Mapping[str, Any], *, code_digest: str, lock_digest: str
    ) -> "Trained":
        """From JSON values. Raises TypeError when it says other things."""
        environment = Environment(**said["environment"])
        rest = {name: value for name, value in said.items() if name != "environment"}
        return cls(
            **rest, environment=environment, code_digest=code_digest, lock_digest=lock_digest
        )


def compare(name: str, stored: Trained, again: Trained) -> Report:
    """The report: failed unless scores, metrics, rows and model are the same, bit by bit.

    Another environment alone is named and decides nothing: the same came out of it.

    Args:
        name: `model@version`.
        stored: The training that made the version.
        again: The one that was done now.
    """
    results, surroundings = list(_results(stored, again)), list(_surroundings(stored, again))
    differ = [check.rule for check in results if check.verdict is not Verdict.PASSED]
    others = [check.observed for check in surroundings]
    said = (
        f"trained again, {', '.join(differ)} differ{'s' * (len(differ) == 1)}"
        if differ
        else f"trained again, it is the same: predictions {again.predictions_digest[:_SHORT]}, "
        f"{len(again.metrics)} metrics, model {again.artifact_digest[:_SHORT]}"
    )
    around = f"; the environment is another: {', '.join(others)}" if others else ""
    unexplained = "; the environment is the same" if differ and not others else ""
    return Report(
        "reproduce",
        name,
        worst(check.verdict for check in results),
        f"{said}{around}{unexplained}",
        checks=tuple(sorted([*results, *surroundings], key=_place)),
        facts={"stored": asdict(stored), "again": asdict(again), "differ": differ},
        enforced=False,
    )


def _place(check: Check) -> bool:
    """Worst first; the order within is kept."""
    return check.verdict is Verdict.PASSED


def _results(stored: Trained, again: Trained) -> Iterator[Check]:
    digests = ("predictions_digest", "artifact_digest")
    for name in digests:
        yield _check(name, getattr(stored, name), getattr(again, name))
    for metric in sorted(stored.metrics.keys() | again.metrics.keys()):
        yield _check(metric, stored.metrics.get(metric), again.metrics.get(metric))
    for part in sorted(stored.rows.keys() | again.rows.keys()):
        yield _check(f"rows.{part}", stored.rows.get(part), again.rows.get(part))


def _check(rule: str, then: float | str | None, now: float | str | None) -> Check:
    return Check(
        rule,
        Verdict.PASSED if then == now else Verdict.FAILED,
        observed=str(now),
        allowed=str(then),
        value=None if isinstance(now, str | None) else float(now),
        limit=None if isinstance(then, str | None) else float(then),
    )


def _surroundings(stored: Trained, again: Trained) -> Iterator[Check]:
    """What is another one now, each by name."""
    named = list(stored.environment.differences(again.environment))
    for digest in ("lock_digest", "code_digest"):
        then, now = getattr(stored, digest), getattr(again, digest)
        if then != now:
            named.append(f"{digest} {then[:_SHORT]}, here {now[:_SHORT]}")
    for said in named:
        yield Check("environment", Verdict.FAILED, said, "as in training", severity=Severity.INFO)
