"""Features that know what they cannot know: the label itself, its neighbor's, the row's name.

One rule for a version that is judged and for a model that is drafted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.gate import Appraisal
from tenure.lifecycle.training.evaluation.metrics import Bools, Floats
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy
from tenure.verdicts import Check, Severity, Verdict

GIVEN_AWAY = 0.95
"""Area under the ROC curve from which on one column alone tells too well to be known before."""
LAGS = (-3, -2, -1, 1, 2, 3)
"""Rows by which a label may have slipped into a feature."""
MOVES_WITH_ORDER = 0.98
"""Rank correlation with the order of the rows from which on a feature only says when."""
NAMES_ROWS = 0.5
"""Share of different texts from which on a category names rows."""
MIN_NAMED = 500
"""Values from which on whole numbers that differ in every row are taken for names."""
_PRIOR = 10.0
"""Rows of the base rate that each bin is given, so that rare values do not tell much."""

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class ShiftedLabel:
    """A column that gives away the label of another row.

    Args:
        roc_auc: What it reaches by itself, 0…1.
        lag: How many rows before its own that label stands; after it where negative.
        order: `time` or `file`: the order in which rows are counted.
    """

    roc_auc: float
    lag: int
    order: str

    @property
    def said(self) -> str:
        """For people.

        >>> ShiftedLabel(1.0, 1, "file").said
        'tells the label of the row before (in file order)'
        """
        rows, side = abs(self.lag), "before" if self.lag > 0 else "after"
        which = f"the row {side}" if rows == 1 else f"{rows} rows {side}"
        return f"tells the label of {which} (in {self.order} order)"


@dataclass(frozen=True)
class ColumnScan:
    """What one pass over the columns found.

    Args:
        rows: Looked at, before and in the holdout.
        alone: Area under the ROC curve of each feature by itself.
        shifted: Features that give the label of another row away.
        with_order: Rank correlation of numeric features with an order of the rows that itself gives
            the label away.
        named: Features that name rows, and how many different values they have.
        duplicates: Rows of the holdout whose features all stand in a row before it as well.
        holdout: Rows of the holdout.
    """

    rows: int
    alone: Mapping[str, float]
    shifted: Mapping[str, ShiftedLabel] = field(default_factory=dict)
    with_order: Mapping[str, float] = field(default_factory=dict)
    named: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    holdout: int = 0


def area_of_codes(codes: Codes, labels: Bools) -> float | None:
    """Area under the ROC curve of rates that the first three quarters teach, on the last quarter.

    Args:
        codes: Numbers of values from 0 on, shape (n,), oldest first.
        labels: Shape (n,).

    Returns:
        0…1; None when either part has one class only.
    """
    first = len(codes) * 3 // 4
    size = int(codes.max(initial=0)) + 1
    taught = _table(codes[:first], labels[:first], size)
    tried = _table(codes[first:], labels[first:], size)
    if not (taught.sum(axis=1).all() and tried.sum(axis=1).all()):
        return None
    base = taught[1].sum() / taught.sum()
    rates = (taught[1] + _PRIOR * base) / (taught.sum(axis=0) + _PRIOR)
    return _area(rates, tried)


def area_of_rates(codes: Codes, labels: Bools) -> float | None:
    """As `area_of_codes`, but taught and tried on the same rows: how well they *can* be told."""
    found = _table(codes, labels, int(codes.max(initial=0)) + 1)
    if not found.sum(axis=1).all():
        return None
    return _area(found[1] / np.maximum(found.sum(axis=0), 1), found)


def _table(codes: Codes, labels: Bools, size: int) -> NDArray[np.int64]:
    """Rows by label and code, shape (2, size)."""
    return np.bincount(codes + size * labels, minlength=2 * size).reshape(2, size)


def _area(rates: Floats, tried: NDArray[np.int64]) -> float:
    """Mann-Whitney over the codes; codes of one rate share their place."""
    _, place = np.unique(rates, return_inverse=True)
    negative, positive = (np.bincount(place, weights=tried[i]) for i in (0, 1))
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / (positive.sum() * negative.sum()))


def rank_correlation(one: Floats, order: NDArray[np.int64]) -> float:
    """Spearman's, of the values that are there, with their places in an order; 0 of a constant."""
    there = ~np.isnan(one)
    if there.sum() < 2 or np.ptp(one[there]) == 0:
        return 0.0
    places = np.empty(len(order), dtype=np.float64)
    places[order] = np.arange(len(order))
    _, ranks, counts = np.unique(one[there], return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    return float(np.corrcoef(mean_rank[ranks], places[there])[0, 1])


def judge_leaks(policy: EvaluationPolicy, scan: ColumnScan) -> Appraisal:
    """Each feature that gives the label away, or names rows; and duplicates across the split.

    What `policy.accepted_leaks` names stands in the report with its reason, and decides nothing.
    """
    checks = [*_column_checks(policy, scan), _duplicate_check(policy, scan)]
    facts: dict[str, object] = {
        "rows": scan.rows,
        "alone": dict(scan.alone),
        "shifted": {name: vars(one) for name, one in scan.shifted.items()},
        "with_order": dict(scan.with_order),
        "named": dict(scan.named),
        "duplicates": scan.duplicates,
        "holdout": scan.holdout,
    }
    return Appraisal(tuple(checks), {"leaks": facts})


def _column_checks(policy: EvaluationPolicy, scan: ColumnScan) -> Iterator[Check]:
    known = [*_leaks(scan)]
    if not known:
        best = max(scan.alone.items(), key=lambda item: item[1], default=None)
        seen = f"{best[0]} alone reaches {best[1]:.3f}" if best else "nothing could be tried"
        below = f"below {GIVEN_AWAY:g}"
        yield Check("leak", Verdict.PASSED, seen, below, value=best[1] if best else None)
    for rule, name, said, value, limit in known:
        reason = policy.accepted_leaks.get(name)
        yield Check(
            rule=rule,
            verdict=Verdict.FAILED,
            observed=f"{name} {said}" + (f"; accepted: {reason}" if reason else ""),
            allowed="a feature that is known before the label",
            subject=name,
            severity=Severity.CRITICAL if reason is None else Severity.INFO,
            columns=(name,),
            value=value,
            limit=limit,
        )


def _leaks(scan: ColumnScan) -> Iterator[tuple[str, str, str, float, float | None]]:
    """(rule, feature, what of it, value, limit)."""
    for name, area in scan.alone.items():
        if area >= GIVEN_AWAY:
            said = f"gives the label away: alone it reaches an ROC AUC of {area:.3f}"
            yield "leak:target", name, said, area, GIVEN_AWAY
    for name, one in scan.shifted.items():
        if scan.alone.get(name, 0.0) < GIVEN_AWAY:
            said = f"{one.said}: alone it reaches an ROC AUC of {one.roc_auc:.3f}"
            yield "leak:target", name, said, one.roc_auc, GIVEN_AWAY
    for name, rho in scan.with_order.items():
        said = f"follows the order of the rows, which gives the label away (correlation {rho:.3f})"
        yield "leak:time", name, said, rho, MOVES_WITH_ORDER
    for name, distinct in scan.named.items():
        said = f"has {distinct:,} different values: it names rows"
        yield "leak:id", name, said, float(distinct), None


def _duplicate_check(policy: EvaluationPolicy, scan: ColumnScan) -> Check:
    share, most = scan.duplicates / max(scan.holdout, 1), policy.max_duplicate_share
    broken = most is not None and share > most
    return Check(
        rule="leak:duplicates",
        verdict=Verdict.FAILED if broken else Verdict.PASSED,
        observed=f"{scan.duplicates:,} of {scan.holdout:,} held-out rows ({share:.1%}) have the "
        "features of a row before the holdout",
        allowed="any" if most is None else f"at most {most:.1%}",
        severity=Severity.INFO if most is None else Severity.CRITICAL,
        value=share,
        limit=most,
        counts=(scan.duplicates, scan.holdout),
    )


def judge_overfit(
    policy: EvaluationPolicy, *, learned: float | None, held_out: float | None
) -> Appraisal:
    """How much better the first KPI is on the rows that were learned from than on the holdout.

    Args:
        policy: Without a `max_overfit_gap` the numbers only stand in the report.
        learned: The metric on the rows learned from; None where they do not define it.
        held_out: On the holdout.
    """
    metric, most = policy.gates[0].metric, policy.max_overfit_gap
    gap = None if learned is None or held_out is None else abs(learned - held_out)
    facts = {"metric": metric, "learned": learned, "holdout": held_out, "gap": gap}
    if most is None:
        return Appraisal(facts={"overfit": facts})
    verdict = Verdict.INCONCLUSIVE
    if gap is not None:
        verdict = Verdict.PASSED if gap <= most else Verdict.FAILED
    said = (
        "not defined" if gap is None else f"{metric} {learned:.4f} learned, {held_out:.4f} held out"
    )
    check = Check("overfit", verdict, said, f"at most {most:g} apart", value=gap, limit=most)
    return Appraisal((check,), {"overfit": facts})
