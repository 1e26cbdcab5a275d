"""A version's probation: count, judge, act, one analysis at a time; and how it ends.

Import it inside functions: it loads SQLAlchemy.
"""

import logging
import math
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.adapters.sql import canary, plans, versions
from tenure.adapters.sql.plans import PlanRow
from tenure.config import ModelConfig, load_model
from tenure.errors import CanaryRolledBack, NotPermitted, StateConflict
from tenure.installation import Installation
from tenure.layout import DECOMMISSION_MODEL, dag_id, day_folders, keys_from_hour, log_prefix
from tenure.lifecycle.promotion.canary import ArmDecisions, CanaryAction, CanaryJudgement, judge
from tenure.lifecycle.promotion.canary_groups import GroupsCounted, GroupsJudgement
from tenure.lifecycle.promotion.canary_sentence import verdict_sentence
from tenure.lifecycle.promotion.event_rates import ShareCounts
from tenure.lifecycle.promotion.means import ShareLosses
from tenure.usecases.decisions.segments import live_keys
from tenure.usecases.promotion import traffic
from tenure.usecases.promotion.rollback import settle_stops
from tenure.verdicts import Report, Verdict
from tenure.vocabulary import Role, RunRef, State, VersionRef, op_key

if TYPE_CHECKING:
    from tenure.adapters.ibis_engine import IbisEngine

_log = logging.getLogger("tenure.canary")
_CLOCKS_DIFFER = timedelta(hours=1)
"""A gateway's clock may be behind the database's, or ahead of it."""


@dataclass(frozen=True)
class CanaryStart:
    """What a promotion found to do: a probation to watch, or nothing more, and why."""

    probation: "Probation | None"
    summary: str


@dataclass(frozen=True)
class CanaryFindings:
    """What one analysis found in the log: events, losses of a regression, and what counts for none.

    `decisions` is None before the canary's first plan.
    """

    counts: list[ShareCounts] = field(default_factory=list)
    losses: list[ShareLosses] = field(default_factory=list)
    decisions: ArmDecisions | None = None
    groups: GroupsCounted | None = None


@dataclass
class Probation:
    """One controller's hold on one canary; it ends when anybody else writes a plan.

    Args:
        platform: The installation.
        config: The model's config.
        version: The version on probation.
        plan: The plan that this controller published last.
        run: The task that controls it.
    """

    platform: Installation
    config: ModelConfig
    version: VersionRef
    plan: PlanRow
    run: RunRef
    fetched: dict[str, Path] = field(default_factory=dict)
    """Segments never change, so each is fetched once."""

    @property
    def actor(self) -> str:
        """How plans and the ledger name this controller."""
        return self.run.dag_id

    @cached_property
    def engine(self) -> "IbisEngine":
        """The scanner, opened once for all analyses."""
        from tenure.adapters.ibis_engine import IbisEngine

        return IbisEngine()

    def analyse(self) -> CanaryJudgement:
        """Count, judge, store, act: afterwards the plan in force is what was judged.

        Raises:
            CanaryRolledBack: A person took the version out of traffic meanwhile, or stopped it at
                a gateway.
            StateConflict: Another controller took over.
            NotPermitted: Its authorization has ended: it gets nothing, so nothing can be judged.
        """
        found = self._count()
        with self.platform.database.begin() as connection:
            in_budget = canary.analyses_in_budget(connection, self.version.id) + 1
            made = canary.analyses_made(connection, self.version.id) + 1
        share = self.plan.share_bp
        judgement = judge(
            self.config.canary,
            found.counts,
            found.losses,
            share_bp=share,
            analyses=in_budget,
            groups=found.groups,
        )
        sentence = verdict_sentence(judgement, analyses=made)
        facts = analysis_facts(judgement, found) | {"sentence": sentence, "analyses": made}
        evidence = self._save(judgement, facts) if _is_reported(judgement) else ""
        settle_stops(self.platform, self.version.id)  # before maintenance does: it may be promoted
        with traffic.turn(self.platform, self.version.id, actor=self.actor) as mine:
            self._still_mine(mine)
            traffic.require_authorization(mine)
            number = canary.add(
                mine.connection,
                version_id=self.version.id,
                generation=self.plan.generation,
                share_bp=share,
                verdict=judgement.verdict,
                action=judgement.action,
                facts=facts | {"report": evidence},
                at=self.platform.clock.now(),
            )
            self.plan = self._act(mine, judgement, sentence, evidence)
        _log.info(
            "analysis=%s model=%s share=%.0f%% action=%s generation=%s | %s | %s",
            number,
            self.version.name,
            share / 100,
            judgement.action,
            self.plan.generation,
            sentence,
            judgement.explanation,
        )
        return judgement

    def _act(
        self, mine: traffic.Turn, judgement: CanaryJudgement, sentence: str, evidence: str
    ) -> PlanRow:
        match judgement.action:
            case CanaryAction.PROMOTE:
                return traffic.promote(mine, self.plan, evidence=evidence)
            case CanaryAction.ROLL_BACK:
                return traffic.roll_back_canary(mine, reason=sentence, evidence=evidence)
            case CanaryAction.HOLD:
                return self.plan  # not renewed: the lease ends and the champion serves 100%
            case CanaryAction.ADVANCE:
                self._note_advance(mine, judgement)
        return traffic.publish_canary(
            mine,
            self.plan,
            share_bp=judgement.next_share_bp,
            lease_seconds=self.config.canary.lease_seconds,
            reason=f"{judgement.action} {self.version.name}",
        )

    def _note_advance(self, mine: traffic.Turn, judgement: CanaryJudgement) -> None:
        self.platform.ledger.note(
            mine.connection,
            subject=f"canary:{self.version.id}",
            actor=self.actor,
            body={"version": self.version.name, "share_bp": judgement.next_share_bp},
            op_key=op_key(
                "canary.advance", f"mv:{self.version.id}", {"share_bp": judgement.next_share_bp}
            ),
        )

    def _still_mine(self, mine: traffic.Turn) -> None:
        if mine.version.state is State.ROLLED_BACK:
            raise rolled_back(self.platform, mine.version)
        found = mine.plan
        if found is None or (found.canary_id, found.fence) != (self.version.id, self.plan.fence):
            raise StateConflict(
                f"Another controller took over canary {self.version.name}: the plan in force is "
                f"generation {found.generation if found else 0}, fence "
                f"{found.fence if found else 0}; this one held generation "
                f"{self.plan.generation}, fence {self.plan.fence}.",
                still_safe="The other controller's plan is in force; this one wrote nothing.",
                next_step="Nothing, if another try of this task runs. Otherwise clear this task.",
            )
        self.plan = found  # an authorization was renewed meanwhile: the same plan, later ends

    def _count(self) -> CanaryFindings:
        from tenure.adapters.ibis_engine.arms import (
            CanaryWindow,
            arm_counts,
            arm_decisions,
            arm_losses,
        )

        with self.platform.database.begin() as connection:
            start = canary.began(connection, self.version.model, self.version.id)
            if start is None:
                return CanaryFindings()
            watermark = canary.watermark(connection, self.version.model)
            ended = plans.ended_since(
                connection,
                self.version.model,
                start.generation,
                now=self.platform.clock.now(),
            )
        horizon, task = self.config.label.horizon_hours, self.config.task
        attributes = dict.fromkeys(self.config.bias.attributes, ()) | self.config.bias.edges
        window = CanaryWindow(start.generation, horizon, watermark, ended, task, attributes)
        decisions, outcomes = (self._segments(kind, start.at) for kind in ("decisions", "outcomes"))
        of_regression = task == "regression"
        counted, groups = arm_counts(self.engine, decisions, outcomes, window)
        return CanaryFindings(
            counted,
            arm_losses(self.engine, decisions, outcomes, window) if of_regression else [],
            arm_decisions(self.engine, decisions, outcomes, window),
            groups,
        )

    def _segments(self, kind: str, since: datetime) -> list[Path]:
        """Files of the hours since the canary began; only these days are listed.

        Folders are named by the gateways' clocks. What is of before the canary is not counted:
        its plan is an earlier one.
        """
        first, last = since - _CLOCKS_DIFFER, self.platform.clock.now() + _CLOCKS_DIFFER
        prefixes = [log_prefix(kind, self.version.model, day) for day in day_folders(first, last)]
        found = (key for prefix in prefixes for key in live_keys(self.platform.store, prefix))
        keys = keys_from_hour(found, first)
        for key in keys:
            if key not in self.fetched:
                self.fetched[key] = self.platform.store.fetch(key)
        return [self.fetched[key] for key in keys]

    def _save(self, judgement: CanaryJudgement, facts: dict[str, object]) -> str:
        report = Report(
            stage="canary",
            subject=self.version.name,
            verdict=judgement.verdict,
            summary=str(facts["sentence"]),
            checks=judgement.checks(),
            facts=facts | {"generation": self.plan.generation},
            enforced=True,
        )
        return self.platform.reports.save(
            report, model=self.version.model, dataset=None, run=self.run
        )


def enter(platform: Installation, version: VersionRef, run: RunRef) -> CanaryStart:
    """Begin what the version's state asks for: first champion, probation, or nothing more.

    Raises:
        CanaryRolledBack: The probation ended that way before; it is said again.
        StateConflict: Another version of the model is in canary.
    """
    config, _ = load_model(platform.settings.include, version.model)
    with platform.database.begin() as connection:
        now = versions.get_by_id(connection, version.id)
        live = plans.newest(connection, version.model)
        last = canary.last_action(connection, version.id)
    if now.state is State.ROLLED_BACK and last != CanaryAction.PROMOTE:
        raise rolled_back(platform, now)
    if now.state not in {State.APPROVED, State.CANARY}:
        return CanaryStart(None, f"{now.name} is {now.state}: nothing to do")
    if live is None:
        plan = traffic.promote_first(platform, now.id, actor=run.dag_id)
        return CanaryStart(None, f"{now.name} is the first champion, plan {plan.generation}")
    plan = traffic.start_canary(platform, now.id, config.canary, actor=run.dag_id)
    return CanaryStart(
        Probation(platform, config, now, plan, run),
        f"{now.name} has {plan.share_bp / 100:g}% of the traffic, plan {plan.generation}, "
        f"fence {plan.fence}, lease {plan.lease_seconds} s",
    )


def resume(platform: Installation, version_id: int, fence: int, run: RunRef) -> Probation:
    """Continue after a pause, if nobody took over meanwhile.

    Raises:
        CanaryRolledBack: A person took the version out of traffic meanwhile.
        StateConflict: The plan in force has another fence.
    """
    with platform.database.begin() as connection:
        version = versions.get_by_id(connection, version_id)
        plan = plans.newest(connection, version.model)
    if version.state is State.ROLLED_BACK:
        raise rolled_back(platform, version)
    if plan is None or plan.fence != fence or plan.canary_id != version_id:
        raise StateConflict(
            f"Another controller took over canary {version.name}: this one held fence {fence}, "
            f"the plan in force has fence {plan.fence if plan else 0}.",
            still_safe="The other controller's plan is in force.",
            next_step="Nothing, if another try of this task runs. Otherwise clear this task.",
        )
    config, _ = load_model(platform.settings.include, version.model)
    return Probation(platform, config, version, plan, run)


def rolled_back(platform: Installation, version: VersionRef) -> CanaryRolledBack:
    """The error that says calmly that a canary lost its traffic."""
    with platform.database.begin() as connection:
        event = canary.rollback_of(connection, version.id)
        plan = plans.newest(connection, version.model)
        champion = versions.get_by_id(connection, plan.champion_id).name if plan else "none"
    actor, reason = (event.actor, event.reason) if event else ("?", None)
    return CanaryRolledBack(
        "Safe: champion serves 100%; nothing is urgent. "
        f"{version.name} was rolled back by {actor}: {reason or 'no reason'}.",
        still_safe=f"{champion} serves 100%, plan generation {plan.generation if plan else 0}.",
        next_step="In working hours, look at the report. The version cannot serve again: retrain, "
        f"or retire it with {dag_id(version.model, DECOMMISSION_MODEL)}.",
        evidence=event.evidence if event else None,
    )


def prolong(platform: Installation, version_id: int, *, user: str) -> None:
    """A person gives a held canary another `max_analyses`.

    Raises:
        NotPermitted: The person is not an operator.
    """
    _require_operator(platform, user)
    with traffic.turn(platform, version_id, actor=user) as mine:
        plan = mine.plan
        if mine.version.state is not State.CANARY or plan is None:
            return
        canary.add(
            mine.connection,
            version_id=version_id,
            generation=plan.generation,
            share_bp=plan.share_bp,
            verdict=Verdict.INCONCLUSIVE,
            action=canary.PROLONGED,
            facts={"user": user},
            at=platform.clock.now(),
        )


def give_up(platform: Installation, version_id: int, *, user: str) -> None:
    """A person ends a held canary; a canary that has ended already stays as it is.

    Raises:
        NotPermitted: The person is not an operator.
    """
    _require_operator(platform, user)
    with traffic.turn(platform, version_id, actor=user) as mine:
        if mine.version.state is State.CANARY:
            traffic.roll_back_canary(mine, reason="no verdict; a person ended the canary")


def _require_operator(platform: Installation, user: str) -> None:
    if not platform.config.allows(user, Role.OPERATOR):
        raise NotPermitted(
            f"{user} is not an operator and may not decide about a held canary.",
            still_safe="The canary's lease has ended; the champion serves 100%.",
            next_step="Clear this task and let an operator answer; roles stand in "
            "include/configs/platform.yaml.",
        )


def _is_reported(judgement: CanaryJudgement) -> bool:
    return judgement.is_final or judgement.action is CanaryAction.HOLD


def analysis_facts(judgement: CanaryJudgement, found: CanaryFindings) -> dict[str, object]:
    """Every number behind the judgement; an e-value that overflows stays a logarithm."""
    metrics = [
        asdict(m)
        | {"verdict": str(m.verdict)}
        | {f"e_{k}": _e_value(getattr(m, f"log_{k}")) for k in ("harm", "safe")}
        for m in judgement.metrics
    ]
    split = judgement.split
    return {
        "action": str(judgement.action),
        "explanation": judgement.explanation,
        "share_bp": judgement.share_bp,
        "step_subjects": judgement.step_subjects,
        "harm_threshold": judgement.harm_threshold,
        "safe_threshold": judgement.safe_threshold,
        "metrics": metrics,
        "split": asdict(split) | {"wrong": split.wrong} if split else None,
        "counts": [asdict(row) for row in found.counts],
        "losses": [asdict(row) for row in found.losses],
        "decisions": asdict(found.decisions) if found.decisions else None,
        "groups": _group_facts(judgement.groups) if judgement.groups else None,
    }


def _group_facts(groups: GroupsJudgement) -> dict[str, object]:
    rows = [asdict(one) | {"verdict": str(one.verdict)} for one in groups.groups]
    said = {"threshold": groups.policy.threshold, "rows": rows, "unseen": dict(groups.unseen)}
    return groups.policy.model_dump() | said


def _e_value(log_value: float) -> float | None:
    return math.exp(log_value) if log_value < 700 else None
