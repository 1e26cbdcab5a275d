"""Does the model treat groups alike: bounds on the gaps between groups, and the verdict.

A gap that keeps its bound **passes** (at the bound passes, compared as exact fractions). The
largest of many noisy gaps is large by chance alone, so one beyond its bound **fails** only when
that is sure: a difference, when its whole interval lies beyond the bound; a ratio, also when the
two groups differ significantly. The four-fifths rule asks for both, a ratio below it and a
significant difference (29 CFR 1607.4 D). Else it is **inconclusive**: more data or a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from fractions import Fraction

import numpy as np

from tenure.lifecycle.training.bias.cells import Cells, GroupView, everything, group_name, views
from tenure.lifecycle.training.bias.comparison import Gap, gaps
from tenure.lifecycle.training.bias.disparity import CALIBRATION, RATES, Measured, measure, rates
from tenure.lifecycle.training.bias.policy import JUDGED_BY, BiasDecision, BiasPolicy
from tenure.verdicts import Check, Report, Verdict, worst

LAPSED = "decision on metric and limits"
"""The check of a policy whose decision has ended."""
LAPSED_THRESHOLDS = "decision on thresholds by group"
"""The check of a mitigation whose decision has ended."""
_SHOWN = 5
_LIMITS = ("min_ratio", "max_difference")
_POLICY_NAMES = {shown[0]: name for name, shown in JUDGED_BY.items() if len(shown) == 1}
_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


def audit(
    cells: Cells,
    policy: BiasPolicy,
    *,
    subject: str,
    seed: int,
    today: date,
    both_labels: bool = True,
) -> Report:
    """Judge every view of the cells against the policy.

    Args:
        cells: Counts of one scan; values of attributes with edges are still numbers.
        policy: Bounds, and what small groups do.
        subject: `model@version`.
        seed: Of the multinomial bootstrap.
        today: Decides whether an excuse (`mode: report_only`) still holds.
        both_labels: Whether a group needs rows of either label to be judged.

    Raises:
        ConfigInvalid: A value of an attribute with edges is no number.
    """
    cells = cells.banded(policy.edges)
    measured = measure(
        list(views(cells, intersections=policy.intersections)),
        cells.counts,
        min_rows=policy.min_group_rows,
        draws=policy.bootstrap_draws,
        confidence=policy.confidence,
        seed=seed,
    )
    compared = list(_comparisons(measured, policy))
    checks = sorted((c for _, c in compared if c is not None), key=lambda c: _ORDER[c.verdict])
    small = [check for one in measured for check in _small(one, policy, both_labels)]
    checks = [*lapsed(_decisions(policy), today), *checks]
    decisive = checks + (small if policy.small_groups == "inconclusive" else [])
    verdict = worst(c.verdict for c in decisive)
    total = int(cells.counts.sum())
    return Report(
        stage="bias",
        subject=subject,
        verdict=verdict,
        summary=_summary(checks, small, verdict, policy, total),
        checks=(*checks, *small),
        facts={
            "metric": policy.metric,
            "rows": total,
            "confidence": policy.confidence,
            "bootstrap_draws": policy.bootstrap_draws,
            "seed": seed,
            "min_group_rows": policy.min_group_rows,
            "small_groups": policy.small_groups,
            "reference": policy.reference,
            "edges": {name: list(edges) for name, edges in policy.edges.items()},
            "excuse": policy.reason,
            "decision": policy.decision and policy.decision.model_dump(mode="json"),
            "overall": _overall(everything(cells)),
            "groups": [fact for one in measured for fact in _groups(one, policy, both_labels)],
            "comparisons": [fact for fact, _ in compared],
        },
        enforced=policy.enforces(today),
    )


def _decisions(policy: BiasPolicy) -> dict[str, BiasDecision | None]:
    """Those that must hold, by the rule of their check."""
    decisions = {LAPSED: policy.decision}
    if policy.mitigation is not None:
        decisions[LAPSED_THRESHOLDS] = policy.mitigation.decision
    return decisions


def lapsed(decisions: Mapping[str, BiasDecision | None], today: date) -> Iterator[Check]:
    """Limits that nobody stands for any more judge nothing; nor do thresholds."""
    for rule, decision in decisions.items():
        if decision is not None and today > decision.until:
            yield Check(
                rule=rule,
                verdict=Verdict.INCONCLUSIVE,
                observed=f"of {decision.by}, held until {decision.until}",
                allowed="one that holds",
            )


def _comparisons(
    measured: Sequence[Measured], policy: BiasPolicy
) -> Iterator[tuple[dict[str, object], Check | None]]:
    """Each gap as a fact, once for each limit that it must keep, with the check of that limit."""
    known = measured[0].metrics[1:]
    for metric in dict.fromkeys((*known, *policy.judged)):
        limits = [rule for rule in _LIMITS if getattr(policy, rule) is not None]
        for rule in limits if metric in policy.judged else [None]:
            found: list[Gap | None] = [None] * len(measured)
            if metric in known:
                found = gaps(measured, metric, policy.reference, by_ratio=rule == "min_ratio")
            for one, gap in zip(measured, found, strict=True):
                check = rule and _bound(one.view, metric, gap, rule, policy)
                yield _comparison(one.view, metric, gap, rule, check or None), check or None


def _comparison(
    view: GroupView, metric: str, gap: Gap | None, rule: str | None, check: Check | None
) -> dict[str, object]:
    return {
        "metric": metric,
        "by": list(view.by),
        "worst": list(gap.worst) if gap else None,
        "best": list(gap.best) if gap else None,
        "difference": float(gap.difference) if gap else None,
        "ratio": float(gap.ratio) if gap and gap.ratio is not None else None,
        "p_adjusted": gap.p_adjusted if gap else None,
        "rule": rule,
        "limit": check and check.limit,
        "verdict": check and str(check.verdict),
    }


def _bound(view: GroupView, metric: str, gap: Gap | None, rule: str, policy: BiasPolicy) -> Check:
    is_ratio = rule == "min_ratio"
    limit = float(getattr(policy, rule))
    name = f"{_POLICY_NAMES[metric]} {'ratio' if is_ratio else 'difference'}"
    allowed = f"{'at least' if is_ratio else 'at most'} {limit:g}"
    point = interval = None
    if gap is not None:
        point = gap.ratio if is_ratio else gap.difference
        interval = gap.ratio_interval if is_ratio else gap.difference_interval
    if gap is None or point is None or interval is None:
        return Check(
            rule=name,
            verdict=Verdict.INCONCLUSIVE,
            observed=_no_gap(view, metric, policy),
            allowed=allowed,
            subject=view.name,
            columns=view.by,
            limit=limit,
        )
    exact = Fraction(limit) if metric == CALIBRATION else Fraction(repr(limit))
    if point >= exact if is_ratio else point <= exact:
        verdict = Verdict.PASSED
    elif is_ratio:
        sure = interval[1] < limit or gap.p_adjusted < 1 - policy.confidence
        verdict = Verdict.FAILED if sure else Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.FAILED if interval[0] > limit else Verdict.INCONCLUSIVE
    return Check(
        rule=name,
        verdict=verdict,
        observed=_digits(float(point), limit),
        allowed=allowed,
        subject=view.name,
        columns=view.by,
        value=float(point),
        limit=limit,
        interval=interval,
    )


def _no_gap(view: GroupView, metric: str, policy: BiasPolicy) -> str:
    if metric == CALIBRATION and view.errors is None:
        return "no scores to compare"
    if set(view.by) <= policy.reference.keys():
        named = group_name(tuple(policy.reference[name] for name in view.by))
        return f"nothing to compare with {named}, or too few rows of it"
    return "fewer than two groups to compare"


def _digits(point: float, limit: float) -> str:
    """Four digits, or as many as tell it from the limit."""
    digits = 4
    while point != limit and digits < 12 and float(f"{point:.{digits}f}") == limit:
        digits += 1
    return f"{point:.{digits}f}"


def _small(found: Measured, policy: BiasPolicy, both_labels: bool) -> Iterator[Check]:
    """The groups that cannot be judged, each with the first of its reasons."""
    for g, group in enumerate(found.view.groups):
        for check in _short(found, g, policy, both_labels):
            subject = f"{found.view.name}={group_name(group)}"
            yield replace(check, subject=subject, columns=found.view.by)
            break


def _short(found: Measured, g: int, policy: BiasPolicy, both_labels: bool) -> Iterator[Check]:
    """Of what a group has too few."""
    for metric in policy.judged:
        if metric in found.metrics:
            rows = int(found.rows[g, found.metrics.index(metric)])
            if rows < policy.min_group_rows:
                counted = f"rows that {_POLICY_NAMES[metric]} counts"
                yield _too_few("group rows", rows, counted, policy.min_group_rows)
    tp, fp, fn, tn = found.view.counts[g].tolist()
    for kind, rows in (("positive", tp + fn), ("negative", fp + tn)):
        if both_labels and rows == 0:
            yield _too_few("group labels", rows, f"{kind} labels", 1)


def _too_few(rule: str, rows: int, what: str, least: int) -> Check:
    return Check(
        rule=rule,
        verdict=Verdict.INCONCLUSIVE,
        observed=f"{rows:,} {what}",
        allowed=f"at least {least:,}",
        value=float(rows),
        limit=float(least),
    )


def _groups(found: Measured, policy: BiasPolicy, both_labels: bool) -> Iterator[dict[str, object]]:
    for g, group in enumerate(found.view.groups):
        values = [None if np.isnan(v) else float(v) for v in found.value[g]]
        ends = zip(found.low[g].tolist(), found.high[g].tolist(), strict=True)
        yield {
            "by": list(found.view.by),
            "value": list(group),
            "n": int(found.view.counts[g].sum()),
            **dict(zip(found.metrics, values, strict=True)),
            "ci": {
                metric: None if value is None else list(pair)
                for metric, value, pair in zip(found.metrics, values, ends, strict=True)
            },
            "sufficient": not any(_short(found, g, policy, both_labels)),
        }


def _overall(view: GroupView) -> Mapping[str, float | None]:
    rows = int(view.counts.sum())
    if not rows:
        return dict.fromkeys(RATES)
    values = {
        name: None if np.isnan(value) else float(value)
        for name, value in zip(RATES, rates(view.counts)[0], strict=True)
    }
    if view.errors is not None:
        values[CALIBRATION] = float(view.errors[0, 0] / rows)
    return values


def _summary(
    checks: Sequence[Check],
    small: Sequence[Check],
    verdict: Verdict,
    policy: BiasPolicy,
    total: int,
) -> str:
    told = "; ".join(
        f"{c.subject} {c.name} {c.observed}".strip()
        + (f" [{c.interval[0]:.3f}, {c.interval[1]:.3f}]" if c.interval else "")
        + f", allowed {c.allowed}"
        for c in checks[:_SHOWN]
    )
    more = f"; and {len(checks) - _SHOWN} more" if len(checks) > _SHOWN else ""
    groups = f"; {len(small)} groups cannot be judged" if small else ""
    return f"bias audit {verdict} on {total:,} rows: {told}{more}{groups}"
