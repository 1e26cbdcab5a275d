"""Does a regression treat groups alike: mean errors by group, and the verdict.

Judged as rates are (`audit`): a gap **passes** when its point value keeps the bound, **fails** when
its whole interval lies beyond it, and is **inconclusive** in between. Intervals hold for all judged
groups of an attribute at once: Student's for each, at the confidence of Šidák (1967).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tenure.lifecycle.training.bias.audit import LAPSED, lapsed
from tenure.lifecycle.training.bias.cells import Group, band, group_name, group_order
from tenure.lifecycle.training.bias.comparison import Compared, Gap, widest
from tenure.lifecycle.training.bias.disparity import RATES
from tenure.lifecycle.training.bias.error_policy import ERRORS, ErrorBiasPolicy, ErrorName
from tenure.ports import NO_ERRORS, ErrorSums
from tenure.verdicts import Check, Report, Verdict, worst

Groups = Mapping[Group, ErrorSums]
"""Sums of each combination of values (one an attribute, None is missing) that occurs."""
_SHOWN = 5
_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}
_UNDEFINED = dict.fromkeys(RATES)
"""What the groups of a classifier have besides, and those of a regression have not."""


@dataclass(frozen=True)
class GroupErrors:
    """The groups of one attribute, or of several crossed.

    Args:
        by: The attributes.
        groups: Values, sorted; a missing one last.
        rows: Of each group.
        means: In the order of ERRORS, shape (groups, 2); NaN without rows.
        error: Their standard errors; NaN below two rows.
        low: Lower ends of their intervals; NaN where a group is not judged.
        high: Upper ends.
        judged: Which groups have enough rows.
    """

    by: tuple[str, ...]
    groups: tuple[Group, ...]
    rows: tuple[int, ...]
    means: NDArray[np.float64]
    error: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    judged: NDArray[np.bool_]

    @property
    def name(self) -> str:
        """`carrier`, or `carrier & origin`."""
        return " & ".join(self.by)

    def compared(self, metric: ErrorName, reference: Mapping[str, str]) -> Compared:
        """The judged groups in one metric, but those whose squares no double holds."""
        place = ERRORS.index(metric)
        at = np.flatnonzero(self.judged & np.isfinite(self.low).all(axis=1))
        return Compared.paired(
            metric,
            self.by,
            [self.groups[g] for g in at],
            values=[Fraction(value) for value in self.means[at, place].tolist()],
            error=self.error[at, place],
            pooled=None,
            ends=(self.low[at, place].tolist(), self.high[at, place].tolist()),
            reference=reference,
        )


def audit_errors(
    attributes: Sequence[str], groups: Groups, policy: ErrorBiasPolicy, *, subject: str, today: date
) -> Report:
    """Judge every view of the groups against the policy.

    Args:
        attributes: Names of the protected attributes, in the order of the groups' values.
        groups: Sums of one scan; values of attributes with edges are still numbers.
        policy: The bound, and what small groups do.
        subject: `model@version`.
        today: Decides whether an excuse (`mode: report_only`) and a decision still hold.

    Raises:
        ConfigInvalid: A value of an attribute with edges is no number.
    """
    held = banded_errors(attributes, groups, policy)
    views = [_measured(by, found, policy) for by, found in _views(attributes, held, policy)]
    compared = list(_comparisons(views, policy))
    checks = sorted((c for _, c in compared if c is not None), key=lambda c: _ORDER[c.verdict])
    checks = [*lapsed({LAPSED: policy.decision}, today), *checks]
    small = [check for view in views for check in _small(view, policy)]
    decisive = checks + (small if policy.small_groups == "inconclusive" else [])
    verdict = worst(check.verdict for check in decisive)
    total = sum(groups.values(), NO_ERRORS)
    return Report(
        stage="bias",
        subject=subject,
        verdict=verdict,
        summary=_summary(checks, small, verdict, policy, total.rows),
        checks=(*checks, *small),
        facts={
            "metric": policy.metric,
            "rows": total.rows,
            "confidence": policy.confidence,
            "min_group_rows": policy.min_group_rows,
            "small_groups": policy.small_groups,
            "reference": policy.reference,
            "edges": {name: list(edges) for name, edges in policy.edges.items()},
            "excuse": policy.reason,
            "decision": policy.decision and policy.decision.model_dump(mode="json"),
            "overall": _overall(total),
            "groups": [fact for view in views for fact in _groups(view)],
            "comparisons": [fact for fact, _ in compared],
        },
        enforced=policy.enforces(today),
    )


def banded_errors(attributes: Sequence[str], groups: Groups, policy: ErrorBiasPolicy) -> Groups:
    """The same rows, with the values of numeric attributes put into bands. Raises ConfigInvalid."""
    if not policy.edges:
        return groups
    edges = [policy.edges.get(name) for name in attributes]
    merged: dict[Group, ErrorSums] = {}
    for group, sums in groups.items():
        parts = zip(attributes, group, edges, strict=True)
        key = tuple(value if e is None else band(name, value, e) for name, value, e in parts)
        merged[key] = merged.get(key, NO_ERRORS) + sums
    return merged


def _views(
    attributes: Sequence[str], groups: Groups, policy: ErrorBiasPolicy
) -> Iterator[tuple[tuple[str, ...], Groups]]:
    """One view an attribute, then each crossing of two or more attributes."""
    several = len(attributes) if policy.intersections else 1
    for size in range(1, several + 1):
        for places in combinations(range(len(attributes)), size):
            merged: dict[Group, ErrorSums] = {}
            for group, sums in groups.items():
                own = tuple(group[i] for i in places)
                merged[own] = merged.get(own, NO_ERRORS) + sums
            yield tuple(attributes[i] for i in places), merged


def _measured(by: tuple[str, ...], held: Groups, policy: ErrorBiasPolicy) -> GroupErrors:
    groups = tuple(sorted(held, key=group_order))
    sums = [held[group] for group in groups]
    rows = np.array([one.rows for one in sums], dtype=np.int64)
    totals = np.array([[one.error, one.absolute] for one in sums]).reshape(-1, len(ERRORS))
    squares = np.array([one.squared for one in sums]).reshape(-1, 1)
    judged = rows >= policy.min_group_rows
    count = np.where(rows > 0, rows, np.nan).reshape(-1, 1)
    with np.errstate(invalid="ignore", over="ignore"):  # squares that no double holds
        means = totals / count
        variance = np.maximum(squares - count * means**2, 0.0)
        error = np.sqrt(variance / np.where(count > 1, count - 1, np.nan) / count)
        together = policy.confidence ** (1 / max(int(judged.sum()), 1))
        quantile = stats.t.ppf(0.5 + together / 2, np.where(count > 1, count - 1, np.nan))
        half = np.where(judged.reshape(-1, 1), quantile * error, np.nan)
        low, high = means - half, means + half
    return GroupErrors(by, groups, tuple(rows.tolist()), means, error, low, high, judged)


def _comparisons(
    views: Sequence[GroupErrors], policy: ErrorBiasPolicy
) -> Iterator[tuple[dict[str, object], Check | None]]:
    """Each widest gap as a fact, with the check of the metric that is judged."""
    for metric in ERRORS:
        compared = [view.compared(metric, policy.reference) for view in views]
        for view, gap in zip(views, widest(compared, by_ratio=False), strict=True):
            check = _bound(view, gap, policy) if metric == policy.metric else None
            yield _comparison(view, metric, gap, check), check


def _comparison(
    view: GroupErrors, metric: str, gap: Gap | None, check: Check | None
) -> dict[str, object]:
    return {
        "metric": metric,
        "by": list(view.by),
        "worst": list(gap.worst) if gap else None,
        "best": list(gap.best) if gap else None,
        "difference": float(gap.difference) if gap else None,
        "ratio": float(gap.ratio) if gap and gap.ratio is not None else None,
        "p_adjusted": gap.p_adjusted if gap else None,
        "rule": check and "max_difference",
        "limit": check and check.limit,
        "verdict": check and str(check.verdict),
    }


def _bound(view: GroupErrors, gap: Gap | None, policy: ErrorBiasPolicy) -> Check:
    name, limit = f"{policy.metric} difference", policy.max_difference
    allowed = f"at most {limit:g}"
    if gap is None:
        why = "fewer than two groups to compare"
        if set(view.by) <= policy.reference.keys():
            named = group_name(tuple(policy.reference[one] for one in view.by))
            why = f"nothing to compare with {named}, or too few rows of it"
        return Check(name, Verdict.INCONCLUSIVE, why, allowed, view.name, limit=limit)
    point, interval = float(gap.difference), gap.difference_interval
    if point <= limit:
        verdict = Verdict.PASSED
    else:
        verdict = Verdict.FAILED if interval[0] > limit else Verdict.INCONCLUSIVE
    return Check(
        rule=name,
        verdict=verdict,
        observed=f"{point:.4g}",
        allowed=allowed,
        subject=view.name,
        columns=view.by,
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
                subject=f"{view.name}={group_name(group)}",
                columns=view.by,
                value=float(rows),
                limit=float(policy.min_group_rows),
            )


def _groups(view: GroupErrors) -> Iterator[dict[str, object]]:
    """In the shape of the groups of a classifier, whose rates are null."""
    for g, group in enumerate(view.groups):
        ends = zip(map(_number, view.low[g]), map(_number, view.high[g]), strict=True)
        yield {
            "by": list(view.by),
            "value": list(group),
            "n": view.rows[g],
            **_UNDEFINED,
            **dict(zip(ERRORS, map(_number, view.means[g]), strict=True)),
            "ci": {
                name: None if None in pair else list(pair)
                for name, pair in zip(ERRORS, ends, strict=True)
            },
            "sufficient": bool(view.judged[g]),
        }


def _overall(total: ErrorSums) -> dict[str, float | None]:
    sums = (total.error, total.absolute)
    means = (_number(one / total.rows) if total.rows else None for one in sums)
    return {**_UNDEFINED, **dict(zip(ERRORS, means, strict=True))}


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
        f"{c.subject} {c.name} {c.observed}".strip()
        + (f" [{c.interval[0]:.4g}, {c.interval[1]:.4g}]" if c.interval else "")
        + f", allowed {c.allowed}"
        for c in checks[:_SHOWN]
    )
    more = f"; and {len(checks) - _SHOWN} more" if len(checks) > _SHOWN else ""
    groups = f"; {len(small)} groups below {policy.min_group_rows} rows" if small else ""
    return f"bias audit {verdict} on {total:,} rows: {told}{more}{groups}"
