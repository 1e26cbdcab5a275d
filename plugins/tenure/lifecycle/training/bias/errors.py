"""Does a regression treat groups alike: mean errors by group, and the verdict.

Judged as rates are (`audit`): a gap **passes** when its point value keeps the bound, **fails** when
its whole interval lies beyond it, and is **inconclusive** in between. Intervals hold for all judged
groups of an attribute at once: Student's for each, at the confidence of Šidák (1967).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tenure.lifecycle.training.bias.cells import Group, group_name, group_order
from tenure.lifecycle.training.bias.error_policy import ERRORS, ErrorBiasPolicy
from tenure.ports import NO_ERRORS, ErrorSums
from tenure.verdicts import Check, Report, Verdict, worst

Groups = Mapping[Group, ErrorSums]
"""Sums of each combination of values (one an attribute, None is missing) that occurs."""
_SHOWN = 5
_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


@dataclass(frozen=True)
class GroupErrors:
    """The groups of one attribute, or of all attributes crossed.

    Args:
        view: `carrier`, or `carrier & origin`.
        groups: Names, sorted; `(missing)` is a missing value.
        rows: Of each group.
        means: In the order of ERRORS, shape (groups, 2); NaN without rows.
        low: Lower ends of their intervals; NaN where a group is not judged.
        high: Upper ends.
        judged: Which groups have enough rows.
    """

    view: str
    groups: tuple[str, ...]
    rows: tuple[int, ...]
    means: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    judged: NDArray[np.bool_]


def audit_errors(
    attributes: Sequence[str], groups: Groups, policy: ErrorBiasPolicy, *, subject: str, today: date
) -> Report:
    """Judge every view of the groups against the policy.

    Args:
        attributes: Names of the protected attributes, in the order of the groups' values.
        groups: Sums of one scan.
        policy: The bound, and what small groups do.
        subject: `model@version`.
        today: Decides whether an excuse (`mode: report_only`) still holds.
    """
    views = [_measured(name, held, policy) for name, held in _views(attributes, groups, policy)]
    checks = sorted((_bound(view, policy) for view in views), key=lambda c: _ORDER[c.verdict])
    small = [check for view in views for check in _small(view, policy)]
    decisive = checks + (small if policy.small_groups == "inconclusive" else [])
    verdict = worst(check.verdict for check in decisive)
    total = sum(one.rows for one in groups.values())
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
            "small_groups": policy.small_groups,
            "views": {view.view: _facts(view) for view in views},
            "excuse": policy.reason,
        },
        enforced=policy.enforces(today),
    )


def _views(
    attributes: Sequence[str], groups: Groups, policy: ErrorBiasPolicy
) -> Iterator[tuple[str, Groups]]:
    """One view an attribute, then the crossing of all of them."""
    for i, name in enumerate(attributes):
        merged: dict[Group, ErrorSums] = {}
        for group, sums in groups.items():
            own = (group[i],)
            merged[own] = merged.get(own, NO_ERRORS) + sums
        yield name, merged
    if policy.intersections and len(attributes) > 1:
        yield " & ".join(attributes), groups


def _measured(name: str, held: Groups, policy: ErrorBiasPolicy) -> GroupErrors:
    groups = sorted(held, key=group_order)
    sums = [held[group] for group in groups]
    rows = np.array([one.rows for one in sums], dtype=np.int64)
    totals = np.array([[one.error, one.absolute] for one in sums]).reshape(-1, len(ERRORS))
    squares = np.array([one.squared for one in sums]).reshape(-1, 1)
    judged = rows >= policy.min_group_rows
    count = np.where(rows > 0, rows, np.nan).reshape(-1, 1)
    means = totals / count
    variance = np.maximum(squares - count * means**2, 0.0) / np.where(count > 1, count - 1, np.nan)
    together = policy.confidence ** (1 / max(int(judged.sum()), 1))
    quantile = stats.t.ppf(0.5 + together / 2, np.where(count > 1, count - 1, np.nan))
    half = np.where(judged.reshape(-1, 1), quantile * np.sqrt(variance / count), np.nan)
    names = tuple(map(group_name, groups))
    return GroupErrors(name, names, tuple(rows.tolist()), means, means - half, means + half, judged)


def _bound(view: GroupErrors, policy: ErrorBiasPolicy) -> Check:
    name = f"{policy.metric} difference"
    limit = policy.max_difference
    allowed = f"at most {limit:g}"
    place = ERRORS.index(policy.metric)
    means, low, high = (part[view.judged, place] for part in (view.means, view.low, view.high))
    if len(means) < 2:
        why = "fewer than two groups to compare"
        return Check(name, Verdict.INCONCLUSIVE, why, allowed, view.view, limit=limit)
    point = float(means.max() - means.min())
    interval = (float(max(0.0, low.max() - high.min())), float(high.max() - low.min()))
    if point <= limit:
        verdict = Verdict.PASSED
    else:
        verdict = Verdict.FAILED if interval[0] > limit else Verdict.INCONCLUSIVE
    return Check(
        rule=name,
        verdict=verdict,
        observed=f"{point:.4g}",
        allowed=allowed,
        subject=view.view,
        value=point,
        limit=limit,
        interval=interval,
    )


def _small(view: GroupErrors, policy: ErrorBiasPolicy) -> Iterator[Check]:
    for group, rows, enough in zip(view.groups, view.rows, view.judged, strict=True):
        if not enough:
            yield Check(
                rule="group rows",
                verdict=Verdict.INCONCLUSIVE,
                observed=f"{rows:,} rows",
                allowed=f"at least {policy.min_group_rows:,}",
                subject=f"{view.view}={group}",
                value=float(rows),
                limit=float(policy.min_group_rows),
            )


def _facts(view: GroupErrors) -> dict[str, object]:
    groups = [
        {
            "group": group,
            "rows": view.rows[g],
            "means": {
                name: {
                    "value": _number(view.means[g, i]),
                    "interval": [_number(view.low[g, i]), _number(view.high[g, i])],
                    "judged": bool(view.judged[g]),
                }
                for i, name in enumerate(ERRORS)
            },
        }
        for g, group in enumerate(view.groups)
    ]
    return {"groups": groups}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _summary(
    checks: Sequence[Check],
    small: Sequence[Check],
    verdict: Verdict,
    policy: ErrorBiasPolicy,
    total: int,
) -> str:
    told = "; ".join(
        f"{c.subject} {c.name} {c.observed}"
        + (f" [{c.interval[0]:.4g}, {c.interval[1]:.4g}]" if c.interval else "")
        + f", allowed {c.allowed}"
        for c in checks[:_SHOWN]
    )
    groups = f"; {len(small)} groups below {policy.min_group_rows} rows" if small else ""
    return f"bias audit {verdict} on {total:,} rows: {told}{groups}"
