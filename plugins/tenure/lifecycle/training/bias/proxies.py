"""Which features give a protected attribute away, each alone and all together.

Leaving race out of the features helps little where the street says it. How well the features tell
one group from all others is the area under the ROC curve on rows that taught nothing: 0.5 tells
nothing, 1 everything. It is large by chance alone for rare groups and many features, so an area
beyond its limit is sure only when its whole interval lies beyond. The intervals take the scores as
given: that each fold's model could have been another one is not in them.

Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), for the intervals.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from tenure.lifecycle.training.bias.cells import group_name
from tenure.lifecycle.training.bias.training_data import Codes, GroupedRows
from tenure.lifecycle.training.evaluation.gate import CONFIDENCE
from tenure.lifecycle.training.evaluation.metrics import Floats, area_and_error
from tenure.verdicts import Check, Severity, Verdict

MAX_ROWS = 20_000
"""Rows that are looked at, drawn by the seed."""
MIN_ROWS = 50
"""Rows inside and outside a group, of those looked at, below which it is not looked at."""
MAX_GROUPS = 12
"""Largest groups of an attribute that are looked at."""
FOLDS = 5
FINDING = 0.8
"""Area from which on it is a finding where the YAML states no limit of its own."""
RULE = "proxies"
_PRIOR = 10.0
"""Rows of the base rate that each value is given, so that rare values do not tell much."""

Together = Callable[[NDArray[np.int64], Codes, Codes], Floats]
"""(features as codes (n, features), groups (n,), folds (n,)) to scores (n, groups), each row
scored by a model that did not see its fold."""


@dataclass(frozen=True)
class Told:
    """How well one group is told from the others.

    Args:
        feature: By which; None: by all together.
        group: Which; the one that is told best.
        roc_auc: 0…1.
        interval: Of it, for all groups and features of the attribute at once.
    """

    feature: str | None
    group: str
    roc_auc: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class AttributeProxies:
    """What gives the groups of one attribute away.

    Args:
        attribute: Its name.
        rows: Looked at.
        is_feature: Whether the model reads the attribute itself; then nothing else is looked at.
        told: By all features together first, then by each alone, the best first.
        left_out: Groups that were not looked at, for their size or their number.
    """

    attribute: str
    rows: int
    is_feature: bool
    told: tuple[Told, ...]
    left_out: tuple[str, ...]

    def facts(self) -> dict[str, object]:
        """As JSON values."""
        return {
            "attribute": self.attribute,
            "rows": self.rows,
            "is_feature": self.is_feature,
            "told_by": [
                {
                    "feature": one.feature,
                    "group": one.group,
                    "roc_auc": one.roc_auc,
                    "interval": list(one.interval),
                }
                for one in self.told
            ],
            "left_out": list(self.left_out),
        }


def find_proxies(
    view: GroupedRows, features: Mapping[str, Codes], *, seed: int, together: Together
) -> AttributeProxies:
    """How well features tell the groups of one attribute, on rows that were held out in turn.

    Args:
        view: The attribute's groups, n rows.
        features: Number of the value, or of the bin, of each row; by feature.
        seed: Of the folds.
        together: What learns from all features at once.
    """
    name, rows = view.name, len(view.codes)
    if name in features:
        return AttributeProxies(name, rows, True, (), ())
    counts = np.bincount(view.codes, minlength=len(view.groups))
    largest = np.argsort(-counts, kind="stable")[:MAX_GROUPS]
    judged = sorted(int(n) for n in largest if MIN_ROWS <= counts[n] <= rows - MIN_ROWS)
    left = tuple(group_name(g) for n, g in enumerate(view.groups) if n not in judged)
    if not judged or not features:
        return AttributeProxies(name, rows, False, (), left)
    folds = np.random.default_rng(seed).permutation(rows) % FOLDS
    tried = len(judged) * (len(features) + 1)
    alone = {
        feature: np.column_stack([_rates(codes, view.codes == n, folds) for n in judged])
        for feature, codes in features.items()
    }
    matrix = np.column_stack(list(features.values()))
    whole = together(matrix, view.codes, folds)[:, judged]
    best = _best(None, whole, judged, view, tried)
    ranked = sorted(
        (_best(feature, scores, judged, view, tried) for feature, scores in alone.items()),
        key=lambda one: (-one.roc_auc, str(one.feature)),
    )
    return AttributeProxies(name, rows, False, (best, *ranked), left)


def _best(
    feature: str | None, scores: Floats, judged: Sequence[int], view: GroupedRows, tried: int
) -> Told:
    found = [
        (*_area(scores[:, place], view.codes == n, tried), group_name(view.groups[n]))
        for place, n in enumerate(judged)
    ]
    value, low, high, group = max(found, key=lambda one: one[0])
    return Told(feature, group, value, (low, high))


def _rates(codes: Codes, is_group: NDArray[np.bool_], folds: Codes) -> Floats:
    """Share of the group among the other folds' rows of the same value, shape (n,)."""
    size = int(codes.max(initial=0)) + 1
    scores = np.empty(len(codes))
    for fold in range(FOLDS):
        taught, asked = folds != fold, folds == fold
        rows = np.bincount(codes[taught], minlength=size)
        members = np.bincount(codes[taught], weights=is_group[taught], minlength=size)
        base = is_group[taught].mean()
        scores[asked] = ((members + _PRIOR * base) / (rows + _PRIOR))[codes[asked]]
    return scores


def _area(scores: Floats, is_group: NDArray[np.bool_], tried: int) -> tuple[float, float, float]:
    """The area with its interval, by Bonferroni for all that were tried."""
    value, error = area_and_error(scores, is_group)
    half = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / (2 * tried)) * error
    return value, max(0.0, value - half), min(1.0, value + half)


def judge_proxies(found: Sequence[AttributeProxies], limit: float | None) -> Iterator[Check]:
    """One check an attribute: its best-told group against the limit.

    Args:
        found: By attribute.
        limit: `bias.max_proxy_auc`; None: `FINDING`, and the check is only for information.
    """
    severity = Severity.INFO if limit is None else Severity.CRITICAL
    bound = FINDING if limit is None else limit
    for one in found:
        best = max(one.told, key=lambda told: told.roc_auc, default=None)
        verdict, observed = Verdict.INCONCLUSIVE, f"no group of {MIN_ROWS} rows to look at"
        if one.is_feature:
            verdict, observed = Verdict.FAILED, "the model reads it itself"
        elif best is not None:
            verdict, observed = _verdict(best, bound), _told(one, best)
        yield Check(
            rule=RULE,
            verdict=verdict,
            observed=observed,
            allowed=f"area under the ROC curve at most {bound:g}",
            subject=one.attribute,
            severity=severity,
            columns=(one.attribute,),
            value=best.roc_auc if best else None,
            limit=bound,
            interval=best.interval if best else None,
        )


def _verdict(best: Told, bound: float) -> Verdict:
    if best.roc_auc <= bound:
        return Verdict.PASSED
    return Verdict.FAILED if best.interval[0] > bound else Verdict.INCONCLUSIVE


def _told(one: AttributeProxies, best: Told) -> str:
    """What gives it away, in words: together first, then the best by itself."""
    together = next((t for t in one.told if t.feature is None), best)
    said = f"all features together tell {together.group} with {together.roc_auc:.3f}"
    alone = next((t for t in one.told if t.feature is not None), None)
    if alone is None:
        return said
    return f"{said}; by itself {alone.feature} tells {alone.group} with {alone.roc_auc:.3f}"


def sentences(found: Sequence[AttributeProxies], limit: float | None) -> Iterator[str]:
    """The findings, for the summary of the audit."""
    for check in judge_proxies(found, limit):
        if check.verdict is Verdict.FAILED:
            yield f"{check.subject}: {check.observed}"
