"""Does the model treat groups alike: bounds on the gaps between groups, and the verdict.

A gap is judged from both its point value and its interval. The largest of many noisy gaps is
large by chance alone, so a gate **fails** only when the whole interval lies beyond the bound; it
**passes** when the point value keeps the bound (at the bound passes); a point beyond the bound
whose interval reaches back is **inconclusive**: more data or a person.
"""

from collections.abc import Iterator
from datetime import date

import numpy as np

from tenure.lifecycle.training.bias.disparity import (
    CELLS,
    Bools,
    Cells,
    Floats,
    Gap,
    GroupView,
    bases,
    gap,
    rates,
    resample,
    simultaneous,
    views,
)
from tenure.lifecycle.training.bias.policy import RATES, BiasPolicy, RateName
from tenure.verdicts import Check, Report, Verdict, worst

_SHOWN = 5


def audit(cells: Cells, policy: BiasPolicy, *, subject: str, seed: int, today: date) -> Report:
    """Judge every view of the cells against the policy.

    Args:
        cells: Counts of one scan.
        policy: Bounds, and what small groups do.
        subject: `model@version`.
        seed: Of the multinomial bootstrap.
        today: Decides whether an excuse (`mode: report_only`) still holds.
    """
    checks: list[Check] = []
    small: list[Check] = []
    facts: dict[str, object] = {}
    total = int(cells.counts.sum())
    resampled = resample(cells.counts, policy.bootstrap_draws, seed)
    for view in views(cells, intersections=policy.intersections):
        judged = bases(view.counts) >= policy.min_group_rows
        draws = np.einsum("gk,dkc->dgc", view.members, resampled, optimize=True)
        low, high = simultaneous(view.counts, draws, judged, policy.confidence)
        rate = rates(view.counts)
        gaps = {
            name: gap(rate[judged[:, i], i], low[judged[:, i], i], high[judged[:, i], i])
            for i, name in enumerate(RATES)
        }
        checks += _bounds(view.name, gaps[policy.metric], policy)
        small += _small(view, judged[:, RATES.index(policy.metric)], policy)
        facts[view.name] = _facts(view, rate, (low, high), judged, gaps)
    shown = sorted(checks, key=lambda c: _ORDER[c.verdict])
    decisive = checks + (small if policy.small_groups == "inconclusive" else [])
    verdict = worst(c.verdict for c in decisive)
    return Report(
        stage="bias",
        subject=subject,
        verdict=verdict,
        summary=_summary(shown, small, verdict, policy, total),
        checks=(*shown, *small),
        facts={
            "metric": policy.metric,
            "rows": total,
            "confidence": policy.confidence,
            "bootstrap_draws": policy.bootstrap_draws,
            "seed": seed,
            "small_groups": policy.small_groups,
            "views": facts,
            "excuse": policy.reason,
        },
        enforced=policy.enforces(today),
    )


_ORDER = {Verdict.FAILED: 0, Verdict.INCONCLUSIVE: 1, Verdict.PASSED: 2}


def _bounds(view: str, found: Gap, policy: BiasPolicy) -> Iterator[Check]:
    if policy.max_difference is not None:
        yield _bound(
            f"{policy.metric} difference",
            view,
            found.difference,
            found.difference_interval,
            upper=policy.max_difference,
        )
    if policy.min_ratio is not None:
        yield _bound(
            f"{policy.metric} ratio",
            view,
            found.ratio,
            found.ratio_interval,
            lower=policy.min_ratio,
        )


def _bound(
    name: str,
    view: str,
    point: float | None,
    interval: tuple[float, float] | None,
    *,
    lower: float = -np.inf,
    upper: float = np.inf,
) -> Check:
    is_upper = bool(np.isfinite(upper))
    limit = upper if is_upper else lower
    allowed = f"{'at most' if is_upper else 'at least'} {limit:g}"
    if point is None or interval is None:
        why = "fewer than two groups to compare"
        return Check(name, Verdict.INCONCLUSIVE, why, allowed, view, limit=limit)
    if lower <= point <= upper:
        verdict = Verdict.PASSED
    elif interval[0] > upper or interval[1] < lower:
        verdict = Verdict.FAILED
    else:
        verdict = Verdict.INCONCLUSIVE
    return Check(
        rule=name,
        verdict=verdict,
        observed=f"{point:.4f}",
        allowed=allowed,
        subject=view,
        value=point,
        limit=limit,
        interval=interval,
    )


def _small(view: GroupView, judged: Bools, policy: BiasPolicy) -> Iterator[Check]:
    base = bases(view.counts)[:, RATES.index(policy.metric)]
    for group, rows, enough in zip(view.groups, base, judged, strict=True):
        if not enough:
            yield Check(
                rule="group rows",
                verdict=Verdict.INCONCLUSIVE,
                observed=f"{int(rows):,} rows that {policy.metric} counts",
                allowed=f"at least {policy.min_group_rows:,}",
                subject=f"{view.name}={group}",
                value=float(rows),
                limit=float(policy.min_group_rows),
            )


def _facts(
    view: GroupView,
    rate: Floats,
    interval: tuple[Floats, Floats],
    judged: Bools,
    gaps: dict[RateName, Gap],
) -> dict[str, object]:
    low, high = interval
    groups = [
        {
            "group": group,
            "cells": dict(zip(CELLS, view.counts[g].tolist(), strict=True)),
            "rates": {
                name: {
                    "value": None if np.isnan(rate[g, i]) else float(rate[g, i]),
                    "interval": [float(low[g, i]), float(high[g, i])],
                    "judged": bool(judged[g, i]),
                }
                for i, name in enumerate(RATES)
            },
        }
        for g, group in enumerate(view.groups)
    ]
    return {"groups": groups, "gaps": {name: vars(found) for name, found in gaps.items()}}


def _summary(
    checks: list[Check], small: list[Check], verdict: Verdict, policy: BiasPolicy, total: int
) -> str:
    told = "; ".join(
        f"{c.subject} {c.name} {c.observed}"
        + (f" [{c.interval[0]:.3f}, {c.interval[1]:.3f}]" if c.interval else "")
        + f", allowed {c.allowed}"
        for c in checks[:_SHOWN]
    )
    groups = f"; {len(small)} groups below {policy.min_group_rows} rows" if small else ""
    return f"bias audit {verdict} on {total:,} rows: {told}{groups}"
