"""The page of a canary: its verdict, its evidence over time, and what it waits for; reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tenure.config import load_model
from tenure.errors import ConfigInvalid
from tenure.installation import Installation
from tenure.lifecycle.promotion.canary import CanaryAction
from tenure.lifecycle.promotion.canary_forecast import CanaryWait, PastAnalysis, waits_for
from tenure.vocabulary import State

if TYPE_CHECKING:
    from tenure.adapters.sql.canary_page import CanaryPlan, CanaryRows, CanaryVersion
    from tenure.adapters.sql.model_page import AnalysisLine
    from tenure.config import ModelConfig

LEFT_OUT = {
    "of_earlier_plans": "made before the first plan of this canary",
    "after_an_end": "made after the authorization of an arm had ended",
    "without_share": "asked for one version by number, or made while the canary had no share",
    "of_no_arm": "assigned to neither arm",
    "copies": "shipped a second time",
}
"""What decisions that no arm counts are, in the order in which they are told apart."""


@dataclass(frozen=True)
class ArmRow:
    """One metric of one arm in the newest analysis.

    Args:
        arm: `challenger` or `champion`.
        subjects: Subjects of the arm, of wrong labels those with a final one.
        events: Those with an event; None of a mean.
        value: Events by subjects, or the mean; None without subjects.
    """

    arm: str
    subjects: int
    events: int | None
    value: float | None


@dataclass(frozen=True)
class MetricPanel:
    """One metric over all analyses, with its arms in the newest one.

    Args:
        event: What is counted.
        facts: Of the newest analysis.
        arms: Challenger, then champion.
        allowed: The rate or mean that the margin allows the challenger; None without a champion's.
        log_harm: Natural logarithms of the e-values, one an analysis.
        log_safe: As `log_harm`.
    """

    event: str
    facts: Mapping[str, Any]
    arms: tuple[ArmRow, ArmRow]
    allowed: float | None
    log_harm: Sequence[float]
    log_safe: Sequence[float]


@dataclass(frozen=True)
class CanaryPage:
    """A canary, running or over.

    Args:
        model: Name of the model.
        rows: What is stored.
        judged: Analyses, oldest first; a person's answers to a hold are not among them.
        panels: The metrics.
        waits: What the next step needs; none of a canary that is over.
        trouble: Why nothing can be said about the next step; empty where it can.
        next_at: When the next analysis is due; None where none is.
        labels_from: When the first label of this canary can be final, while none is.
    """

    model: str
    rows: "CanaryRows"
    judged: "Sequence[AnalysisLine]"
    panels: Sequence[MetricPanel]
    waits: Sequence[CanaryWait] = ()
    trouble: str = ""
    next_at: datetime | None = None
    labels_from: datetime | None = None

    @property
    def version(self) -> "CanaryVersion":
        """The challenger."""
        return self.rows.chosen

    @property
    def is_running(self) -> bool:
        """Whether it is on probation."""
        return self.version.state is State.CANARY

    @property
    def is_held(self) -> bool:
        """Whether it waits for a person: nothing was done since the analysis that held it."""
        return self.is_running and bool(self.rows.analyses) and self._last == CanaryAction.HOLD

    @property
    def _last(self) -> str:
        return self.rows.analyses[-1].action

    @property
    def newest(self) -> "AnalysisLine | None":
        """The newest analysis."""
        return self.judged[-1] if self.judged else None

    @property
    def ended(self) -> "CanaryPlan | None":
        """The plan with which it lost its share, or got all."""
        last = self.rows.plans[-1]
        return None if last.canary_id == self.version.id else last

    @property
    def is_promoted(self) -> bool:
        """Whether it ended as champion, whatever came later."""
        return self.ended is not None and self.ended.champion_id == self.version.id

    @property
    def was_taken_by(self) -> str:
        """Who took it out of traffic other than its own judge; empty when nobody did."""
        event, newest = self.rows.rollback, self.newest
        if event is None or self.is_promoted:
            return ""
        by_judge = newest is not None and newest.action == CanaryAction.ROLL_BACK
        return "" if by_judge else event.actor

    @property
    def earliest(self) -> datetime | None:
        """When the next step can come; None where one of its conditions cannot be estimated."""
        found = [one.at for one in self.waits]
        if self.next_at is None or None in found:
            return None
        return max([self.next_at, *(at for at in found if at is not None)])

    @property
    def decisions(self) -> Mapping[str, int] | None:
        """Where the decisions are, by the newest analysis."""
        found: Mapping[str, int] | None = (
            self.newest.facts.get("decisions") if self.newest else None
        )
        return found


def canary_page(platform: Installation, model: str, version: int | None) -> CanaryPage | None:
    """The canary of this version, or the newest of the model; None where there never was one."""
    from tenure.adapters.sql.canary import PROLONGED
    from tenure.adapters.sql.canary_page import canary_rows

    with platform.database.begin() as connection:
        rows = canary_rows(connection, model, version)
    if rows is None:
        return None
    judged = [one for one in rows.analyses if one.action != PROLONGED]
    page = CanaryPage(model, rows, judged, _panels(judged))
    if not page.is_running or page.is_held:
        return page
    try:
        config, _ = load_model(platform.settings.include, model)
    except (ConfigInvalid, OSError) as error:
        return CanaryPage(model, rows, judged, page.panels, trouble=str(error).splitlines()[0])
    return _running(page, config, platform.clock.now())


def _running(page: CanaryPage, config: "ModelConfig", now: datetime) -> CanaryPage:
    past = [PastAnalysis(one.share_bp, one.created_at, one.facts) for one in page.judged]
    pause = timedelta(seconds=config.canary.analysis_seconds)
    last = page.judged[-1].created_at if page.judged else page.version.began_at
    of_labels = [one for one in page.panels if one.event != "error"]
    none_final = of_labels and not any(arm.subjects for one in of_labels for arm in one.arms)
    horizon = timedelta(hours=config.label.horizon_hours)
    return CanaryPage(
        page.model,
        page.rows,
        page.judged,
        page.panels,
        waits=waits_for(config.canary, past, now),
        next_at=last + pause,
        labels_from=page.version.began_at + horizon if none_final else None,
    )


def _panels(judged: "Sequence[AnalysisLine]") -> list[MetricPanel]:
    if not judged:
        return []
    return [
        MetricPanel(
            event=metric["event"],
            facts=metric,
            arms=(_arm("challenger", "canary", metric), champion),
            allowed=None if champion.value is None else champion.value * metric["margin"],
            log_harm=_logs(judged, metric["event"], "log_harm"),
            log_safe=_logs(judged, metric["event"], "log_safe"),
        )
        for metric in judged[-1].facts["metrics"]
        for champion in [_arm("champion", "champion", metric)]
    ]


def _arm(name: str, key: str, metric: Mapping[str, Any]) -> ArmRow:
    subjects, events = int(metric[f"{key}_subjects"]), int(metric[f"{key}_events"])
    if metric["event"] == "absolute_error":
        return ArmRow(name, subjects, None, metric[f"{key}_mean"])
    return ArmRow(name, subjects, events, events / subjects if subjects else None)


def _logs(judged: "Sequence[AnalysisLine]", event: str, name: str) -> list[float]:
    """0, no evidence at all, where the metric was not judged yet."""
    return [
        next((float(m[name]) for m in one.facts["metrics"] if m["event"] == event), 0.0)
        for one in judged
    ]
