"""Features that know what they cannot know: the label itself, its neighbor's, the row's name.

One rule for a version that is judged and for a model that is drafted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.evaluation.gate import Appraisal
from tenure.lifecycle.training.evaluation.metrics import Bools, Floats, mean_ranks
from tenure.lifecycle.training.evaluation.policy import EvaluationPolicy
from tenure.verdicts import Check, Severity, Verdict

GIVEN_AWAY = 0.95
"""What one column alone reaches, from which on it tells too well to be known before: area under
the ROC curve, or of numbers the explained share of the variance of their ranks."""
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

_PRIOR_OF_RANKS = 1.0

Codes = NDArray[np.int64]
Told = Literal["roc_auc", "mean_roc_auc", "r2"]
"""By what it is measured how well a column tells the label: yes or no, each of several classes, or
the rank of a number."""
LIMITS: dict[Told, float] = {"roc_auc": GIVEN_AWAY, "mean_roc_auc": 0.99, "r2": GIVEN_AWAY}
"""What `GIVEN_AWAY` is in each measure. Classes may be honestly told apart by one column: a leaf of
an iris reaches a mean of 0.98."""
_REACHES: dict[Told, str] = {
    "roc_auc": "alone it reaches an ROC AUC of {:.3f}",
    "mean_roc_auc": "alone it reaches a mean ROC AUC of {:.3f} over the classes",
    "r2": "alone it explains {:.1%} of the ranks of the label",
}


_ONE_ROW: dict[Told, Told] = {"roc_auc": "roc_auc", "mean_roc_auc": "roc_auc", "r2": "r2"}
"""How the label of another row is measured: of several classes, the one that is told best."""


def reaches(measure: Told, value: float) -> str:
    """For people.

    >>> reaches("roc_auc", 1.0), reaches("r2", 0.975)
    ('alone it reaches an ROC AUC of 1.000', 'alone it explains 97.5% of the ranks of the label')
    """
    return _REACHES[measure].format(value)


@dataclass(frozen=True)
class ShiftedLabel:
    """A column that gives away the label of another row.

    Args:
        reached: What it reaches by itself, 0…1, in the measure of the scan.
        lag: How many rows before its own that label stands; after it where negative.
        order: `time` or `file`: the order in which rows are counted.
    """

    reached: float
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
        alone: What each feature reaches by itself, 0…1.
        shifted: Features that give the label of another row away.
        with_order: Rank correlation of numeric features with an order of the rows that itself gives
            the label away.
        named: Features that name rows, and how many different values they have.
        duplicates: Rows of the holdout whose features all stand in a row before it as well.
        holdout: Rows of the holdout.
        measure: Of what features reach.
        of_one: Of several classes, features that tell one of them from the rest with an area of at
            least `GIVEN_AWAY`: the class that each tells best, and the area.
    """

    rows: int
    alone: Mapping[str, float]
    shifted: Mapping[str, ShiftedLabel] = field(default_factory=dict)
    with_order: Mapping[str, float] = field(default_factory=dict)
    named: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    holdout: int = 0
    measure: Told = "roc_auc"
    of_one: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def limit(self) -> float:
        """What a feature alone may not reach."""
        return LIMITS[self.measure]


def ranked(labels: NDArray[Any]) -> NDArray[Any]:
    """Classes as they are; numbers as their ranks, 0…1: no outlier outweighs all other rows."""
    if labels.dtype == np.bool_ or not len(labels):
        return labels
    return mean_ranks(labels) / len(labels)


def told_by_codes(codes: Codes, labels: NDArray[Any]) -> float | None:
    """How well a column tells classes (`area_of_codes`) or ranks (`explained_by_codes`)."""
    if labels.dtype == np.bool_:
        return area_of_codes(codes, labels)
    return explained_by_codes(codes, labels)


def explained_by_codes(codes: Codes, ranks: Floats) -> float | None:
    """Share of the variance of the last quarter that means of the first three quarters explain.

    Args:
        codes: Numbers of values from 0 on, shape (n,), oldest first.
        ranks: From `ranked`, shape (n,).

    Returns:
        0…1, also where the means explain nothing; None when either part has one value only.
    """
    first, size = len(codes) * 3 // 4, int(codes.max(initial=0)) + 1
    tried, old = ranks[first:], ranks[:first]
    if not len(tried) or np.ptp(tried) == 0 or np.ptp(old) == 0:
        return None
    rows = np.bincount(codes[:first], minlength=size)
    sums = np.bincount(codes[:first], old, minlength=size)
    means = (sums + _PRIOR_OF_RANKS * old.mean()) / (rows + _PRIOR_OF_RANKS)
    left = ((tried - means[codes[first:]]) ** 2).sum()
    return max(0.0, float(1 - left / ((tried - tried.mean()) ** 2).sum()))


def explained_by_ranks(values: Floats, ranks: Floats) -> float:
    """Squared rank correlation on the last quarter: what binned means miss where rows have a trend.

    Args:
        values: Ranks of a column, shape (n,), oldest first; NaN is missing, and half of them must
            not be.
        ranks: From `ranked`, shape (n,).
    """
    first = len(values) * 3 // 4
    newest = values[first:]
    there = ~np.isnan(newest)
    if there.sum() < max(2, len(newest) // 2) or np.ptp(newest[there]) == 0:
        return 0.0
    tried = ranks[first:][there]
    if np.ptp(tried) == 0:
        return 0.0
    return float(np.corrcoef(newest[there], tried)[0, 1] ** 2)


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
    checks = [*_column_checks(policy, scan), *_one_class_checks(scan)]
    checks.append(_duplicate_check(policy, scan))
    facts: dict[str, object] = {
        "rows": scan.rows,
        "measure": scan.measure,
        "alone": dict(scan.alone),
        "shifted": {name: vars(one) for name, one in scan.shifted.items()},
        "with_order": dict(scan.with_order),
        "of_one_class": {name: list(one) for name, one in scan.of_one.items()},
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
        below = f"below {scan.limit:g}"
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
        if area >= scan.limit:
            said = f"gives the label away: {reaches(scan.measure, area)}"
            yield "leak:target", name, said, area, scan.limit
    for name, one in scan.shifted.items():
        if scan.alone.get(name, 0.0) < scan.limit:
            said = f"{one.said}: {reaches(_ONE_ROW[scan.measure], one.reached)}"
            yield "leak:target", name, said, one.reached, GIVEN_AWAY
    for name, rho in scan.with_order.items():
        said = f"follows the order of the rows, which gives the label away (correlation {rho:.3f})"
        yield "leak:time", name, said, rho, MOVES_WITH_ORDER
    for name, distinct in scan.named.items():
        said = f"has {distinct:,} different values: it names rows"
        yield "leak:id", name, said, float(distinct), None


def _one_class_checks(scan: ColumnScan) -> Iterator[Check]:
    """They only report: one of several classes may well be plain to see."""
    for name, (told, area) in scan.of_one.items():
        if scan.alone[name] < scan.limit:
            yield Check(
                rule="leak:one_class",
                verdict=Verdict.PASSED,
                observed=f"{name} tells class {told} from all others with an ROC AUC of {area:.3f}",
                allowed="any, as long as it does not tell the other classes as well",
                subject=name,
                severity=Severity.INFO,
                columns=(name,),
                value=area,
            )


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
