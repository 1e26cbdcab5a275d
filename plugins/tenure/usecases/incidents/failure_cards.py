"""What the on-call reads: failure cards, verdicts of tasks, and the links between them."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tenure.errors import TenureError
from tenure.installation import Platform
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef

STAGE = "failure"
"""Stage of a failure card among the reports."""
TITLES: dict[str, str] = {
    "ConfigInvalid": "A config file says something that is not allowed",
    "DataRejected": "A batch of data was rejected",
    "SchemaBroken": "The data changed shape under this model",
    "GateFailed": "A gate said no",
    "GateInconclusive": "A gate could not judge",
    "CanaryRolledBack": "The canary was rolled back",
    "NotPermitted": "Somebody may not do this",
    "StateConflict": "Somebody else moved first",
    "ArtifactRefused": "An artifact was refused",
    "ArchiveIncomplete": "The archive is not complete",
    "LedgerBroken": "The ledger does not hold",
    "PortTaken": "A port is taken",
    "ServiceUnreachable": "A service does not answer",
    "Killed": "Killed before it could say anything",
}
"""Headline of each kind of card, in words of a person; other kinds are bugs."""
BUG = "Bug or unexpected error"

_BUG_SAFE = (
    "Changes of state are single transactions, so nothing is half done. "
    "Gateways keep serving the last traffic plan."
)
_BUG_NEXT = (
    "Clear the task once; what was done is not done twice. If it fails the same way, give this "
    "card and the traceback in the log to the platform team."
)
_ENDED = {
    "AirflowTaskTimeout": "The task ran out of its time and was stopped.",
    "AirflowTaskTerminated": "The task was told to stop: by a person, a restart or its scheduler.",
}
"""Airflow's ways of ending a task from outside that leave it a moment to say so."""
_ENDED_NEXT = (
    "If nobody stopped it on purpose, clear the task: work that was done is found and not done "
    "twice. If it was too slow, look at what it waited for in the last lines of its log."
)
_LONGEST = 600
"""Characters of an unexpected error's own message that a card shows."""


@dataclass(frozen=True)
class FailureCard:
    """One failed try of one task, as a person must read it.

    `kind` is the error's class; `evidence` a report digest, path or URL; tries count from 1.
    """

    kind: str
    what: str
    still_safe: str
    next_step: str
    evidence: str | None = None
    model: str | None = None
    dataset: str | None = None
    owner: str = ""
    log_url: str = ""
    try_number: int = 1
    tries: int = 1

    @property
    def title(self) -> str:
        """The headline."""
        return TITLES.get(self.kind, BUG)

    @property
    def calm(self) -> str:
        """What to say before anything else when nothing is urgent; else empty."""
        first, _, _ = self.what.partition(". ")
        return f"{first}." if first.startswith("Safe:") else ""

    @property
    def cause(self) -> str:
        """What happened, without the calming words before it."""
        return self.what.removeprefix(self.calm).lstrip()

    def lines(self) -> list[str]:
        """Labelled paragraphs for logs, cause first."""
        rows = [
            f"{self.kind}: {self.what}",
            f"Still safe: {self.still_safe}",
            f"Next step: {self.next_step}",
        ]
        return rows + ([f"Evidence: {self.evidence}"] if self.evidence else [])

    def report(self, run: RunRef) -> Report:
        """The card as the evidence row that is stored."""
        inconclusive = self.kind == "GateInconclusive"
        return Report(
            stage=STAGE,
            subject=f"{run.dag_id}.{run.task_id}",
            verdict=Verdict.INCONCLUSIVE if inconclusive else Verdict.FAILED,
            summary=textwrap.shorten(self.what, 300, placeholder=" …"),
            facts=asdict(self),
        )

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "FailureCard":
        """Read a stored card; keys of newer releases are left alone."""
        return cls(**{k: v for k, v in facts.items() if k in cls.__dataclass_fields__})


def describe(
    error: BaseException,
    *,
    model: str | None = None,
    dataset: str | None = None,
    owner: str = "",
    log_url: str = "",
    try_number: int = 1,
    tries: int = 1,
) -> FailureCard:
    """The card of any error; what is no TenureError is a bug and says so."""
    where: dict[str, Any] = {
        "model": model,
        "dataset": dataset,
        "owner": owner,
        "log_url": log_url,
        "try_number": try_number,
        "tries": max(tries, try_number),
    }
    if isinstance(error, TenureError):
        return FailureCard(
            kind=_kind(error),
            what=error.what,
            still_safe=error.still_safe,
            next_step=error.next_step,
            evidence=error.evidence,
            **where,
        )
    kind = type(error).__name__
    message = textwrap.shorten(str(error) or "no message", _LONGEST, placeholder=" …")
    if kind in _ENDED:
        return FailureCard(
            kind="Killed",
            what=f"{_ENDED[kind]} ({message})",
            still_safe=_BUG_SAFE,
            next_step=_ENDED_NEXT,
            **where,
        )
    return FailureCard(
        kind=kind,
        what=f"{BUG}: {kind}: {message}",
        still_safe=_BUG_SAFE,
        next_step=_BUG_NEXT,
        **where,
    )


def save(platform: Platform, card: FailureCard, run: RunRef) -> str:
    """Store the card under its task and return its digest."""
    from tenure.adapters.sql import reports

    report = card.report(run)
    with platform.database.begin() as connection:
        reports.insert(connection, report, model=card.model, dataset=card.dataset, run=run)
    return report.digest


def evidence_links(platform: Platform, run: RunRef) -> tuple[str, str]:
    """URLs of the task's newest verdict and of its run's MLflow run; empty where there is none."""
    from tenure.adapters.sql import reports

    with platform.database.begin() as connection:
        rows = reports.of_run(connection, run.dag_id, run.run_id)
    own = [
        row
        for row in rows
        if row["task_id"] == run.task_id
        and row["map_index"] == run.map_index
        and row["stage"] != STAGE
    ]
    report = f"{platform.settings.airflow_url}/tenure/report/{own[0]['digest']}" if own else ""
    return report, mlflow_link(platform.settings.mlflow_url, mlflow_run_of(rows))


def mlflow_run_of(rows: Any) -> str | None:
    """The MLflow run id that any of the reports names among its facts."""
    named = (row["body"].get("facts", {}).get("mlflow_run_id") for row in rows)
    return next((str(run) for run in named if run), None)


def mlflow_link(mlflow_url: str, run_id: str | None) -> str:
    """Where MLflow shows the run; empty without one."""
    return f"{mlflow_url}/#/runs/{run_id}" if run_id else ""


def _kind(error: TenureError) -> str:
    """The class that `docs/oncall.md` has a heading for: the nearest one of errors.py."""
    return next(c.__name__ for c in type(error).__mro__ if c.__name__ in TITLES)
