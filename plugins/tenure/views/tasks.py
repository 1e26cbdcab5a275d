"""What the Tenure pages show, put together for the eye; reads only."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tenure.errors import ObjectMissing
from tenure.installation import Installation
from tenure.layout import drawn_key, mlflow_link, parse_dag_id, report_link
from tenure.lifecycle.data.quality import is_partly_usable
from tenure.lifecycle.incidents.failure_card import FAILURE_STAGE, FailureCard, killed_card
from tenure.verdicts import Verdict
from tenure.vocabulary import RunRef

if TYPE_CHECKING:
    from tenure.adapters.sql.incident_members import TaskIncident
    from tenure.adapters.sql.reports import ReportRow


@dataclass(frozen=True)
class TaskStatus:
    """What Airflow itself knows about a task instance.

    `state` as Airflow writes it, None before it is scheduled; `culprits` are the failed tasks of
    the run; `mapped` is (map_index, state) of each copy when the task itself is mapped.
    """

    state: str | None
    try_number: int = 1
    max_tries: int = 0
    owner: str = ""
    is_ours: bool = True
    culprits: tuple[str, ...] = ()
    mapped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class TaskPage:
    """The card of one task instance.

    `mood` is failed, retrying, killed, verdict, upstream, waiting, running, skipped or nothing.
    """

    mood: str
    run: RunRef
    seen: TaskStatus | None
    card: FailureCard | None = None
    card_digest: str | None = None
    reports: "Sequence[ReportRow]" = field(default_factory=tuple)
    earlier: "Sequence[ReportRow]" = field(default_factory=tuple)
    """Cards of earlier tries."""
    mlflow_url: str = ""
    model: str | None = None
    dataset: str | None = None
    incident: "TaskIncident | None" = None
    """The incident that it is a member of."""


@dataclass(frozen=True)
class ReportPage:
    """A stored report; `drawn` when there is a picture of it."""

    row: "ReportRow"
    drawn: bool


_BADNESS = (Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED)
_MOODS = {
    "upstream_failed": "upstream",
    "awaiting_input": "waiting",
    "skipped": "skipped",
    "removed": "skipped",
}
_RUNNING = frozenset(
    {"running", "queued", "scheduled", "restarting", "deferred", "up_for_reschedule"}
)


def task_page(platform: Installation, run: RunRef, seen: TaskStatus | None) -> TaskPage:
    """The card of a failed task, the verdict of a green one, or what it is waiting for."""
    from tenure.adapters.sql import incident_members, reports

    with platform.database.begin() as connection:
        rows = reports.of_run(connection, run.dag_id, run.run_id)
        incident = incident_members.of_run(connection, run)
    own = [r for r in rows if (r.task_id, r.map_index) == (run.task_id, run.map_index)]
    link = mlflow_link(platform.settings.mlflow_url, mlflow_run_of(own or rows))
    return replace(decide(own, run, seen, mlflow_url=link), incident=incident)


def evidence_links(platform: Installation, run: RunRef) -> tuple[str, str]:
    """URLs of the task's verdict (of several the worst) and of its run's MLflow run; or empty."""
    from tenure.adapters.sql import reports

    with platform.database.begin() as connection:
        rows = reports.of_run(connection, run.dag_id, run.run_id)
    own = _worst_first(
        [
            row
            for row in rows
            if row.task_id == run.task_id
            and row.map_index == run.map_index
            and row.stage != FAILURE_STAGE
        ]
    )
    report = report_link(platform.settings.airflow_url, own[0].digest) if own else ""
    return report, mlflow_link(platform.settings.mlflow_url, mlflow_run_of(rows))


def mlflow_run_of(rows: "Sequence[ReportRow]") -> str | None:
    """The MLflow run id that any of the reports names among its facts."""
    named = (row.report.facts.get("mlflow_run_id") for row in rows)
    return next((str(run) for run in named if run), None)


def decide(
    rows: "Sequence[ReportRow]", run: RunRef, seen: TaskStatus | None, *, mlflow_url: str = ""
) -> TaskPage:
    """Choose what to show from the task's report rows (newest first) and Airflow's state."""
    cards = [row for row in rows if row.stage == FAILURE_STAGE]
    reports = _worst_first([row for row in rows if row.stage != FAILURE_STAGE])
    newest = FailureCard.from_facts(cards[0].report.facts) if cards else None
    mood = _mood(rows, seen, newest)
    shown = newest if mood in {"failed", "retrying"} else None
    if mood == "killed" and seen is not None:
        shown = killed_card(
            run, try_number=seen.try_number, tries=seen.max_tries + 1, owner=seen.owner
        )
    dag = parse_dag_id(run.dag_id)
    return TaskPage(
        mood=mood,
        run=run,
        seen=seen,
        card=shown,
        card_digest=cards[0].digest if cards and shown is newest else None,
        reports=reports,
        earlier=cards[1:] if shown is newest and shown else cards,
        mlflow_url=mlflow_url,
        model=next((r.model for r in rows if r.model), dag.model),
        dataset=next((r.dataset for r in rows if r.dataset), dag.dataset),
    )


def tone(row: "ReportRow") -> str:
    """The word and color of a report: its verdict, or that a published batch stops a model."""
    stops = row.stage == "quality" and is_partly_usable(row.report.checks)
    return "partly_usable" if stops and row.verdict is Verdict.PASSED else row.verdict


def report_page(platform: Installation, digest: str) -> ReportPage | None:
    """A stored report, or None."""
    from tenure.adapters.sql import reports

    with platform.database.begin() as connection:
        row = reports.by_digest(connection, digest)
    if row is None:
        return None
    try:
        drawn = platform.store.exists(drawn_key(row.digest))
    except Exception:  # the words of a report are worth more than its picture
        drawn = False
    return ReportPage(row, drawn)


def drawing(platform: Installation, digest: str) -> bytes | None:
    """The drawn HTML of a report, as it was stored."""
    try:
        return platform.store.get(drawn_key(digest))
    except ObjectMissing:
        return None


def _worst_first(rows: "Sequence[ReportRow]") -> "list[ReportRow]":
    """The newest report of each thing that was judged, the worst first; then what they replace."""
    newest: dict[tuple[str, str, str], ReportRow] = {}
    for row in rows:
        kind = str(row.report.facts.get("kind", ""))
        newest.setdefault((row.stage, row.subject, kind), row)
    standing = sorted(newest.values(), key=lambda row: _BADNESS.index(row.verdict))
    return [*standing, *(row for row in rows if row not in standing)]


def _mood(rows: "Sequence[ReportRow]", seen: TaskStatus | None, newest: FailureCard | None) -> str:
    if seen is None or not seen.is_ours:
        return _mood_of_rows(rows)
    if seen.state in {"failed", "up_for_retry"}:
        if newest is None or newest.try_number < seen.try_number:
            return "killed"
        return "failed" if seen.state == "failed" else "retrying"
    if seen.state in _MOODS:
        return _MOODS[seen.state]
    if seen.state in _RUNNING or seen.state is None:
        return "running"
    return "verdict" if any(row.stage != FAILURE_STAGE for row in rows) else "nothing"


def _mood_of_rows(rows: "Sequence[ReportRow]") -> str:
    if not rows:
        return "nothing"
    return "failed" if rows[0].stage == FAILURE_STAGE else "verdict"
