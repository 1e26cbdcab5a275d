"""The verdict about a canary in one sentence with its numbers, for log, ledger and pages."""

from tenure.lifecycle.promotion.canary import CanaryAction, CanaryJudgement, MetricJudgement
from tenure.lifecycle.promotion.canary_groups import GroupsJudgement, small_words
from tenure.lifecycle.promotion.event_rates import e_words, reaches
from tenure.vocabulary import BASIS_POINTS

_EVENTS = {"error": "failed", "wrong_label": "wrong"}


def verdict_sentence(judgement: CanaryJudgement, *, analyses: int) -> str:
    """`challenger 14 wrong of 310, champion 95 of 5,890: relative risk 2.8, E = 41 ≥ 20: …`.

    It is about the metric that decides: the most harmful one, or of those that are required the one
    that is farthest from safety. The relative risk compares within each share, as
    `MetricJudgement.rate_ratio` does.

    Args:
        judgement: Of one analysis.
        analyses: How many were made of this canary, with this one.
    """
    then = f"{_then(judgement)} after {_counted(analyses, 'analysis', 'analyses')}"
    split = judgement.split
    if split is not None and split.wrong:
        return (
            f"the traffic is not split as planned, so neither arm tells anything: "
            f"{split.describe()}, {_compared(split.log_e, split.threshold)}: {then}"
        )
    one = _decisive(judgement)
    if judgement.groups and judgement.groups.harmed and not one.harmful:
        return f"{_of_group(judgement.groups)}: {then}"
    return f"{arms_words(one)}: {_evidence(judgement, one)}: {then}{_held_up(judgement)}"


def arms_words(one: MetricJudgement) -> str:
    """`challenger 14 wrong of 310, champion 95 of 5,890`."""
    if one.event == "absolute_error":
        return (
            f"challenger {_mean(one.canary_mean)} mean absolute error of {one.canary_subjects:,}, "
            f"champion {_mean(one.champion_mean)} of {one.champion_subjects:,}"
        )
    return (
        f"challenger {one.canary_events:,} {_EVENTS[one.event]} of {one.canary_subjects:,}, "
        f"champion {one.champion_events:,} of {one.champion_subjects:,}"
    )


def ratio_words(one: MetricJudgement) -> str:
    """`relative risk 2.8`; in words where the champion has no event to compare with."""
    name = "ratio of means" if one.event == "absolute_error" else "relative risk"
    return _ratio_words(name, one.rate_ratio)


def _ratio_words(name: str, ratio: float | None) -> str:
    if ratio is None:
        return f"{name} unknown"
    return f"{name} {ratio:,.0f}" if ratio >= 10 else f"{name} {ratio:.2g}"


def _of_group(groups: GroupsJudgement) -> str:
    """The most harmed one; the others are counted."""
    one = groups.harmed[0]
    more = len(groups.harmed) - 1
    others = f" (and {_counted(more, 'other group', 'other groups')})" if more else ""
    ratio = _ratio_words("relative risk", one.rate_ratio)
    return (
        f"{one.name}: challenger {one.canary_events:,} wrong of {one.canary_subjects:,}, champion "
        f"{one.champion_events:,} of {one.champion_subjects:,}: {ratio}, "
        f"{_compared(one.log_harm, groups.policy.threshold)} that it is above "
        f"{groups.policy.margin:g}{others}"
    )


def _held_up(judgement: CanaryJudgement) -> str:
    """Small groups, where nothing else is missing for a promotion."""
    groups = judgement.groups
    waits = judgement.action in {CanaryAction.WAIT, CanaryAction.HOLD}
    if not (waits and groups and groups.holding):
        return ""
    if any(one.required and not one.safe for one in judgement.metrics):
        return ""
    return f", too small to pass: {small_words(groups.holding, groups.policy)}"


def _decisive(judgement: CanaryJudgement) -> MetricJudgement:
    harmful = [one for one in judgement.metrics if one.harmful]
    if harmful:
        return max(harmful, key=lambda one: one.log_harm)
    required = [one for one in judgement.metrics if one.required]
    return min(required, key=lambda one: (one.safe, one.log_safe))


def _evidence(judgement: CanaryJudgement, one: MetricJudgement) -> str:
    ratio = ratio_words(one)
    if one.harmful:
        return f"{ratio}, {_compared(one.log_harm, judgement.harm_threshold)}"
    safe = _compared(one.log_safe, judgement.safe_threshold)
    within = f"that it is below {one.margin:g}"
    if judgement.action is CanaryAction.PROMOTE:
        return f"{ratio}, {safe} {within}"
    harm = _compared(one.log_harm, judgement.harm_threshold)
    return f"{ratio}, {harm} of harm, {safe} {within}"


def _compared(log_e: float, limit: float) -> str:
    sign = "≥" if reaches(log_e, limit) else "<"
    return f"E = {e_words(log_e)} {sign} {limit:,.6g}"


def _then(judgement: CanaryJudgement) -> str:
    share = _percent(judgement.share_bp)
    match judgement.action:
        case CanaryAction.ROLL_BACK:
            return f"rolled back at {share}"
        case CanaryAction.PROMOTE:
            return f"promoted at {share}"
        case CanaryAction.HOLD:
            return f"held at {share}"
        case CanaryAction.ADVANCE:
            return f"goes from {share} to {_percent(judgement.next_share_bp)}"
    return f"waits at {share}"


def _percent(share_bp: int) -> str:
    return f"{share_bp / (BASIS_POINTS / 100):g}%"


def _mean(value: float | None) -> str:
    return "no" if value is None else f"{value:.4g}"


def _counted(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"
