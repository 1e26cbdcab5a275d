"""The cause of a failure: by it a hundred consequences are one incident."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tenure.errors import ArtifactRefused, ObjectMissing, ServiceUnreachable
from tenure.lifecycle.incidents.failure_card import BUG, TITLES, FailureCard
from tenure.verdicts import Check, Verdict
from tenure.vocabulary import RunRef, digest_json

_SHARED = {kind.__name__ for kind in (ServiceUnreachable, ObjectMissing, ArtifactRefused)}
"""Kinds whose cause is outside the task: whoever meets it says the same."""
_URL = re.compile(r"https?://[^\s/,;'\"]+")
_VOLATILE = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?"  # moments
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{12,}\b"  # ids and digests
    r"|0x[0-9a-f]+|/tmp/\S+"  # addresses in memory, unfinished files
    r"|\b\d+(\.\d+)? ?m?s\b"  # waits
)
_MOST_COLUMNS = 5


@dataclass(frozen=True)
class IncidentCause:
    """What an incident is about: kind, subject, and the column, file or task, when there is one."""

    kind: str
    subject: str
    detail: str = ""

    @property
    def key(self) -> str:
        """`kind:subject:detail`; the same cause is the same open incident.

        >>> IncidentCause("DataRejected", "flights", "temp").key
        'DataRejected:flights:temp'
        """
        return ":".join(part for part in (self.kind, self.subject, self.detail) if part)


def cause_of_card(card: FailureCard, run: RunRef, broken: Sequence[str] = ()) -> IncidentCause:
    """The cause of a failed task.

    A service, an object or a bug is the same cause whichever task meets it. A verdict is about a
    model or a dataset: about the columns that broke it where its report names them, else about the
    task that judged. A killed task is about itself.

    Args:
        card: What the task said, or what was said for it.
        run: The task.
        broken: Columns (or subjects) of the failed checks of the report that the card names.
    """
    task = f"{run.dag_id}.{run.task_id}"
    if card.was_killed:
        return IncidentCause(card.kind, task)
    if card.kind in _SHARED or card.kind not in TITLES:
        said = card.what.removeprefix(f"{BUG}: {card.kind}: ")
        return IncidentCause(card.kind, _outside(said))
    about = card.dataset or card.model
    columns = _listed(broken)
    return IncidentCause(card.kind, about or task, columns or (run.task_id if about else ""))


def broken_columns(checks: Sequence[Check]) -> tuple[str, ...]:
    """Columns that failed checks look at, sorted; the subject or rule of one that has none."""
    failed = [check for check in checks if check.verdict is not Verdict.PASSED]
    names = {name for one in failed for name in (one.columns or (one.subject or one.rule,))}
    return tuple(sorted(names))


def _listed(names: Sequence[str]) -> str:
    shown = ",".join(names[:_MOST_COLUMNS])
    more = names[_MOST_COLUMNS:]
    return f"{shown},{digest_json(list(more))[:12]}" if more else shown


def _outside(what: str) -> str:
    """The service that is named, else the first sentence without what changes with each try."""
    if found := _URL.search(what):
        return found.group()
    first = re.split(r"(?<=\.)\s|\n", what, maxsplit=1)[0]
    return " ".join(_VOLATILE.sub("…", first).split())[:300]
