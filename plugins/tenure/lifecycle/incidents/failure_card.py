"""The failure card: what the on-call reads about one failed try of one task."""

import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tenure.errors import TenureError
from tenure.layout import parse_dag_id
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import RunRef, storable

FAILURE_STAGE = "failure"
"""Stage of a failure card among the reports."""
KILLED = "Killed"
"""Kind of the card of a task that something outside ended."""
TITLES: dict[str, str] = {
    "ConfigInvalid": "A config file says something that is not allowed",
    "DataRejected": "A batch of data was rejected",
    "SchemaBroken": "The data changed shape under this model",
    "GateFailed": "A gate said no",
    "GateInconclusive": "A gate could not judge",
    "CanaryRolledBack": "The canary was rolled back",
    "NotPermitted": "Somebody may not do this",
    "ReasonMissing": "An answer lacks its reason",
    "TextRefused": "A text cannot be taken as it is",
    "FileRefused": "A file cannot be judged",
    "StateConflict": "Somebody else moved first",
    "ArtifactRefused": "An artifact was refused",
    "ObjectMissing": "An object is missing in the store",
    "ArchiveIncomplete": "The archive is not complete",
    "LedgerBroken": "The ledger does not hold",
    "NotWitnessed": "No witness vouches for the newest events of the ledger",
    "PortTaken": "A port is taken",
    "ServiceUnreachable": "A service does not answer",
    KILLED: "Killed before it could say anything",
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
_TOLD_TO_STOP = "AirflowTaskTerminated"
_ENDED = {
    "AirflowTaskTimeout": "The task ran out of its time and was stopped.",
    _TOLD_TO_STOP: "The task was told to stop: by a person, a restart or its scheduler.",
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
    `next_try_at` (ISO 8601, UTC) is by when Airflow's next try is due; None when there is none. Of
    a killed task, `host` is where it ran and `noticed_at` (ISO 8601) when Airflow noticed.
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
    next_try_at: str | None = None
    host: str = ""
    noticed_at: str | None = None

    @property
    def title(self) -> str:
        """The headline."""
        return TITLES.get(self.kind, BUG)

    @property
    def was_killed(self) -> bool:
        """Whether something outside ended the task."""
        return self.kind == KILLED

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
        if self.next_try_at:
            rows.append(f"Next try: by itself, due by {self.next_try}; nobody is paged before")
        return rows + ([f"Evidence: {self.evidence}"] if self.evidence else [])

    @property
    def next_try(self) -> str:
        """`12:03:40 UTC`; empty when there is none."""
        if self.next_try_at is None:
            return ""
        return f"{datetime.fromisoformat(self.next_try_at).astimezone(UTC):%H:%M:%S} UTC"

    def report(self, run: RunRef) -> Report:
        """The card as the evidence row that is stored."""
        inconclusive = self.kind == "GateInconclusive"
        return Report(
            stage=FAILURE_STAGE,
            subject=f"{run.dag_id}.{run.task_id}",
            verdict=Verdict.INCONCLUSIVE if inconclusive else Verdict.FAILED,
            summary=textwrap.shorten(self.what, 300, placeholder=" …"),
            facts=asdict(self),
            enforced=True,
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
    next_try_at: datetime | None = None,
    host: str = "",
    at: datetime | None = None,
) -> FailureCard:
    """The card of any error; what is no TenureError is a bug and says so.

    `host` and `at` stand on the card of a task that was told to stop: others may have been as well.
    """
    where: dict[str, Any] = {
        "model": model,
        "dataset": dataset,
        "owner": owner,
        "log_url": log_url,
        "try_number": try_number,
        "tries": max(tries, try_number),
        "next_try_at": next_try_at and next_try_at.isoformat(),
    }
    if isinstance(error, TenureError):
        return FailureCard(
            kind=_kind(error),
            what=storable(error.what),
            still_safe=storable(error.still_safe),
            next_step=storable(error.next_step),
            evidence=error.evidence and storable(error.evidence),
            **where,
        )
    kind = type(error).__name__
    said = storable(str(error)) or "no message"
    message = textwrap.shorten(said, _LONGEST, placeholder=" …")
    if kind in _ENDED:
        return FailureCard(
            kind=KILLED,
            what=f"{_ENDED[kind]} ({message})",
            still_safe=_BUG_SAFE,
            next_step=_ENDED_NEXT,
            **where,
            **(_noticed(host, at) if kind == _TOLD_TO_STOP else {}),
        )
    return FailureCard(
        kind=kind,
        what=f"{BUG}: {kind}: {message}",
        still_safe=_BUG_SAFE,
        next_step=_BUG_NEXT,
        **where,
    )


def killed_card(
    task: RunRef,
    *,
    try_number: int = 1,
    tries: int = 1,
    ended_at: datetime | None = None,
    reason: str = "",
    owner: str = "",
    log_url: str = "",
    host: str = "",
    noticed_at: datetime | None = None,
) -> FailureCard:
    """The one card of a task that could not say anything itself, whoever finds it.

    Args:
        task: The task.
        try_number: The try that ended.
        tries: How many it may have.
        ended_at: When Airflow saw it end, in UTC.
        reason: What Airflow says about it, if anything.
        owner: Who is responsible for the task.
        log_url: Where its log can be read.
        host: Where it ran; by it, kills that belong together are found.
        noticed_at: When Airflow noticed; `ended_at` where that is known.
    """
    ended = f" at {ended_at:%Y-%m-%d %H:%M:%S} UTC" if ended_at else ""
    heard = textwrap.shorten(reason, _LONGEST, placeholder=" …")
    dag = parse_dag_id(task.dag_id)
    return FailureCard(
        kind=KILLED,
        what=f"Try {try_number} of {max(tries, try_number)} of {task.task_name} ended{ended} "
        "without a word: it was killed (memory, a restart of the machine, SIGKILL), it lost its "
        "scheduler, it was marked failed by hand, or its DAG file could not be imported."
        + (f" Airflow says: {heard}" if heard else ""),
        still_safe="A change of state is one transaction: it happened whole or not at all. "
        "Gateways keep serving, and a canary falls back by itself when its lease ends.",
        next_step="Read the last lines of the log. If memory ran out, give the worker more; else "
        "clear this task: work that was done is found and not done twice.",
        model=dag.model,
        dataset=dag.dataset,
        owner=owner,
        log_url=log_url,
        try_number=try_number,
        tries=max(tries, try_number),
        **_noticed(host, ended_at or noticed_at),
    )


def _noticed(host: str, at: datetime | None) -> dict[str, Any]:
    return {"host": storable(host), "noticed_at": at and at.isoformat()}


def _kind(error: TenureError) -> str:
    """The class that `docs/oncall.md` has a heading for: the nearest one of errors.py."""
    return next(c.__name__ for c in type(error).__mro__ if c.__name__ in TITLES)
