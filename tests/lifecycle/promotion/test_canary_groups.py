"""Harm to a group stops a canary, being a little worse does not, and a small group holds it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import exp

import numpy as np
import pytest
from scipy.stats import binom

from tenure.lifecycle.promotion.canary import (
    CanaryAction,
    CanaryJudgement,
    CanaryMetric,
    CanaryPolicy,
    judge,
)
from tenure.lifecycle.promotion.canary_groups import (
    CanaryGroupPolicy,
    GroupCounts,
    GroupsCounted,
    judge_groups,
)
from tenure.lifecycle.promotion.canary_sentence import verdict_sentence
from tenure.lifecycle.promotion.event_rates import HARM_GRID, ShareCounts, log_e_value, reaches
from tenure.verdicts import Severity, Verdict

START = datetime(2026, 3, 1, tzinfo=UTC)
MARGIN = 1.5
GROUPS = CanaryGroupPolicy(margin=MARGIN, alpha=0.05, most_groups=10, min_subjects=20)
POLICY = CanaryPolicy(
    shares_bp=(5000, 10_000),
    metrics=(CanaryMetric(event="wrong_label", margin=1.2, min_subjects=100),),
    min_step_subjects=100,
    max_analyses=50,
    groups=GROUPS,
)


def group(
    value: str | None,
    canary: tuple[int, int],
    champion: tuple[int, int],
    *,
    asked: tuple[int, int] | None = None,
    first: int = 0,
) -> GroupCounts:
    """Of (wrong, subjects) of each arm at 50%."""
    shares = (ShareCounts("wrong_label", 5000, canary[1], canary[0], champion[1], champion[0]),)
    seen = asked or (canary[1], champion[1])
    at = START + timedelta(minutes=first)
    return GroupCounts("carrier", value, at, shares, ((5000, *seen),))


def judged(*groups: GroupCounts, analyses: int = 1, **unseen: str) -> CanaryJudgement:
    """With everybody as the sum of the groups."""
    rows = [one.shares[0] for one in groups]
    sums = [
        sum(getattr(row, name) for row in rows)
        for name in ("canary_subjects", "canary_events", "champion_subjects", "champion_events")
    ]
    counts = [
        ShareCounts("wrong_label", 5000, *sums),
        ShareCounts("error", 5000, sums[0], 0, sums[2], 0),
    ]
    counted = GroupsCounted(groups, unseen)
    return judge(POLICY, counts, share_bp=5000, analyses=analyses, groups=counted)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.2, MARGIN])
def test_its_mean_is_at_most_one_up_to_the_margin(ratio: float) -> None:
    """Every outcome of 14 events at 5% and 10 at 50%, with its probability: no simulation."""
    mean = 0.0
    events = {500: 14, 5000: 10}
    q = {bp: (bp * ratio) / (bp * ratio + 10_000 - bp) for bp in events}
    for x in range(15):
        for y in range(11):
            rows = [
                ShareCounts("wrong_label", 500, 99, x, 99, 14 - x),
                ShareCounts("wrong_label", 5000, 99, y, 99, 10 - y),
            ]
            value = exp(log_e_value(rows, null=MARGIN, grid=MARGIN * HARM_GRID))
            mean += binom.pmf(x, 14, q[500]) * binom.pmf(y, 10, q[5000]) * value
    if ratio == MARGIN:
        assert mean == pytest.approx(1.0, abs=1e-9)
    assert mean <= 1.0 + 1e-9
    assert (ratio == MARGIN) == (mean > 0.99)


def canaries(
    rates: Sequence[float], *, runs: int, looks: int, of_look: int = 60
) -> tuple[int, int]:
    """How many canaries are rolled back for a group: by its margin, and had the null been 1.

    Args:
        rates: Of each group, the challenger's rate over the champion's, which is 20%.
        runs: Canaries; each is 50 : 50.
        looks: Analyses of each.
        of_look: Subjects that come to each group and arm from look to look.
    """
    source = np.random.default_rng(11)
    found = null_one = 0
    for _ in range(runs):
        size = (looks, len(rates))
        mine = source.binomial(of_look, np.minimum(0.2 * np.array(rates), 1.0), size).cumsum(axis=0)
        champion = source.binomial(of_look, 0.2, size).cumsum(axis=0)
        by_margin = by_one = False
        for look in range(looks):
            of = of_look * (look + 1)
            rows = [
                group(str(n), (int(mine[look, n]), of), (int(champion[look, n]), of))
                for n in range(len(rates))
            ]
            by_margin |= bool(judge_groups(GROUPS, GroupsCounted(tuple(rows))).harmed)
            by_one |= any(
                reaches(log_e_value(one.shares, null=1.0, grid=HARM_GRID), GROUPS.threshold)
                for one in rows
            )
        found, null_one = found + by_margin, null_one + by_one
    return found, null_one


def test_a_little_worse_for_one_of_ten_is_no_harm() -> None:
    """The trap: with equal rates as the null, most of these would be rolled back."""
    found, null_one = canaries([1.3] + [0.95] * 9, runs=60, looks=20, of_look=200)
    assert found == 0
    assert null_one >= 50


def test_at_the_margin_in_all_groups_it_stays_within_alpha() -> None:
    found, _ = canaries([MARGIN] * 10, runs=100, looks=12)
    assert found <= 8  # alpha of 5% is 5 of 100; more than 8 has a probability of 6%


def test_twice_the_margin_in_one_group_is_found() -> None:
    found, _ = canaries([3.0] + [0.9] * 9, runs=40, looks=12)
    assert found >= 38


def test_one_harmed_group_stops_a_canary_whose_average_improves() -> None:
    found = judged(group("EV", (180, 300), (60, 300)), group("UA", (150, 900), (350, 900)))
    assert found.metrics[0].rate_ratio == pytest.approx(330 / 410)
    assert found.action is CanaryAction.ROLL_BACK
    assert found.explanation.startswith("harm on wrong_label of carrier EV: ")
    assert verdict_sentence(found, analyses=3) == (
        "carrier EV: challenger 180 wrong of 300, champion 60 of 300: relative risk 3, "
        "E = 29,075 ≥ 200 that it is above 1.5: rolled back at 50% after 3 analyses"
    )
    failed = [one for one in found.checks() if one.verdict is Verdict.FAILED]
    assert [(one.subject, one.value, one.limit) for one in failed] == [("carrier EV", 3.0, 1.5)]


@pytest.mark.parametrize(
    ("subjects", "action"),
    [(19, CanaryAction.WAIT), (20, CanaryAction.PROMOTE), (21, CanaryAction.PROMOTE)],
)
def test_a_small_group_holds_and_never_passes(subjects: int, action: CanaryAction) -> None:
    rest = group("UA", (100, 900), (200, 900))
    small = group(None, (3, subjects), (4, 20))
    found = judged(rest, small)
    assert found.action is action
    if action is CanaryAction.WAIT:
        said = "too small to pass: carrier missing (19 of 20 subjects of the challenger)"
        assert found.explanation.startswith(said)
        sentence = verdict_sentence(found, analyses=1)
        assert sentence.endswith(f"waits at 50% after 1 analysis, {said}")
        assert judged(rest, small, analyses=50).action is CanaryAction.HOLD


def test_small_groups_that_are_only_reported_let_it_pass() -> None:
    rest, small = group("UA", (100, 900), (200, 900)), group("HA", (3, 5), (4, 5))
    policy = POLICY.model_copy(
        update={"groups": GROUPS.model_copy(update={"small_groups": "report"})}
    )
    counts = [ShareCounts("wrong_label", 5000, 905, 103, 905, 204)]
    found = judge(policy, counts, share_bp=5000, analyses=1, groups=GroupsCounted((rest, small)))
    assert found.action is CanaryAction.PROMOTE
    (check,) = [one for one in found.checks() if one.subject == "carrier HA"]
    assert (check.verdict, check.severity) == (Verdict.INCONCLUSIVE, Severity.INFO)


def test_a_small_group_can_still_be_harmed() -> None:
    found = judged(group("UA", (100, 900), (200, 900)), group("HA", (19, 19), (0, 19)))
    assert found.action is CanaryAction.ROLL_BACK


def test_groups_beyond_the_most_are_not_judged_and_hold() -> None:
    many = [group(f"{n:02}", (5, 50), (25, 50), first=n) for n in range(10)]
    late = group("00-late", (50, 50), (1, 50), first=99)
    found = judged(*many, late)
    assert found.groups is not None
    (beyond,) = [one for one in found.groups.groups if one.unjudged]
    assert (beyond.name, beyond.harmful) == ("carrier 00-late", False)
    assert beyond in found.groups.holding
    assert "not among the first 10 groups" in found.checks()[2].observed


def test_a_group_that_the_arms_do_not_log_alike_is_not_judged() -> None:
    """All of the canary's decisions have no carrier: the feature is gone from its version."""
    found = judged(group("UA", (0, 0), (200, 900)), group(None, (200, 900), (0, 0)), analyses=1)
    assert found.groups is not None
    assert not found.groups.harmed
    assert all("not split as planned" in one.unjudged for one in found.groups.groups)
    assert found.action is CanaryAction.WAIT


def test_an_attribute_that_cannot_be_seen_is_named() -> None:
    found = judged(group("UA", (100, 900), (200, 900)), race="features are sealed")
    assert found.action is CanaryAction.PROMOTE
    last = found.checks()[-1]
    assert (last.subject, last.verdict) == ("race", Verdict.INCONCLUSIVE)
    assert last.observed == "not judged: features are sealed"
