"""How far the decisions' features have moved from the reference, as effect sizes with intervals.

Verdicts rest on the population stability index (PSI) and its interval. Kolmogorov-Smirnov and
chi-squared stand beside it; their p-values inform, since at many rows they are always 0.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy import stats

from tenure.lifecycle.monitoring.policy import MonitoringPolicy
from tenure.ports import FeatureCounts
from tenure.verdicts import Check, Report, Severity, Verdict

PSEUDO_COUNT = 0.5
"""Added to every bin of both sides (Jeffreys' prior), so that an empty bin costs no infinity."""
OTHER, UNSEEN, NULL = "other", "unseen", "null"


@dataclass(frozen=True)
class Shift:
    """How far one feature has moved.

    Args:
        psi: Population stability index as counted, smoothed.
        low: Lower end of its interval, noise of the sample size taken off.
        high: Upper end.
        noise: PSI that this sample size shows by chance alone at the stated confidence.
        distance: KS distance over the bin edges (numeric) or Cramér's V (categorical), 0…1.
        p_value: Of the KS or chi-squared test, for information.
    """

    feature: str
    kind: str
    psi: float
    low: float
    high: float
    noise: float
    distance: float
    p_value: float
    verdict: Verdict


def bin_edges(quantiles: Sequence[float], seen: Sequence[float] | None = None) -> tuple[float, ...]:
    """Edges that the reference fills evenly, from the lowest to the highest value of training.

    Args:
        quantiles: Of the reference, rising; may repeat. Empty when it has no values.
        seen: [lowest, highest] value that training saw; else the ends of the quantiles.

    Returns:
        At least two edges; equal ones only when all values are the same.
    """
    low, high = seen or (quantiles[0], quantiles[-1]) if quantiles or seen else (0.0, 0.0)
    inner = sorted({q for q in quantiles if low <= q < high})
    return (float(low), *(float(q) for q in inner if q > low or _heaped(quantiles, q)), float(high))


def psi(reference: np.ndarray, current: np.ndarray) -> float:
    """Population stability index of two vectors of counts.

    Source: Yurdakul & Naranjo (2020), "Statistical properties of the population stability
    index", Journal of Risk Model Validation 14(4); smoothed by half a row a bin.
    """
    p, q = _shares(*_filled(reference, current))
    return float(np.sum((q - p) * np.log(q / p)))


def psi_noise(reference: np.ndarray, current: np.ndarray, confidence: float) -> float:
    """PSI that equal distributions exceed with probability 1 - confidence.

    Under equality PSI / (1/n + 1/m) is close to chi-squared with one degree less than the bins
    that are filled on either side. Source: as `psi`, section 3.
    """
    filled = len(_filled(reference, current)[0])
    if filled < 2:
        return 0.0
    return float(stats.chi2.ppf(confidence, filled - 1)) * _unit(reference, current)


def psi_above_noise(reference: np.ndarray, current: np.ndarray) -> float:
    """PSI less the mean that equal distributions show at these numbers of rows."""
    filled = len(_filled(reference, current)[0])
    return psi(reference, current) - max(filled - 1, 0) * _unit(reference, current)


def psi_interval(
    reference: np.ndarray, current: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Interval of the true PSI: delta method on both multinomials, expected noise taken off.

    Source: Agresti, "Categorical Data Analysis", section 16.1 (delta method); the bias is the
    mean of the chi-squared above, (bins - 1) (1/n + 1/m).
    """
    p, q = _shares(*_filled(reference, current))
    log_ratio = np.log(q / p)
    variance = _multinomial_variance(p, -log_ratio + 1 - q / p, reference.sum())
    variance += _multinomial_variance(q, log_ratio + 1 - p / q, current.sum())
    center = psi_above_noise(reference, current)
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * float(np.sqrt(variance))
    return max(center - half, 0.0), max(center + half, 0.0)


def ks(reference: np.ndarray, current: np.ndarray) -> tuple[float, float]:
    """KS distance over bins in order, and its asymptotic p-value.

    Binned, the distance is a lower bound of the exact one and the p-value an upper bound.
    Source: Smirnov (1948); Kolmogorov's limit distribution with n m / (n + m).
    """
    n, m = float(reference.sum()), float(current.sum())
    if not n or not m:
        return 0.0, 1.0
    distance = float(np.max(np.abs(np.cumsum(reference) / n - np.cumsum(current) / m)))
    return distance, float(stats.kstwobign.sf(np.sqrt(n * m / (n + m)) * distance))


def chi2(reference: np.ndarray, current: np.ndarray) -> tuple[float, float]:
    """Cramér's V of the side by category table, and the chi-squared test's p-value.

    Source: Cramér (1946), section 21.9; Pearson's test without continuity correction.
    """
    table = np.stack([reference, current])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return 0.0, 1.0
    found = stats.chi2_contingency(table, correction=False)
    return float(np.sqrt(found.statistic / table.sum())), float(found.pvalue)


def shift(
    feature: str, kind: str, reference: np.ndarray, current: np.ndarray, policy: MonitoringPolicy
) -> Shift:
    """Measure and judge one feature.

    Drifted when the whole interval lies above `max_psi`; inconclusive when so few rows would
    show `max_psi` by chance; otherwise it has not been shown to drift.
    """
    low, high = psi_interval(reference, current, policy.confidence)
    noise = psi_noise(reference, current, policy.confidence)
    distance, p_value = (ks if kind == "numeric" else chi2)(reference, current)
    if low > policy.max_psi:
        verdict = Verdict.FAILED
    elif noise > policy.max_psi:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASSED
    value = psi(reference, current)
    return Shift(feature, kind, value, low, high, noise, distance, p_value, verdict)


def merged(
    reference: Mapping[str, int],
    current: Mapping[str, int],
    most: int,
    known: Collection[str] = (),
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Counts of the reference's commonest categories; the rest of them is `other`, new is `unseen`.

    Fewer cells, so that a column of a thousand values does not drown in its own noise. What
    training saw is not new, also where the reference happens to lack it.
    """
    seen = {*reference, *known}
    common = sorted(reference, key=lambda value: (-reference[value], value))[:most]
    names = [*common, OTHER, UNSEEN]

    def counts(side: Mapping[str, int]) -> np.ndarray:
        cells = {name: side.get(name, 0) for name in common}
        rest = sum(n for v, n in side.items() if v in seen and v not in cells)
        new = sum(n for v, n in side.items() if v not in seen)
        return np.array([*cells.values(), rest, new], dtype=float)

    return names, counts(reference), counts(current)


def count_sides(
    reference: FeatureCounts,
    current: FeatureCounts,
    bins: int,
    known: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Counts of both sides by column, in the same cells; nulls and what is unseen have their own.

    `known` are the values that training saw, by categorical feature.
    """
    found = {name: (_binned(reference, name), _binned(current, name)) for name in current.bins}
    for name in current.categories:
        sides = reference.categories[name], current.categories[name]
        _, before, now = merged(*sides, bins, known.get(name, ()))
        found[name] = (
            np.append(before, reference.nulls[name]),
            np.append(now, current.nulls[name]),
        )
    return found


def shifts(
    reference: FeatureCounts,
    current: FeatureCounts,
    policy: MonitoringPolicy,
    known: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> list[Shift]:
    """Every column that was counted, the furthest moved first; nulls are a bin of their own.

    `known` are the values that training saw, by categorical feature.
    """
    found = [
        shift(name, "numeric" if name in current.bins else "categorical", *sides, policy)
        for name, sides in count_sides(reference, current, policy.bins, known).items()
    ]
    return sorted(found, key=lambda s: (-s.low, -s.psi, s.feature))


def judge_drift(
    found: Sequence[Shift], policy: MonitoringPolicy, *, subject: str, facts: Mapping[str, Any]
) -> Report:
    """Failed when more than `max_drifted_share` of the features drifted; the score only informs."""
    features = [s for s in found if s.feature != "score"]
    drifted = [s for s in features if s.verdict is Verdict.FAILED]
    unclear = [s for s in features if s.verdict is Verdict.INCONCLUSIVE]
    share = len(drifted) / len(features)
    if share > policy.max_drifted_share:
        verdict = Verdict.FAILED
    elif (len(drifted) + len(unclear)) / len(features) > policy.max_drifted_share:
        verdict = Verdict.INCONCLUSIVE
    else:
        verdict = Verdict.PASSED
    furthest = features[0]
    summary = (
        f"Drift {verdict}: {len(drifted)} of {len(features)} features moved beyond PSI "
        f"{policy.max_psi:g} (allowed share {policy.max_drifted_share:.0%}); furthest "
        f"{furthest.feature}, PSI {furthest.psi:.2f} [{furthest.low:.2f}, {furthest.high:.2f}]."
    )
    if unclear:
        summary += f" {len(unclear)} have too few rows to tell."
    checks = tuple(_check(s, policy) for s in found)
    body = {**facts, "shifts": [{**asdict(s), "verdict": str(s.verdict)} for s in found]}
    return Report("monitoring", subject, verdict, summary, checks, body, enforced=False)


def _check(found: Shift, policy: MonitoringPolicy) -> Check:
    distance = "KS" if found.kind == "numeric" else "Cramér's V"
    is_score = found.feature == "score"
    return Check(
        rule="prediction drift" if is_score else "drift",
        verdict=found.verdict,
        observed=f"PSI {found.psi:.3f} (noise {found.noise:.3f}), {distance} {found.distance:.3f}, "
        f"p {found.p_value:.2g}",
        allowed=f"PSI at most {policy.max_psi:g}",
        subject=found.feature,
        severity=Severity.INFO if is_score else Severity.CRITICAL,
        columns=() if is_score else (found.feature,),
        value=found.psi,
        limit=policy.max_psi,
        interval=(found.low, found.high),
    )


def _binned(side: FeatureCounts, name: str) -> np.ndarray:
    return np.array([side.nulls[name], *side.bins[name]], dtype=float)


def _filled(reference: np.ndarray, current: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Without the bins that are empty on both sides: they say nothing and cost noise."""
    some = (reference + current) > 0
    return reference[some], current[some]


def _shares(*sides: np.ndarray) -> list[np.ndarray]:
    smoothed = [counts + PSEUDO_COUNT for counts in sides]
    return [counts / counts.sum() for counts in smoothed]


def _unit(reference: np.ndarray, current: np.ndarray) -> float:
    return float(1 / max(reference.sum(), 1.0) + 1 / max(current.sum(), 1.0))


def _multinomial_variance(shares: np.ndarray, gradient: np.ndarray, rows: float) -> float:
    mean = float(np.sum(shares * gradient))
    return float(np.sum(shares * gradient**2) - mean**2) / max(float(rows), 1.0)


def _heaped(quantiles: Sequence[float], value: float) -> bool:
    """Whether a value takes a bin of its own: two neighboring quantiles fall on it."""
    return any(a == b == value for a, b in pairwise(quantiles))
