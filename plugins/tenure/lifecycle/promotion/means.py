"""Sequential comparison of two means: the loss of the challenger's answers with the champion's.

In the shares where both arms have traffic, let d be an estimate of a difference of means and V its
variance from the sample variances. Summed over shares, A = sum d/V and B = sum 1/V. Under a
difference of at most 0, the mixture of likelihood ratios over a half normal of scale tau,

    E = 2 / sqrt(1 + tau^2 B) * exp(tau^2 A^2 / (2 (1 + tau^2 B))) * Phi(tau A / sqrt(1 + tau^2 B))

exceeds 1/alpha ever with probability about alpha: exactly for normal losses of known variance, and
else as soon as the means of both arms are nearly normal. Losses are skewed, and a small sample of a
long tail has both a low mean and a low variance. So a share counts only from BURN_IN subjects of
each arm on, and the challenger, of whom fewer are seen, is given the champion's spread (at the
margin: that many times it) where its own is smaller. The alternative is a difference of the order
of the margin.

Source: Johari, Koomen, Pekelis and Walsh, "Always valid inference" (2022), the mixture sequential
probability ratio test; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences" (2024), for the variances that are not known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import log_ndtr

from tenure.vocabulary import BASIS_POINTS

BURN_IN = 100
"""Subjects of each arm at a share before it counts."""


@dataclass(frozen=True)
class ArmLoss:
    """Losses of one arm at one share, one a subject: that of its first mature outcome.

    Args:
        subjects: How many.
        total: Sum of their losses, in the unit of the label.
        squares: Sum of the squares.
    """

    subjects: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "ArmLoss") -> "ArmLoss":
        """Of both sets of subjects."""
        return ArmLoss(
            self.subjects + other.subjects, self.total + other.total, self.squares + other.squares
        )

    @property
    def mean(self) -> float | None:
        """None without subjects."""
        return self.total / self.subjects if self.subjects else None

    @property
    def variance(self) -> float:
        """Of single losses; infinite below two subjects."""
        if self.subjects < 2:
            return math.inf
        squared = self.total**2 / self.subjects
        return max(self.squares - squared, 0.0) / (self.subjects - 1)


@dataclass(frozen=True)
class ShareLosses:
    """Losses of both arms at one share of the canary, in basis points."""

    share_bp: int
    canary: ArmLoss
    champion: ArmLoss

    @property
    def counts(self) -> bool:
        """Whether both arms have enough subjects."""
        enough = min(self.canary.subjects, self.champion.subjects) >= BURN_IN
        return enough and 0 < self.share_bp < BASIS_POINTS


def loss_ratio(losses: Sequence[ShareLosses]) -> float | None:
    """Mean loss of the challenger over the champion's, each share a stratum; None of no loss.

    Source: the weights of Mantel & Haenszel (1959).

    >>> share = ShareLosses(500, ArmLoss(100, 300.0, 900.0), ArmLoss(1000, 2000.0, 4000.0))
    >>> round(loss_ratio([share]), 9)
    1.5
    """
    above = below = 0.0
    for row in losses:
        subjects = row.canary.subjects + row.champion.subjects
        if subjects:
            above += row.canary.total * row.champion.subjects / subjects
            below += row.champion.total * row.canary.subjects / subjects
    return above / below if below else None


def log_harm(losses: Sequence[ShareLosses], *, margin: float) -> float:
    """Natural logarithm of the e-value against "the challenger's mean is not larger"."""
    return _log_e(losses, margin, weight=1.0, sign=1.0)


def log_safe(losses: Sequence[ShareLosses], *, margin: float) -> float:
    """As `log_harm`, against "the challenger's mean is `margin` times the champion's or more"."""
    return _log_e(losses, margin, weight=margin, sign=-1.0)


def _log_e(losses: Sequence[ShareLosses], margin: float, *, weight: float, sign: float) -> float:
    """Of the difference canary - weight * champion, times the sign; 0 before the burn-in."""
    rows = [row for row in losses if row.counts]
    total = sum(row.champion.total for row in rows)
    subjects = sum(row.champion.subjects for row in rows)
    tau = (margin - 1.0) * total / subjects if subjects else 0.0
    estimate = information = 0.0
    for row in rows:
        spread = weight**2 * row.champion.variance
        variance = (
            max(row.canary.variance, spread) / row.canary.subjects + spread / row.champion.subjects
        )
        canary, champion = row.canary.mean, row.champion.mean
        if canary is None or champion is None or not 0.0 < variance < math.inf:
            continue  # losses that are all alike, or beyond what a double holds, say nothing
        estimate += sign * (canary - weight * champion) / variance
        information += 1.0 / variance
    growth = 1.0 + tau**2 * information
    if not information or not math.isfinite(growth):
        return 0.0
    scaled = tau * estimate / math.sqrt(growth)
    return math.log(2.0) - 0.5 * math.log(growth) + 0.5 * scaled**2 + float(log_ndtr(scaled))
