"""Harm to a group: what stops a canary although everybody together is served better.

Of each group of a protected attribute the wrong labels are compared as those of everybody, by the
same e-process, but against the null that the challenger has at most `margin` times the champion's
rate *in this group*. With 1 as the null, a retrained model that is a little worse for one of
sixteen carriers would be found out in time, and so rolled back, however much better it is for the
others. Up to the margin the process exceeds 1/a ever with probability at most a, at any number of
analyses. The groups divide `alpha` among themselves, and a group is harmed where its own process
exceeds its part (Bonferroni), so that a canary whose every group is within the margin is rolled
back for a group with probability at most `alpha`.

A subject belongs to the group of its first decision in the canary, so each subject is in one group
of each attribute, `missing` is one, and the sums over the groups of an attribute are those of
everybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import Field

from tenure.lifecycle.policy import Policy
from tenure.lifecycle.promotion.event_rates import (
    HARM_GRID,
    ShareCounts,
    e_words,
    log_e_value,
    rate_ratio,
    reaches,
)
from tenure.lifecycle.promotion.split import judge_split
from tenure.verdicts import Check, Severity, Verdict

EVENT = "wrong_label"
"""What is compared within groups."""


class CanaryGroupPolicy(Policy):
    """When harm to one group of a protected attribute stops a canary; of wrong labels alone."""

    margin: float = Field(default=1.5, gt=1.0, le=10.0)
    """Ratio of the rates of wrong labels in a group, challenger to champion, that is still
    acceptable there."""
    alpha: float = Field(default=0.01, gt=0.0, lt=0.5)
    """Bound on ever rolling back for a group while every group is within the margin, for all groups
    of all attributes together; it comes on top of the canary's own alpha."""
    most_groups: int = Field(default=40, ge=1)
    """Groups that are judged, in the order in which they were first seen; alpha is divided by this
    number. Others count as too small."""
    min_subjects: int = Field(default=50, ge=1)
    """Subjects of the challenger with a final label below which a group is too small to pass; harm
    counts at any size."""
    small_groups: Literal["hold", "report"] = "hold"
    """What a group that is too small does: nothing is promoted, and after max_analyses a person is
    asked; or it stands in the report and the rest decides."""

    @property
    def threshold(self) -> float:
        """From which e-value on a group is harmed."""
        return self.most_groups / self.alpha


@dataclass(frozen=True)
class GroupCounts:
    """What was counted for one group, a row a share.

    Args:
        attribute: Protected attribute.
        value: Its value, or band; None where it is missing.
        first_at: When the group was first seen in the canary.
        shares: Wrong labels, as in `ShareCounts`.
    """

    attribute: str
    value: str | None
    first_at: datetime
    shares: tuple[ShareCounts, ...]
    asked: tuple[tuple[int, int, int], ...] = ()
    """Of each share: the share, all subjects of the canary, all of the champion."""

    @property
    def name(self) -> str:
        """`carrier EV`, `carrier missing`."""
        return f"{self.attribute} {'missing' if self.value is None else self.value}"


@dataclass(frozen=True)
class GroupsCounted:
    """All groups of a canary, and for which attributes there are none, with the reason."""

    groups: tuple[GroupCounts, ...] = ()
    unseen: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupJudgement:
    """One group in one analysis; `unjudged` says why it is not, and is empty where it is."""

    name: str
    attribute: str
    canary_subjects: int
    canary_events: int
    champion_subjects: int
    champion_events: int
    rate_ratio: float | None
    log_harm: float
    harmful: bool
    is_small: bool
    unjudged: str

    @property
    def verdict(self) -> Verdict:
        """Too small never passes."""
        if self.harmful:
            return Verdict.FAILED
        return Verdict.INCONCLUSIVE if self.is_small else Verdict.PASSED


@dataclass(frozen=True)
class GroupsJudgement:
    """All groups in one analysis, the most harmed first.

    Args:
        policy: By which they were judged.
        groups: Each of them.
        unseen: Attributes that no group could be made of, each with the reason.
    """

    policy: CanaryGroupPolicy
    groups: tuple[GroupJudgement, ...]
    unseen: Mapping[str, str]

    @property
    def harmed(self) -> tuple[GroupJudgement, ...]:
        """Groups for which the challenger is surely worse than the margin."""
        return tuple(one for one in self.groups if one.harmful)

    @property
    def holding(self) -> tuple[GroupJudgement, ...]:
        """Groups that keep it from being promoted, because they are too small to pass."""
        if self.policy.small_groups == "report":
            return ()
        return tuple(one for one in self.groups if one.is_small)

    def checks(self) -> tuple[Check, ...]:
        """For a report: the groups, then the attributes that cannot be judged."""
        allowed = f"at most {self.policy.margin:g} times the champion's rate in the group"
        decides = self.policy.small_groups == "hold"
        return tuple(
            Check(
                rule="wrong_label of a group",
                verdict=one.verdict,
                observed=_observed(one, self.policy),
                allowed=allowed,
                subject=one.name,
                severity=Severity.CRITICAL if decides or not one.is_small else Severity.INFO,
                value=one.rate_ratio,
                limit=self.policy.margin,
            )
            for one in self.groups
        ) + tuple(
            Check(
                rule="wrong_label of a group",
                verdict=Verdict.INCONCLUSIVE,
                observed=f"not judged: {why}",
                allowed=allowed,
                subject=attribute,
                severity=Severity.INFO,
            )
            for attribute, why in self.unseen.items()
        )


def judge_groups(policy: CanaryGroupPolicy, counted: GroupsCounted) -> GroupsJudgement:
    """Compare the arms within each group.

    Args:
        policy: Margin, alpha and sizes.
        counted: Everything counted since the canary began.
    """
    in_order = sorted(counted.groups, key=lambda one: (one.first_at, one.name))
    found = [
        _judge(policy, one, unjudged=_unjudged(policy, one, place))
        for place, one in enumerate(in_order)
    ]
    found.sort(key=lambda one: (-one.log_harm, one.name))
    return GroupsJudgement(policy, tuple(found), dict(counted.unseen))


def _unjudged(policy: CanaryGroupPolicy, one: GroupCounts, place: int) -> str:
    """A group whose split is wrong has an attribute that the arms do not log alike."""
    if place >= policy.most_groups:
        return f"not among the first {policy.most_groups} groups"
    split = judge_split(one.asked, shares=len(one.asked) * policy.most_groups)
    if split is not None and split.wrong:
        return f"its traffic is not split as planned: {split.describe()}"
    return ""


def _judge(policy: CanaryGroupPolicy, one: GroupCounts, *, unjudged: str) -> GroupJudgement:
    log_harm = log_e_value(one.shares, null=policy.margin, grid=policy.margin * HARM_GRID)
    subjects = sum(row.canary_subjects for row in one.shares)
    return GroupJudgement(
        name=one.name,
        attribute=one.attribute,
        canary_subjects=subjects,
        canary_events=sum(row.canary_events for row in one.shares),
        champion_subjects=sum(row.champion_subjects for row in one.shares),
        champion_events=sum(row.champion_events for row in one.shares),
        rate_ratio=rate_ratio(one.shares),
        log_harm=log_harm,
        harmful=not unjudged and reaches(log_harm, policy.threshold),
        is_small=bool(unjudged) or subjects < policy.min_subjects,
        unjudged=unjudged,
    )


def small_words(groups: Sequence[GroupJudgement], policy: CanaryGroupPolicy) -> str:
    """`carrier HA (3 of 50 subjects of the challenger) and 2 more`."""
    first = groups[0]
    more = f" and {len(groups) - 1} more" if len(groups) > 1 else ""
    return f"{first.name} ({_size(first, policy)}){more}"


def _observed(one: GroupJudgement, policy: CanaryGroupPolicy) -> str:
    ratio = "" if one.rate_ratio is None else f"{one.rate_ratio:.2f} times the champion's: "
    small = f"; too small to pass: {_size(one, policy)}" if one.is_small else ""
    return (
        f"{ratio}canary {one.canary_events}/{one.canary_subjects}, champion "
        f"{one.champion_events}/{one.champion_subjects}, E {e_words(one.log_harm)} of "
        f"{policy.threshold:,.6g}{small}"
    )


def _size(one: GroupJudgement, policy: CanaryGroupPolicy) -> str:
    if one.unjudged:
        return one.unjudged
    return f"{one.canary_subjects} of {policy.min_subjects} subjects of the challenger"
