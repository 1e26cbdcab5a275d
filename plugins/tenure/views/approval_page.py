"""What an approver reads before answering: one version beside the champion; reads only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tenure.config import ModelConfig, parse_model
from tenure.errors import ArtifactRefused, ConfigInvalid
from tenure.installation import Installation
from tenure.layout import PROMOTE_MODEL, dag_id
from tenure.lifecycle.promotion.approval import begin_key
from tenure.verdicts import Check, Report
from tenure.views.version_changes import VersionChanges, changes
from tenure.views.versions import VersionPage, version_page

if TYPE_CHECKING:
    from tenure.adapters.sql.version_page import ModelAbout


ASKING_TASK = "review"
"""The task of `promote_model` that asks approvers; its canary may wait for an operator."""


@dataclass(frozen=True)
class OpenWindow:
    """A required action of `promote_model` that waits for an answer, as Airflow knows it.

    `until` is None where it waits for ever.
    """

    run_id: str
    task_id: str
    map_index: int
    asked_at: datetime
    until: datetime | None


@dataclass(frozen=True)
class ComparedMetric:
    """One metric of a version, of the champion and of the trivial answer; None: not stored.

    Args:
        name: Of the metric.
        value: Of the version, on its holdout.
        interval: (low, high) of it.
        champion: Of the champion, on the same rows.
        better_by: By how much the version is better than the champion there.
        better_interval: (low, high) of that.
        own: Of the champion on its own holdout, which had other rows.
        own_interval: (low, high) of that.
        trivial: Of who always answers the same, on the version's holdout.
        check: The gate that judges it, where there is one.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    champion: float | None
    better_by: float | None
    better_interval: tuple[float, float] | None
    own: float | None
    own_interval: tuple[float, float] | None
    trivial: float | None
    check: Check | None


@dataclass(frozen=True)
class ApprovalPage:
    """Everything that is asked about a version before it may serve.

    Args:
        version: Its seats, evidence and reports.
        about: The model.
        champion: Name of the version that serves now; None while there is none.
        windows: Required actions that ask about this version.
        metrics: Those that a gate judges first.
        evaluation: The stored report; None when it cannot be found.
        bias: The stored report; None when it cannot be found.
        changes: Since the champion; None without one, or with `unread`.
        unread: Why the two cannot be compared.
        consumers: Who uses the answers, as the version's config says.
        is_config_known: Whether that config is kept and can be read.
    """

    version: VersionPage
    about: "ModelAbout"
    champion: str | None
    windows: Sequence[OpenWindow]
    metrics: Sequence[ComparedMetric]
    evaluation: Report | None
    bias: Report | None
    changes: VersionChanges | None
    unread: str
    consumers: tuple[str, ...]
    is_config_known: bool

    @property
    def compared_with(self) -> str | None:
        """Whom the evaluation compared it with, which may not serve any more."""
        name = _champion_facts(self.evaluation).get("name")
        return None if name is None else str(name)

    @property
    def incomparable(self) -> str:
        """Why the evaluation has no comparison with a champion; empty when it has one."""
        return str(_champion_facts(self.evaluation).get("why") or "")


def approval_page(
    platform: Installation, model: str, number: int, windows: Sequence[OpenWindow]
) -> ApprovalPage | None:
    """One version beside the champion, or None when there is none of the number.

    Args:
        platform: The installation.
        model: The model.
        number: Of the version.
        windows: Every open window of the model; those about another version are left out.
    """
    from tenure.adapters.sql import approvals
    from tenure.adapters.sql import version_page as sql

    page = version_page(platform, model, number)
    if page is None:
        return None
    with platform.database.begin() as connection:
        serving = sql.champion_number(connection, model)
        about = sql.about(connection, model)
        mine = [
            one
            for one in windows
            if approvals.chosen_version(connection, begin_key(model, one.run_id)) == number
        ]
    other = version_page(platform, model, serving) if serving not in {None, number} else None
    evaluation = _stored(platform, page.row.evaluation_report)
    theirs = _stored(platform, other.row.evaluation_report) if other else None
    config = _config(page)
    changed, unread = _changes(other, page) if other else (None, "")
    return ApprovalPage(
        version=page,
        about=about,
        champion=f"{model}@{serving}" if serving else None,
        windows=mine,
        metrics=list(_compared(evaluation, theirs)),
        evaluation=evaluation,
        bias=_stored(platform, page.row.bias_report),
        changes=changed,
        unread=unread,
        consumers=tuple(one.name for one in config.consumers) if config else (),
        is_config_known=config is not None,
    )


def version_of_run(platform: Installation, model: str, run_id: str) -> int | None:
    """Number of the version that a run of `promote_model` is about; None before it chose one."""
    from tenure.adapters.sql import approvals

    with platform.database.begin() as connection:
        return approvals.chosen_version(connection, begin_key(model, run_id))


def window_path(model: str, window: OpenWindow) -> str:
    """Where Airflow takes the answer, below its own address."""
    from urllib.parse import quote

    place = f"/dags/{dag_id(model, PROMOTE_MODEL)}/runs/{quote(window.run_id, safe='')}"
    mapped = f"/mapped/{window.map_index}" if window.map_index >= 0 else ""
    return f"{place}/tasks/{window.task_id}{mapped}/required_actions"


def _stored(platform: Installation, digest: str | None) -> Report | None:
    from tenure.adapters.sql import reports

    with platform.database.begin() as connection:
        found = reports.by_digest(connection, digest) if digest else None
    return found.report if found else None


def _config(page: VersionPage) -> ModelConfig | None:
    try:
        return None if page.config is None else parse_model(page.config)
    except ConfigInvalid:
        return None


def _changes(before: VersionPage, now: VersionPage) -> tuple[VersionChanges | None, str]:
    try:
        found = changes(
            (before.row, now.row),
            (before.trained_on, now.trained_on),
            (_config(before), _config(now)),
        )
    except ArtifactRefused as error:
        return None, error.what
    return found, ""


def _champion_facts(report: Report | None) -> Mapping[str, Any]:
    found = report.facts.get("champion") if report else None
    return found if isinstance(found, Mapping) else {}


def _compared(mine: Report | None, theirs: Report | None) -> Iterator[ComparedMetric]:
    """Judged metrics first, each in the order of the stored report."""
    facts: Mapping[str, Any] = mine.facts if mine else {}
    judged = {one.rule.removeprefix("kpi:"): one for one in (mine.checks if mine else ())}
    paired = {one["metric"]: one for one in _champion_facts(mine).get("differences", ())}
    own: Mapping[str, Any] = theirs.facts if theirs else {}
    metrics = facts.get("metrics", {})
    order = [*judged, *paired, *metrics]
    for name in sorted(metrics, key=order.index):
        found = paired.get(name, {})
        yield ComparedMetric(
            name=name,
            value=metrics[name],
            interval=_pair(facts.get("intervals", {}).get(name)),
            champion=found.get("other"),
            better_by=found.get("better_by"),
            better_interval=_pair(found.get("interval")),
            own=own.get("metrics", {}).get(name),
            own_interval=_pair(own.get("intervals", {}).get(name)),
            trivial=facts.get("baseline", {}).get(name),
            check=judged.get(name),
        )


def _pair(ends: Sequence[float] | None) -> tuple[float, float] | None:
    return (float(ends[0]), float(ends[1])) if ends else None
