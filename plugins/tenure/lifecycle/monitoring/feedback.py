"""Where people object to decisions: the segments in which they do so more than elsewhere.

An objection is a decision that somebody overrode or called wrong. Most decisions get no feedback at
all, so shares are of all decisions: what is compared is where the objections are.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from scipy.stats import beta

from tenure.lifecycle.monitoring.policy import FeedbackPolicy
from tenure.lifecycle.training.evaluation.metrics import wilson
from tenure.lifecycle.training.evaluation.slices import MISSING, OTHERS, SHOWN_VALUES
from tenure.ports import CodedDecision, FeatureCounts
from tenure.verdicts import Check, Report, Verdict, worst

MIN_DECISIONS = 20
"""A segment with fewer decisions, or with fewer outside of it, is not looked at."""
MOST_STATED = 50
"""Segments that a report states, worst first; it says how many were searched."""


@dataclass(frozen=True)
class SegmentObjections:
    """One segment: its decisions, and which of them somebody objected to.

    Args:
        column: Feature, or `decision`, `answer`, `fallback_level`.
        value: Value, or part between quartiles.
        decisions: How many lie in it.
        ids: Those that somebody objected to.
    """

    column: str
    value: str
    decisions: int
    ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """As people read it."""
        return f"{self.column} = {self.value}"


@dataclass(frozen=True)
class ObjectionRatio:
    """How many times as often as elsewhere people object; None: nobody objects elsewhere."""

    value: float | None
    low: float
    high: float | None


def segments(
    counts: FeatureCounts,
    objected: Sequence[CodedDecision],
    edges: Mapping[str, Sequence[float]],
) -> list[SegmentObjections]:
    """Every segment of every column; those of one column hold each decision once.

    Args:
        counts: All decisions of the window.
        objected: Those that somebody objected to, with the same codes.
        edges: Of the numbers, as they were counted.
    """
    found: list[SegmentObjections] = []
    for column, ends in edges.items():
        ids = _grouped(objected, column)
        parts = [
            (name, decisions, ids[str(part)])
            for part, (name, decisions) in enumerate(
                zip(_parts(ends), counts.bins[column], strict=True)
            )
        ]
        found += _of_column(column, [*parts, (MISSING, counts.nulls[column], ids[None])])
    for column, by_value in counts.categories.items():
        ids = _grouped(objected, column)
        largest = [value for value, _ in Counter(by_value).most_common(SHOWN_VALUES)]
        rest = [value for value in by_value if value not in largest]
        others = [one for value in rest for one in ids[value]]
        parts = [(value, by_value[value], ids[value]) for value in largest]
        parts.append((OTHERS, sum(by_value[value] for value in rest), others))
        found += _of_column(column, [*parts, (MISSING, counts.nulls[column], ids[None])])
    return found


def ratio(one: SegmentObjections, *, of: tuple[int, int], confidence: float) -> ObjectionRatio:
    """How many times as often as elsewhere people object in a segment, with its interval.

    Given the objections, how many fall into a segment is binomial, with probability
    r n / (r n + N - n) where n of N decisions lie in it and r is the ratio; the ends are those of
    that probability (Clopper and Pearson, 1934), so they hold at any number of objections.

    >>> one = SegmentObjections("carrier", "UA", 100, tuple("abcdefghijklmnopqrst"))
    >>> round(ratio(one, of=(1000, 20), confidence=0.95).low, 1)
    44.4

    Args:
        one: The segment.
        of: (decisions, objections) of the whole window.
        confidence: Of this interval by itself.
    """
    (whole, objections), inside = of, len(one.ids)
    outside, tail = objections - inside, (1 - confidence) / 2
    odds = (whole - one.decisions) / one.decisions
    low = float(beta.ppf(tail, inside, outside + 1)) if inside else 0.0
    high = float(beta.isf(tail, inside + 1, outside)) if outside else None
    return ObjectionRatio(
        value=inside / outside * odds if outside else None,
        low=_odds(low) * odds,
        high=None if high is None else _odds(high) * odds,
    )


def _odds(probability: float) -> float:
    return probability / max(1 - probability, 1e-12)


def judge_feedback(
    found: Sequence[SegmentObjections],
    policy: FeedbackPolicy,
    *,
    of: tuple[int, int],
    confidence: float,
    subject: str,
    facts: Mapping[str, Any],
) -> Report:
    """Failed where people surely object too much: in all, or in a segment more than elsewhere.

    Whoever searches many segments finds one by luck: their intervals hold for all of them together
    (Bonferroni).

    Args:
        found: Every segment.
        policy: Limits.
        of: (decisions, objections) of the whole window.
        confidence: Of all segments together, and of the whole.
        subject: What is judged.
        facts: Goes into the report.
    """
    whole, objections = of
    searched = [one for one in found if MIN_DECISIONS <= one.decisions <= whole - MIN_DECISIONS]
    each = 1 - (1 - confidence) / max(len(searched), 1)
    rated = [(one, ratio(one, of=of, confidence=each)) for one in searched if one.ids]
    rated.sort(key=lambda pair: (-pair[1].low, pair[0].name))
    overall = _overall(whole, objections, policy, confidence)
    checks = [_check(one, rate, policy, of, each) for one, rate in rated[:MOST_STATED]]
    raised = [pair for pair in rated if _is_raised(*pair, policy)]
    verdict = worst([overall.verdict, *(check.verdict for check in checks)])
    checks.sort(key=lambda check: check.verdict is Verdict.PASSED)
    first = [overall, *checks] if overall.verdict is Verdict.FAILED else [*checks, overall]
    return Report(
        "monitoring",
        subject,
        verdict,
        _sentence(verdict, raised, of, overall),
        tuple(first),
        {
            **facts,
            "searched": len(searched),
            "segments": [_stated(one, rate, policy, each) for one, rate in rated[:MOST_STATED]],
        },
        enforced=False,
    )


def _overall(whole: int, objections: int, policy: FeedbackPolicy, confidence: float) -> Check:
    interval = wilson(objections, whole, confidence)
    return Check(
        rule="objections to decisions",
        verdict=Verdict.FAILED if interval[0] > policy.max_share else Verdict.PASSED,
        observed=f"{objections:,} of {whole:,} decisions ({objections / max(whole, 1):.1%})",
        allowed=f"at most {policy.max_share:.1%}",
        subject="all decisions",
        value=objections / max(whole, 1),
        limit=policy.max_share,
        counts=(objections, whole),
        interval=interval,
    )


def _check(
    one: SegmentObjections,
    rate: ObjectionRatio,
    policy: FeedbackPolicy,
    of: tuple[int, int],
    confidence: float,
) -> Check:
    inside, share = len(one.ids), len(one.ids) / one.decisions
    elsewhere = f"{of[1] - inside:,} of {of[0] - one.decisions:,}"
    return Check(
        rule="objections in a segment",
        verdict=Verdict.FAILED if _is_raised(one, rate, policy) else Verdict.PASSED,
        observed=f"{inside:,} of {one.decisions:,} decisions ({share:.1%}), elsewhere {elsewhere}: "
        f"at least {rate.low:.2g} times as often",
        allowed=f"at most {policy.max_ratio:g} times as often as elsewhere",
        subject=one.name,
        columns=(one.column,),
        value=share,
        counts=(inside, one.decisions),
        interval=wilson(inside, one.decisions, confidence),
    )


def _is_raised(one: SegmentObjections, rate: ObjectionRatio, policy: FeedbackPolicy) -> bool:
    return len(one.ids) >= policy.min_objections and rate.low > policy.max_ratio


def _stated(
    one: SegmentObjections, rate: ObjectionRatio, policy: FeedbackPolicy, confidence: float
) -> dict[str, object]:
    """The ids only of what is raised: whose reasons people want to read."""
    is_raised = _is_raised(one, rate, policy)
    return {
        "segment": one.name,
        "decisions": one.decisions,
        "objections": len(one.ids),
        "share": len(one.ids) / one.decisions,
        "interval": list(wilson(len(one.ids), one.decisions, confidence)),
        "ratio": rate.value,
        "ratio_interval": [rate.low, rate.high],
        "raised": is_raised,
        "decision_ids": sorted(one.ids) if is_raised else [],
    }


def _sentence(
    verdict: Verdict,
    raised: Sequence[tuple[SegmentObjections, ObjectionRatio]],
    of: tuple[int, int],
    overall: Check,
) -> str:
    low, high = overall.interval or (0.0, 1.0)
    begin = (
        f"Feedback {verdict}: people objected to {of[1]:,} of {of[0]:,} decisions "
        f"({of[1] / max(of[0], 1):.1%}, {low:.1%} to {high:.1%})"
    )
    if not raised:
        return f"{begin}; no segment stands out."
    one, rate = raised[0]
    many = f"{len(raised):,} segments stand" if len(raised) > 1 else "1 segment stands"
    return (
        f"{begin}; {many} out, most {one.name}: {len(one.ids):,} of {one.decisions:,}, at least "
        f"{rate.low:.2g} times as often as elsewhere."
    )


def _of_column(
    column: str, parts: Sequence[tuple[str, int, Sequence[str]]]
) -> Iterator[SegmentObjections]:
    name = column.removeprefix("f_")
    for value, decisions, ids in parts:
        if decisions:
            yield SegmentObjections(name, value, decisions, tuple(ids))


def _grouped(objected: Sequence[CodedDecision], column: str) -> dict[str | None, list[str]]:
    """Ids by code; of a code that none has there are none."""
    found: dict[str | None, list[str]] = defaultdict(list)
    for one in objected:
        found[one.codes[column]].append(one.decision_id)
    return found


def _parts(edges: Sequence[float]) -> list[str]:
    """Names of the bins: below the first edge, between edges, above the last."""
    shown = [f"{edge:g}" for edge in edges]
    inner = [f"{low} to {high}" for low, high in pairwise(shown)]
    last = f"over {shown[-1]}" if inner else f"from {shown[-1]} on"
    return [f"below {shown[0]}", *inner, last]
