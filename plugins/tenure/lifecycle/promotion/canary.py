"""Probation with live traffic: when the challenger does harm, when it is safe, when to wait.

Events are compared as a ratio of rates, challenger to champion (`event_rates`): of everybody, and
wrong labels within each protected group as well (`canary_groups`).

Answers of a regression have no such event; their losses are compared as means (`means`). Where the
traffic was not split as the plan says (`split`), neither arm tells anything, and the judging stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field, model_validator

from tenure.lifecycle.policy import Policy
from tenure.lifecycle.promotion import means
from tenure.lifecycle.promotion.canary_groups import (
    CanaryGroupPolicy,
    GroupsCounted,
    GroupsJudgement,
    judge_groups,
    small_words,
)
from tenure.lifecycle.promotion.event_rates import (
    HARM_GRID,
    SAFE_FACTORS,
    Event,
    ShareCounts,
    e_words,
    log_e_value,
    rate_ratio,
    reaches,
)
from tenure.lifecycle.promotion.means import ShareLosses
from tenure.lifecycle.promotion.split import ArmSplit, judge_split
from tenure.verdicts import Check, Severity, Verdict
from tenure.vocabulary import BASIS_POINTS


class CanaryMetric(Policy):
    """One kind of event that is counted once a subject, or what a subject's answer was off by.

    `error` is any answer that the model itself did not give: error, timeout, fallback.
    """

    event: Event
    """`error`: an error, a timeout or a fallback; `wrong_label`: the outcome says otherwise;
    `absolute_error`: how far the outcome is from the answer of a regression."""
    margin: float = Field(gt=1.0, le=10.0)
    """Ratio of event rates (or mean absolute errors), challenger to champion, that is still
    acceptable."""
    min_subjects: int = Field(default=200, ge=1)
    """Subjects of the challenger below which it is not called safe; harm always counts."""
    required: bool = True
    """Whether the challenger must be shown safe on it; harm always counts."""


class CanaryPolicy(Policy):
    """Shares, pace and judgement of a canary. Shares in basis points, ending at 10000.

    At 10000 there is no champion left to compare with, so that step is not observed: reaching it
    *is* the promotion, and it needs every required metric judged safe at the shares before it.
    """

    shares_bp: tuple[int, ...] = (500, 2500, 5000, 10_000)
    """Shares of traffic, in basis points, one after the other; the last is 10000."""
    metrics: tuple[CanaryMetric, ...] = Field(min_length=1)
    """What the challenger is judged by."""
    alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    """Bound on ever judging wrongly, for harm and for safe each, over the whole canary."""
    analysis_seconds: int = Field(default=60, ge=1)
    """Time between two analyses."""
    min_step_subjects: int = Field(default=200, ge=1)
    """Subjects of the challenger at a share before the next larger share."""
    lease_seconds: int = Field(default=180, ge=5)
    """Without a new analysis for this long, gateways give all traffic to the champion."""
    max_analyses: int = Field(default=500, ge=1)
    """Analyses without a verdict after which the canary holds and asks a person."""
    groups: CanaryGroupPolicy | None = Field(default_factory=CanaryGroupPolicy)
    """Harm to one group of the attributes in `bias`; null: groups are not judged."""

    @model_validator(mode="after")
    def _ramp(self) -> "CanaryPolicy":
        ramp = list(self.shares_bp)
        if not ramp or ramp[-1] != BASIS_POINTS or ramp != sorted(set(ramp)) or ramp[0] < 1:
            raise ValueError("shares_bp must rise from at least 1 to 10000 basis points")
        if len(ramp) == 1:
            raise ValueError("shares_bp needs a share below 10000, where both arms have traffic")
        if self.lease_seconds <= self.analysis_seconds:
            raise ValueError("lease_seconds must be longer than analysis_seconds")
        return self

    @model_validator(mode="after")
    def _metrics_judge(self) -> "CanaryPolicy":
        events = [metric.event for metric in self.metrics]
        if len(set(events)) != len(events):
            raise ValueError("metrics: name each event once")
        if not any(metric.required for metric in self.metrics):
            raise ValueError("metrics: at least one must be required, or nothing proves safety")
        return self

    @property
    def observed_shares(self) -> tuple[int, ...]:
        """The shares at which both arms have traffic, in basis points."""
        return self.shares_bp[:-1]


@dataclass(frozen=True)
class ArmDecisions:
    """Where each decision is that the canary's analysis read; the parts close with the sum.

    Args:
        read: All of the files at hand, of the hours since the canary began.
        counted: Of one arm, while both had traffic.
        of_earlier_plans: From before the canary's first plan.
        after_an_end: Made when the authorization of an arm had ended.
        without_share: Asked for one version by number, or made when the lease had ended.
        of_no_arm: Assigned to neither arm.
        copies: Shipped a second time.
        with_final_label: Of those that count.
        without_final_label: Of those that count: no outcome yet, or one that may still change.
        answered_by_another: Of those that count: the arm failed, so champion, rule or review
            answered. An `error` of the arm that was assigned.
    """

    read: int = 0
    counted: int = 0
    of_earlier_plans: int = 0
    after_an_end: int = 0
    without_share: int = 0
    of_no_arm: int = 0
    copies: int = 0
    with_final_label: int = 0
    without_final_label: int = 0
    answered_by_another: int = 0


class CanaryAction(StrEnum):
    """What the controller does after an analysis."""

    WAIT = "wait"
    ADVANCE = "advance"
    HOLD = "hold"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True)
class MetricJudgement:
    """One metric in one analysis. E-values count for `harm` or `safe` from their thresholds on.

    `rate_ratio` is the challenger's rate (or mean) over the champion's, compared within each share;
    the sums over all shares mix days on which the arms had different weights. None without events.
    The means are of `absolute_error` alone, over all shares, in the unit of the label; it has no
    events.
    """

    event: Event
    margin: float
    required: bool
    canary_subjects: int
    canary_events: int
    champion_subjects: int
    champion_events: int
    rate_ratio: float | None
    log_harm: float
    log_safe: float
    harmful: bool
    safe: bool
    canary_mean: float | None = None
    champion_mean: float | None = None

    @property
    def verdict(self) -> Verdict:
        """Harm fails it, safety passes it."""
        if self.harmful:
            return Verdict.FAILED
        return Verdict.PASSED if self.safe else Verdict.INCONCLUSIVE

    def describe(self) -> str:
        """The numbers in one clause."""
        ratio = f" {self.rate_ratio:.2f} times the champion's:" if self.rate_ratio else ""
        if self.event == "absolute_error":
            canary = _mean(self.canary_mean, self.canary_subjects)
            champion = _mean(self.champion_mean, self.champion_subjects)
        else:
            canary = _rate(self.canary_events, self.canary_subjects)
            champion = _rate(self.champion_events, self.champion_subjects)
        return (
            f"{self.event}{ratio} canary {canary}, champion {champion}, "
            f"E(harm) {e_words(self.log_harm)}, E(safe) {e_words(self.log_safe)}"
        )


@dataclass(frozen=True)
class CanaryJudgement:
    """One analysis: what to do, why, and every number behind it.

    `step_subjects` are the challenger's subjects at the present share. `split` is that of the share
    where it is most in doubt, None before the first subject.
    """

    action: CanaryAction
    verdict: Verdict
    explanation: str
    share_bp: int
    next_share_bp: int
    step_subjects: int
    metrics: tuple[MetricJudgement, ...]
    harm_threshold: float
    safe_threshold: float
    split: ArmSplit | None = None
    groups: GroupsJudgement | None = None

    @property
    def is_final(self) -> bool:
        """Whether the probation ends with it."""
        return self.action in {CanaryAction.PROMOTE, CanaryAction.ROLL_BACK}

    def checks(self) -> tuple[Check, ...]:
        """The metrics for a report, harmful ones first."""
        order = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}
        rows = sorted(self.metrics, key=lambda m: order[m.verdict])
        of_groups = self.groups.checks() if self.groups else ()
        of_metrics = tuple(
            Check(
                rule=m.event,
                verdict=m.verdict,
                observed=m.describe(),
                allowed=f"at most {m.margin:g} times the champion's "
                + ("mean" if m.event == "absolute_error" else "rate")
                + ("" if m.required else " (not required)"),
                severity=Severity.CRITICAL if m.required else Severity.INFO,
                value=m.rate_ratio,
                limit=m.margin,
            )
            for m in rows
        )
        return self._of_split() + of_metrics + of_groups

    def _of_split(self) -> tuple[Check, ...]:
        if self.split is None:
            return ()
        split = self.split
        check = Check(
            rule="sample_ratio",
            verdict=Verdict.FAILED if split.wrong else Verdict.PASSED,
            observed=f"{split.describe()}, E {e_words(split.log_e)}",
            allowed="the share of the plan, but for chance",
            severity=Severity.CRITICAL,
            value=split.canary_subjects / (split.canary_subjects + split.champion_subjects),
            limit=split.share_bp / BASIS_POINTS,
        )
        return (check,)


def judge(
    policy: CanaryPolicy,
    counts: Sequence[ShareCounts],
    losses: Sequence[ShareLosses] = (),
    *,
    share_bp: int,
    analyses: int,
    groups: GroupsCounted | None = None,
) -> CanaryJudgement:
    """Decide what to do at this share.

    Args:
        policy: Shares, margins and bounds.
        counts: Everything counted since the canary began, one row an event and share.
        losses: Absolute errors since then, one row a share; empty of a binary model.
        share_bp: The present share, one of `policy.observed_shares`.
        analyses: Analyses since the canary began or a person prolonged it, with this one.
        groups: Wrong labels by protected group since the canary began; None: not counted.

    Returns:
        A wrong split holds: nothing that was counted can be believed. Harm to everybody or to one
        group rolls back at any time. Promotion needs every required metric safe at the last
        observed share, and no group that is too small to pass. Too little traffic waits; it never
        advances.
    """
    # Harm on any metric ends the canary, so they share alpha; safety needs them all, so each
    # may use the whole of it.
    harm_threshold = len(policy.metrics) / policy.alpha
    safe_threshold = 1 / policy.alpha
    metrics = tuple(
        _judge_losses(m, losses, harm_threshold, safe_threshold)
        if m.event == "absolute_error"
        else _judge_metric(m, counts, harm_threshold, safe_threshold)
        for m in policy.metrics
    )
    step = _step_subjects(counts, share_bp)
    split = _split(policy, counts)
    of_groups = judge_groups(policy.groups, groups) if policy.groups and groups else None
    if split is not None and split.wrong:
        action, why = CanaryAction.HOLD, f"the traffic is not split as planned: {split.describe()}"
    else:
        action, why = _decide(
            policy, metrics, of_groups, share_bp=share_bp, step=step, analyses=analyses
        )
    verdicts = {CanaryAction.ROLL_BACK: Verdict.FAILED, CanaryAction.PROMOTE: Verdict.PASSED}
    return CanaryJudgement(
        action=action,
        verdict=verdicts.get(action, Verdict.INCONCLUSIVE),
        explanation=f"{why}: " + "; ".join(m.describe() for m in metrics),
        share_bp=share_bp,
        next_share_bp=_next_share(policy, share_bp) if action is CanaryAction.ADVANCE else share_bp,
        step_subjects=step,
        metrics=metrics,
        harm_threshold=harm_threshold,
        safe_threshold=safe_threshold,
        split=split,
        groups=of_groups,
    )


def _split(policy: CanaryPolicy, counts: Sequence[ShareCounts]) -> ArmSplit | None:
    """Of all subjects: `error` counts every decision, while labels may come late for one arm."""
    asked = [
        (row.share_bp, row.canary_subjects, row.champion_subjects)
        for row in counts
        if row.event == "error" and 0 < row.share_bp < BASIS_POINTS
    ]
    return judge_split(asked, shares=max(len(policy.observed_shares), len(asked)))


def _judge_metric(
    metric: CanaryMetric,
    counts: Sequence[ShareCounts],
    harm_threshold: float,
    safe_threshold: float,
) -> MetricJudgement:
    rows = [row for row in counts if row.event == metric.event]
    log_harm = log_e_value(rows, null=1.0, grid=HARM_GRID)
    log_safe = log_e_value(rows, null=metric.margin, grid=metric.margin * SAFE_FACTORS)
    subjects = sum(row.canary_subjects for row in rows)
    return MetricJudgement(
        event=metric.event,
        margin=metric.margin,
        required=metric.required,
        canary_subjects=subjects,
        canary_events=sum(row.canary_events for row in rows),
        champion_subjects=sum(row.champion_subjects for row in rows),
        champion_events=sum(row.champion_events for row in rows),
        rate_ratio=rate_ratio(rows),
        log_harm=log_harm,
        log_safe=log_safe,
        harmful=reaches(log_harm, harm_threshold),
        safe=reaches(log_safe, safe_threshold) and subjects >= metric.min_subjects,
    )


def _judge_losses(
    metric: CanaryMetric,
    losses: Sequence[ShareLosses],
    harm_threshold: float,
    safe_threshold: float,
) -> MetricJudgement:
    harm = means.log_harm(losses, margin=metric.margin)
    safe = means.log_safe(losses, margin=metric.margin)
    canary = sum((row.canary for row in losses), means.ArmLoss())
    champion = sum((row.champion for row in losses), means.ArmLoss())
    return MetricJudgement(
        event=metric.event,
        margin=metric.margin,
        required=metric.required,
        canary_subjects=canary.subjects,
        canary_events=0,
        champion_subjects=champion.subjects,
        champion_events=0,
        rate_ratio=means.loss_ratio(losses),
        log_harm=harm,
        log_safe=safe,
        harmful=reaches(harm, harm_threshold),
        safe=reaches(safe, safe_threshold) and canary.subjects >= metric.min_subjects,
        canary_mean=canary.mean,
        champion_mean=champion.mean,
    )


def _decide(
    policy: CanaryPolicy,
    metrics: Sequence[MetricJudgement],
    groups: GroupsJudgement | None,
    *,
    share_bp: int,
    step: int,
    analyses: int,
) -> tuple[CanaryAction, str]:
    harmful: list[str] = [m.event for m in metrics if m.harmful]
    harmful += [f"wrong_label of {one.name}" for one in groups.harmed] if groups else []
    if harmful:
        return CanaryAction.ROLL_BACK, f"harm on {' and '.join(harmful)}"
    enough = step >= policy.min_step_subjects
    last = share_bp >= policy.observed_shares[-1]
    open_ = _open(metrics, groups)
    if enough and last and not open_:
        return CanaryAction.PROMOTE, "safe on every required metric at the last observed share"
    if analyses >= policy.max_analyses:
        return CanaryAction.HOLD, f"no verdict after {analyses} analyses"
    if not enough:
        return (
            CanaryAction.WAIT,
            f"{step} of {policy.min_step_subjects} canary subjects at this share",
        )
    if not last:
        return CanaryAction.ADVANCE, f"{step} canary subjects at this share and no harm"
    return CanaryAction.WAIT, "; ".join(open_)


def _open(metrics: Sequence[MetricJudgement], groups: GroupsJudgement | None) -> list[str]:
    """What keeps it from being promoted at the last observed share."""
    unsafe = [m.event for m in metrics if m.required and not m.safe]
    found = [f"not yet safe on {' and '.join(unsafe)}"] if unsafe else []
    if groups and groups.holding:
        found.append(f"too small to pass: {small_words(groups.holding, groups.policy)}")
    return found


def _step_subjects(counts: Sequence[ShareCounts], share_bp: int) -> int:
    return max((r.canary_subjects for r in counts if r.share_bp == share_bp), default=0)


def _next_share(policy: CanaryPolicy, share_bp: int) -> int:
    return next(share for share in policy.observed_shares if share > share_bp)


def _rate(events: int, subjects: int) -> str:
    return f"{events}/{subjects} ({events / subjects:.1%})" if subjects else "0/0"


def _mean(mean: float | None, subjects: int) -> str:
    return f"{mean:.4g} of {subjects}" if mean is not None else "none of 0"
